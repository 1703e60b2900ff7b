"""What is in a file, whatever its name says: text or not, compressed or not."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import IO, Any, Literal, TextIO, cast

from hf_nli.core.errors import InputError

Errors = Literal["strict", "surrogateescape"]

# How other files than text begin, once unpacked, and what to do with them.
_NO_TEXT = {
    b"\x1f\x8b": "it is compressed twice; unpack it",
    b"\xfd7zXZ\0": "it is compressed by xz; unpack it",
    b"BZh": "it is compressed by bzip2; unpack it",
    b"\x28\xb5\x2f\xfd": "it is compressed by Zstandard; unpack it",
    b"PK\x03\x04": "it is a zip or a spreadsheet; unpack it, or save the table as csv",
    b"PAR1": "it is Parquet; name it .parquet",
    b"\xff\xfe": "it is text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is text in UTF-16; save it as UTF-8",
}

_PIECE = 2**16  # bytes that are unpacked at once


class DamagedFile(ValueError):
    """A file that can't be read, or isn't what it should be.

    Args:
        line: The line with the fault, from 1, if it has one.
        problem: What is wrong, and what to do.
    """

    def __init__(self, line: int | None, problem: str) -> None:
        super().__init__(problem)
        self.line = line


class DamagedRow(DamagedFile):
    """A row that can't be read, or isn't what it should be; `line` is the one that it begins on.

    Attributes:
        record: What could be read of it, by column.
    """

    def __init__(self, line: int | None, problem: str, record: Mapping[str, Any] | None = None) -> None:
        super().__init__(line, problem)
        self.record = record or {}


@contextmanager
def open_text(file: Path, errors: Errors = "strict") -> Iterator[TextIO]:
    """Opens UTF-8 text, compressed by gzip or not; line ends stay what they are.

    Args:
        file: A regular file.
        errors: What becomes of bytes that aren't UTF-8; see `open`.

    Raises:
        DamagedFile: If it isn't such text, also where that is found in reading.
    """
    with open_bytes(file) as content:
        start = content.read(1024)
    for beginning, problem in _NO_TEXT.items():
        if start.startswith(beginning):
            raise DamagedFile(None, problem)
    if b"\0" in start:
        raise DamagedFile(None, "it holds NUL bytes, as binary files and text in UTF-16 do; save it as text in UTF-8")
    with open_bytes(file) as content, TextIOWrapper(content, "utf-8-sig", errors, newline="") as text:
        try:
            yield text
        except UnicodeDecodeError as error:
            raise _not_utf8(file) from error


def open_bytes(file: Path) -> IO[bytes]:
    """Opens a file, and unpacks it if its content is compressed by gzip.

    Args:
        file: A regular file.

    Raises:
        DamagedFile: In reading, if it becomes far larger.
    """
    return BufferedReader(_Unpacked(file), _PIECE) if is_gzip(file) else file.open("rb")


class _Unpacked(RawIOBase):
    """What a file becomes that is compressed by gzip, as far as it is reasonable."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._content = cast("IO[bytes]", gzip.open(file))
        self._size, self._unpacked = file.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._content.read(len(buffer))
        buffer[: len(piece)] = piece
        self._unpacked += len(piece)
        check_unpacked(self._unpacked, self._size)
        return len(piece)

    def close(self) -> None:
        self._content.close()
        super().close()


def check_unpacked(unpacked: int, size: int) -> None:
    """Refuses content that would take far more memory than the file that it is in.

    Args:
        unpacked: The bytes that the content would take, as far as that is known.
        size: The bytes that the file has.

    Raises:
        DamagedFile: If the content is larger than any that compression explains: texts become ten times their file's
            size, weights hardly more than it.
    """
    if unpacked > 100 * size + 2**26:
        problem = f"{size:,} bytes that would become {unpacked:,} or more; that is no file of data or weights"
        raise DamagedFile(None, problem)


def is_gzip(file: Path) -> bool:
    """Says whether a file's content is compressed by gzip."""
    with file.open("rb") as content:
        return content.read(2) == b"\x1f\x8b"


def _not_utf8(file: Path) -> DamagedFile:
    """Finds the first line that isn't UTF-8."""
    with open_bytes(file) as content:
        for number, line in enumerate(content, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                problem = f"can't be loaded, the text is not UTF-8 (byte 0x{line[error.start]:02x}); save it as UTF-8"
                return DamagedFile(number, problem)
    return DamagedFile(None, "can't be loaded, the text is not UTF-8; save it as UTF-8")


def refuse_surrogates(*texts: str) -> None:
    """Raises `InputError` if a text isn't Unicode: Python reads undecodable bytes as halves of surrogate pairs."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{text!r} holds half of a surrogate pair, which is no character; give the text as UTF-8"
            ) from error
