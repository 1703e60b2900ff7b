"""The one place that ends a command: what it says then, and its exit code."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable

from hf_nli.cli.output import standard_streams, to_nowhere
from hf_nli.cli.signals import Signals
from hf_nli.core.environment import first_process
from hf_nli.core.errors import InputError, Interrupted, reason
from hf_nli.core.versions import VERSION

_BROKEN_PIPE = 128 + 13  # as if SIGPIPE had ended it
# Of the machine or of what was given, wherever they come up.
_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in (
        "ENOSPC EDQUOT EFBIG EIO EROFS EACCES EPERM EBUSY EMFILE ENFILE ENAMETOOLONG ELOOP ENOTDIR EISDIR ESTALE"
    ).split()
}


def end(prog: str, work: Callable[[Signals], None], closing: bool) -> int:
    """Does what a command is to do, and ends it: with one line at most, and without a traceback.

    Args:
        prog: What its lines begin with.
        work: What to do; it sets `at_once` of what it is given to False when all modules are loaded.
        closing: Whether the process ends after this.

    Returns:
        The exit code: 0; 2 for bad input; 128 and the number of the signal that stopped it; 1 for a fault of ours, or
        if standard output can't be written to.

    Raises:
        SystemExit: After --help and --version, as from argparse.
    """

    code = _end(prog, work, closing)
    if processes := sys.modules.get("hf_nli.core.processes"):  # what was done without it has no others
        processes.leave_others()  # when the error, which holds on to a model, is gone
    return code


def _end(prog: str, work: Callable[[Signals], None], closing: bool) -> int:
    def stopped(number: int) -> None:
        _tell(prog, f"stopped by {signal.Signals(number).name}")

    with standard_streams() as output, Signals(stopped, closing) as signals:
        if output is None:
            _tell(prog, "error: standard output is closed; give it a place, if only > /dev/null")
            return 1
        failure: BaseException | None = None
        try:
            work(signals)
        except BaseException as error:  # the last net: what falls through it would be a traceback
            failure = error
        output.finish()
        if isinstance(failure, Interrupted):
            _tell(prog, str(failure))
            return failure.exit_code
        if signals.noted or isinstance(failure, KeyboardInterrupt):
            stopped(signals.noted or signal.SIGINT)
            return 128 + (signals.noted or signal.SIGINT)
        if output.failure and (failure is None or isinstance(failure, OSError | SystemExit)):
            return _lost_output(prog, output.failure)
        if isinstance(failure, SystemExit):
            raise failure
        return _explained(prog, failure) if failure else 0


def printable(text: str) -> str:
    """Escapes what would break a line or can't be seen: newlines and control characters of names, undecodable bytes.

    Args:
        text: What is to be one line.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text
    )


def _tell(prog: str, line: str, all_processes: bool = False) -> None:
    if all_processes or first_process():
        try:
            print(f"{prog}: {printable(line)}", file=sys.stderr, flush=True)
        except OSError:  # nobody can be told
            to_nowhere(sys.stderr)


def _lost_output(prog: str, error: OSError) -> int:
    if isinstance(error, BrokenPipeError):  # as `head` ends a pipe: nobody wants to know
        return _BROKEN_PIPE
    _tell(prog, f"error: standard output can't be written to ({error.strerror})")
    return 1


def _explained(prog: str, error: BaseException) -> int:
    """Says in a line what went wrong; gives the exit code."""
    if isinstance(error, InputError):
        _tell(prog, f"error: {error}")  # of several processes, all raise it
        return 2
    if line := _cause(error):
        _tell(prog, f"error: {line}", all_processes=True)
        return 2
    if os.environ.get("HF_NLI_DEBUG") == "1":
        traceback.print_exception(error)
    _tell(
        prog,
        f"error: a fault of hf-nli's own, {type(error).__name__}: {reason(error)}; {_write_traceback(error)}, with "
        "what you did; HF_NLI_DEBUG=1 shows the traceback here",
        all_processes=True,
    )
    return 1


def _cause(error: BaseException) -> str | None:
    """What of the machine or of what was given an error is due to, and what to do; None for a fault of ours."""
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return f"{where}{error.strerror}; free space, or choose another file or folder"
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
