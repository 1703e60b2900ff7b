"""The command `hf-nli`: which command, with which flags."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from hf_nli.cli import (
    cache,
    calibrate,
    compare,
    convert,
    evaluate,
    export,
    inspect,
    predict,
    push,
    quickstart,
    reproduce,
    train,
)
from hf_nli.cli.command import Command
from hf_nli.cli.end import end
from hf_nli.cli.signals import Signals
from hf_nli.core.environment import VERSION, check_environment, read_by
from hf_nli.core.errors import InputError

COMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (
        convert,
        train,
        evaluate,
        compare,
        calibrate,
        inspect,
        predict,
        export,
        push,
        cache,
        reproduce,
        quickstart,
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `hf-nli`.

    Args:
        argv: The command and its flags; by default the process's own, which then ends after this.

    Returns:
        The exit code: 0; 2 for bad input, which is explained in one line on standard error; 130 or 143 if a
        signal stopped it; 1 for a fault of ours, or if standard output can't be written to.

    Raises:
        SystemExit: After --help and --version, as from argparse.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if len(arguments) == 2 and arguments[0] == "help" and arguments[1] in COMMANDS:
        arguments = [arguments[1], "--help"]
    if arguments and arguments[0] in COMMANDS:
        return execute(COMMANDS[arguments[0]], f"hf-nli {arguments[0]}", arguments[1:], closing=argv is None)
    return end("hf-nli", lambda _: _overview(arguments), closing=argv is None)


def execute(command: Command, prog: str, argv: Sequence[str], closing: bool = False) -> int:
    """Reads a command's flags, runs it and tells what went wrong.

    Args:
        command: Any command.
        prog: What its error lines begin with.
        argv: Its flags.
        closing: Whether the process ends after this.

    Returns:
        The exit code, as from `main`.
    """
    return end(prog, lambda signals: _work(command, prog, argv, signals), closing)


def _work(command: Command, prog: str, argv: Sequence[str], signals: Signals) -> None:
    """Reads the flags, and runs the command when all that it needs is loaded."""
    check_environment()
    with read_by():
        from hf_nli.cli.parser import FlagParser
        from hf_nli.cli.session import quiet, session
    settings = FlagParser(command.settings, prog, command.summary).parse(argv)
    if command.check:
        with quiet():
            command.check(*settings)
    with session():
        for module in command.modules:
            import_module(module)
        signals.at_once = False
        command.execute(*settings)


def _overview(arguments: Sequence[str]) -> None:
    """Tells what there is, or that a command isn't."""
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help", "--version") or list(arguments) == ["help"]:
        _overview_parser().parse_args(["--help" if first == "help" else first])
    from hf_nli.cli.parser import nearest

    if not arguments:
        raise InputError("no command; hf-nli --help lists them")
    if first.startswith("-"):
        raise InputError(f"unknown flag {first}; the nearest is {nearest(first, ['--help', '--version'])}")
    if first == "help" and arguments[1] in COMMANDS:
        raise InputError(f"{arguments[2]!r} is one too many; hf-nli help takes one command")
    word, names = (arguments[1], list(COMMANDS)) if first == "help" else (first, [*COMMANDS, "help"])
    raise InputError(f"unknown command {word}; the nearest is {nearest(word, names)}")


def _overview_parser() -> argparse.ArgumentParser:
    epilog = "\n".join(f"  {command.name:<12}{command.summary}" for command in COMMANDS.values())
    parser = argparse.ArgumentParser(
        prog="hf-nli",
        usage="hf-nli COMMAND [FLAGS]   (hf-nli help COMMAND lists a command's flags)",
        description="d2l's BERT for natural language inference, in the Hugging Face ecosystem.",
        epilog=f"commands:\n{epilog}\n  {'help':<12}this list, or a command's flags",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hf-nli {VERSION}")
    return parser
