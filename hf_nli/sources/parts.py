"""The parts of a split: files, or a table that `datasets` has loaded."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow

from hf_nli.core.cache import rows_key
from hf_nli.core.content import Errors
from hf_nli.core.errors import InputError, reason
from hf_nli.sources.forms import FORMS, Columns, Form, names_of_ids, records_of, stem_and_suffix
from hf_nli.sources.readers import Record

if TYPE_CHECKING:  # it takes a second, and files don't need it
    from datasets import Dataset

# What reading a damaged file raises, in its many forms.
_UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error, pyarrow.ArrowException)


class Part(Protocol):
    """Some rows of a split: a file or a table. `loading` tells what reading them raises, but for `DamagedFile`."""

    @property
    def name(self) -> str:
        """What to call it in errors."""

    def columns(self, errors: Errors = "strict") -> Columns:
        """Reads which columns there are."""

    def key(self, columns: Sequence[str]) -> object:
        """Says what identifies the values in these columns, as a part of a `cache.content_key`."""

    def schema(self) -> pyarrow.Schema | None:
        """Reads the columns and their types; see `forms.Form`."""

    def records(self, columns: Sequence[str] | None = None, errors: Errors = "strict") -> Iterator[Record]:
        """Reads row by row, only these columns where that saves work; see `forms.Form`."""


@dataclass(frozen=True)
class FilePart:
    """The rows in a file of one of `FORMS`.

    Attributes:
        path: The file.
        name: What to call it in errors, which is its name and where it is in the source.
    """

    path: Path
    name: str

    def columns(self, errors: Errors = "strict") -> Columns:
        """Reads the columns of the file."""
        return self._form.columns(self.path, errors)

    def key(self, columns: Sequence[str]) -> object:
        """Gives the file's path, size and time."""
        return file_key(self.path)

    def schema(self) -> pyarrow.Schema | None:
        """Reads the columns and their types."""
        return self._form.schema(self.path)

    def records(self, columns: Sequence[str] | None = None, errors: Errors = "strict") -> Iterator[Record]:
        """Reads the rows of the file."""
        return self._form.records(self.path, columns, errors)

    @property
    def _form(self) -> Form:
        return FORMS[stem_and_suffix(self.path)[1]]


@dataclass(frozen=True)
class TablePart:
    """The rows of a split that `datasets` has loaded."""

    name: str
    table: Dataset

    def columns(self, errors: Errors = "strict") -> Columns:
        """Gives the columns of the table."""
        return names_of_ids(self.table.features)

    def key(self, columns: Sequence[str]) -> object:
        """Computes a hash of the values."""
        return rows_key(self.table, columns)

    def schema(self) -> pyarrow.Schema:
        """Gives the columns of the table and their types."""
        return self.table.features.arrow_schema

    def records(self, columns: Sequence[str] | None = None, errors: Errors = "strict") -> Iterator[Record]:
        """Reads the rows of the table."""
        wanted = self.table if columns is None else self.table.select_columns(list(columns))
        for batch in wanted.with_format("arrow").iter(1000):
            yield from records_of(batch)


@contextmanager
def loading(source: str, *others: type[Exception]) -> Iterator[None]:
    """Tells in a line what reading damaged data raises.

    Args:
        source: What is read.
        others: Errors that mean damage there, beside those that reading files raises.

    Raises:
        InputError: Instead of these errors.
    """
    try:
        yield
    except (*_UNREADABLE, *others) as error:
        said = getattr(error, "strerror", None) or reason(error)
        raise InputError(f"{source}: can't be loaded, it is damaged or can't be read ({said})") from error


def called(source: str, part: str) -> str:
    """What to call a part in errors.

    Args:
        source: The data set, as it was given, or one of its splits.
        part: The part's name.
    """
    return source if part in source else f"{source}, {part}"


def file_key(file: Path) -> list[str | int]:
    """Says what identifies a file's content: its path, size and time, as `datasets` does.

    Args:
        file: The file.
    """
    stat = file.stat()
    return [os.fsdecode(file.resolve()), stat.st_size, stat.st_mtime_ns]
