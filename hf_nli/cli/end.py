"""The one place that ends a command: what it says then, and its exit code."""

from __future__ import annotations

import errno
import gc
import os
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from hf_nli.cli.output import Output, standard_streams, tell
from hf_nli.cli.signals import Signals, stopped_by
from hf_nli.core.disk import REFUSALS
from hf_nli.core.environment import STOP_SIGNALS, VERSION
from hf_nli.core.errors import InputError, Interrupted, reason

_BROKEN_PIPE = 128 + 13  # as if SIGPIPE had ended it
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class _Ending:
    """How a command ended.

    Attributes:
        code: The exit code.
        line: What to say.
        everywhere: Whether each of several processes has to say it, as the others may have ended in another way.
        asked_for: Whether help or a version was asked for, and printed.
    """

    code: int
    line: str = ""
    everywhere: bool = False
    asked_for: bool = False


def end(prog: str, work: Callable[[Signals], None], closing: bool) -> int:
    """Does what a command is to do, and ends it: with one line at most, and without a traceback.

    Args:
        prog: What its lines begin with.
        work: What to do; it sets `at_once` of what it is given to False when all modules are loaded.
        closing: Whether the process ends after this.

    Returns:
        The exit code: 0; 2 for bad input; what `STOP_SIGNALS` says of the signal that stopped it; 1 for a fault of
        ours, or if standard output can't be written to.

    Raises:
        SystemExit: After --help and --version, as from argparse.
    """
    if closing and sys.getfilesystemencoding() != "utf-8":
        # Tokenizers and safetensors take names as UTF-8 alone, which those of other locales then aren't.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    with standard_streams() as output, Signals(prog, closing) as signals:
        ending = _ending(work, signals, output)
        # The error is gone by now, and with it what it held on to: progress bars, which end their lines, and models.
        if ending.line:
            gc.collect()  # it may have held itself, too
            tell(prog, ending.line, ending.everywhere)
        if processes := sys.modules.get("hf_nli.core.processes"):  # what was done without it has no others
            processes.leave_others()
    if ending.asked_for:
        raise SystemExit(ending.code)
    return ending.code


def _ending(work: Callable[[Signals], None], signals: Signals, output: Output | None) -> _Ending:
    if output is None:
        return _Ending(1, "error: standard output is closed; give it a place, if only > /dev/null")
    ending = _Ending(0)
    try:
        try:
            work(signals)
        finally:
            signals.at_once = True
    except SystemExit:
        ending = _Ending(0, asked_for=True)
    except Interrupted as interrupted:
        ending = _Ending(STOP_SIGNALS[interrupted.signal_number], str(interrupted))
    except KeyboardInterrupt:
        ending = _stopped(signal.SIGINT)  # or what was noted, see below
    except BaseException as error:  # the last net: what falls through it would be a traceback
        # A signal may have become another library's error, and an error of the output is told below.
        ending = _Ending(0) if signals.noted or error is output.failure else _explained(error)
    output.finish()
    if signals.noted:
        return _stopped(signals.noted)
    if output.failure and ending.code == 0:
        if isinstance(output.failure, BrokenPipeError):  # as `head` ends a pipe: nobody wants to know
            return _Ending(_BROKEN_PIPE)
        return _Ending(1, f"error: standard output can't be written to ({output.failure.strerror})")
    return ending


def _stopped(number: int) -> _Ending:
    return _Ending(STOP_SIGNALS[number], stopped_by(number))


def _explained(error: BaseException) -> _Ending:
    """Says in a line what went wrong."""
    if isinstance(error, InputError):
        return _Ending(2, f"error: {error}")  # of several processes, all raise it
    if line := _cause(error):
        return _Ending(2, f"error: {line}", everywhere=True)
    if os.environ.get("HF_NLI_DEBUG") == "1":
        traceback.print_exception(error)
    return _Ending(
        1,
        f"error: a fault of hf-nli's own, {type(error).__name__}: {reason(error)}; {_write_traceback(error)}, with "
        "what you did; HF_NLI_DEBUG=1 shows the traceback here",
        everywhere=True,
    )


def _cause(error: BaseException) -> str | None:
    """What of the machine or of what was given an error is due to, and what to do; None for a fault of ours."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{os.strerror(error.errno)}; close other programs, or raise the limit of ulimit -n"
    if isinstance(error, OSError) and error.errno and error.errno in REFUSALS:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        remedy = "free some space" if error.errno in _NO_SPACE else "choose another file or folder"
        return f"{where}{os.strerror(error.errno)}; {remedy}"
    if isinstance(error, FileNotFoundError) and error.filename is None:  # of os.getcwd
        return "the current folder was deleted; go to one that is there"
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        return "not enough memory; smaller batches or a smaller --max_seq_length need less"
    return None


def _write_traceback(error: BaseException) -> str:
    """Writes to a temporary file what a report of a fault needs; gives how to report it."""
    command = shlex.join(sys.argv)
    text = "".join([f"hf-nli {VERSION}, Python {sys.version}\n{command}\n", *traceback.format_exception(error)])
    try:
        descriptor, path = tempfile.mkstemp(prefix="hf_nli_", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as failure:
        return f"its traceback can't be written ({failure.strerror}); please report it to hf-nli's developers"
    return f"its traceback is in {path}: please report it to hf-nli's developers with that file"
