"""The command `hf-nli`: which command, with which flags, and what becomes of an error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from hf_nli.cli import cache, convert, evaluate, export, inspect, predict, push, quickstart, reproduce, train
from hf_nli.cli.command import Command
from hf_nli.cli.parser import FlagParser, nearest
from hf_nli.cli.session import first_process, session
from hf_nli.core.errors import InputError, Interrupted
from hf_nli.core.versions import VERSION

COMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (convert, train, evaluate, inspect, predict, export, push, cache, reproduce, quickstart)
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `hf-nli`.

    Args:
        argv: The command and its flags; by default the process's own.

    Returns:
        The exit code: 0, 2 for bad input, which is explained in one line on standard error, or 128 and the number of
        the signal that stopped it.

    Raises:
        SystemExit: After --help and --version, as from argparse.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    epilog = "\n".join(f"  {command.name:<12}{command.summary}" for command in COMMANDS.values())
    parser = argparse.ArgumentParser(
        prog="hf-nli",
        usage="hf-nli COMMAND [FLAGS]   (hf-nli COMMAND --help lists a command's flags)",
        description="d2l's BERT for natural language inference, in the Hugging Face ecosystem.",
        epilog=f"commands:\n{epilog}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hf-nli {VERSION}")
    parser.parse_known_args(arguments[:1])
    if arguments and arguments[0] in COMMANDS:
        return run(arguments[0], arguments[1:])
    problem = "no command; hf-nli --help lists them"
    if arguments:
        kind, names = ("flag", ["--help", "--version"]) if arguments[0].startswith("-") else ("command", COMMANDS)
        problem = f"unknown {kind} {arguments[0]}; the nearest is {nearest(arguments[0], names)}"
    print(f"hf-nli: error: {problem}", file=sys.stderr)
    return 2


def run(name: str, argv: Sequence[str] | None = None) -> int:
    """Runs one command; most files in scripts/ are this with a name.

    Args:
        name: One of `COMMANDS`.
        argv: Its flags; by default the process's own.

    Returns:
        The exit code, as from `main`.
    """
    return execute(COMMANDS[name], f"hf-nli {name}", argv)


def execute(command: Command, prog: str, argv: Sequence[str] | None = None) -> int:
    """Reads a command's flags, runs it and tells what went wrong.

    Args:
        command: Any command.
        prog: What its error lines begin with.
        argv: Its flags; by default the process's own.

    Returns:
        The exit code, as from `main`.
    """
    try:
        settings = FlagParser(command.settings, prog, command.summary).parse(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        if first_process():  # all of them say the same
            print(f"{prog}: error: {error}", file=sys.stderr)
        return 2
    code = 0
    try:
        with session():
            command.execute(*settings)
    except InputError as error:
        if first_process():  # of several processes, all raise it
            print(f"{prog}: error: {error}", file=sys.stderr)
        code = 2
    except Interrupted as interrupted:
        if first_process():
            print(f"{prog}: {interrupted}", file=sys.stderr)
        code = interrupted.exit_code
    if "WORLD_SIZE" in os.environ:
        from hf_nli.core.processes import leave_others

        leave_others()
    return code
