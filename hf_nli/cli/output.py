"""Standard output and standard error as commands need them: of any encoding, and there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO


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
