"""Standard output and standard error as commands need them: of any encoding, and there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

from hf_nli.core.environment import first_process


class Output:
    """Writes to another stream, with an escape for what its encoding lacks, and notes an error.

    Args:
        stream: The other stream, whose attributes this has.

    Attributes:
        failure: The error, which who writes may have passed over, as argparse does.
    """

    def __init__(self, stream: TextIO) -> None:
        self.failure: OSError | None = None
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"  # a stream in memory has none

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, as any stream does."""
        try:
            return self._stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))
        except OSError as error:
            self.failure = error
            raise

    def finish(self) -> None:
        """Writes what waits to be; after an error, here or earlier, nothing is written any more."""
        try:
            self._stream.flush()
        except OSError as error:
            self.failure = error
        if self.failure:
            to_nowhere(self._stream)


def tell(prog: str, line: str, everywhere: bool = False) -> None:
    """Writes a line on standard error.

    Args:
        prog: What it begins with.
        line: The line.
        everywhere: Whether each of several processes is to say it; else the first one does.
    """
    if everywhere or first_process():
        try:
            print(f"{prog}: {printable(line)}", file=sys.stderr, flush=True)
        except OSError:  # nobody can be told
            to_nowhere(sys.stderr)


def printable(text: str) -> str:
    """Escapes what would break a line or can't be seen: newlines and control characters of names, undecodable bytes.

    Args:
        text: What is to be one line.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text
    )


def to_nowhere(stream: TextIO) -> None:
    """Drops what is written to a stream that failed: Python tries it again at its end, and complains."""
    with suppress(OSError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


@contextmanager
def standard_streams() -> Iterator[Output | None]:
    """Puts an `Output` in the place of standard output, as long as the block takes; gives None if that is closed.

    A closed stream's number goes to a file that leads nowhere, as long as the process lives: what libraries write to
    1 and 2 would else end up in the next file that is opened.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    with ExitStack() as undo:
        if sys.stderr is None:
            undo.enter_context(redirect_stderr(undo.enter_context(open(os.devnull, "w"))))
        if sys.stdout is None:
            yield None
            return
        output = Output(sys.stdout)
        undo.enter_context(redirect_stdout(output))
        yield output
