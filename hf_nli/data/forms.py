"""Forms of data files, by the ending of their names: a new form is a class and an entry in `FORMS`."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, Literal, Protocol, TextIO

import pyarrow
import pyarrow.parquet
from datasets import Features

from hf_nli.core.errors import reason

# Columns by name, with the names that ids in them stand for, if the file says so.
Columns = dict[str, list[str] | None]
# The line that a row ends on, from 1, if rows have lines, and the values asked for.
Row = tuple[int | None, tuple[Any, ...]]
# What `datasets` raises for damaged JSON of its own, which describes columns.
DAMAGED_FEATURES = (ValueError, LookupError, TypeError, AttributeError)


class DamagedRow(ValueError):
    """A row that can't be read, or isn't what it should be.

    Args:
        line: The line it ends on, if rows have lines.
        problem: What is wrong with it.
    """

    def __init__(self, line: int | None, problem: str) -> None:
        super().__init__(problem)
        self.line = line


class Form(Protocol):
    """How rows are kept in a file, which may be compressed by gzip."""

    def columns(self, file: Path) -> Columns:
        """Reads which columns a file has."""

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[Row]:
        """Reads the rows one by one, of each the values in these columns; raises `DamagedRow`."""


@dataclass(frozen=True)
class Fields:
    """Lines of fields below a line of their names. Fields are text, also empty ones."""

    delimiter: str
    quoting: Literal[0, 3]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE

    def columns(self, file: Path) -> Columns:
        """Reads the names."""
        with _text(file) as text:
            return dict.fromkeys(next(self._lines(text), (0, []))[1])

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[Row]:
        """Reads the fields; every row must have as many as there are names."""
        with _text(file) as text:
            lines = self._lines(text)
            _, names = next(lines)
            indices = [names.index(column) for column in columns]
            for line, fields in lines:
                if len(fields) < len(names):
                    raise DamagedRow(line, f"it has fewer fields than the header: {len(fields)}, not {len(names)}")
                if len(fields) > len(names):
                    raise DamagedRow(line, f"{len(fields)} fields, the header has {len(names)}")
                yield line, tuple([fields[index] for index in indices])

    def _lines(self, text: TextIO) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(text, delimiter=self.delimiter, quoting=self.quoting)
        try:
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
        except csv.Error as error:
            raise DamagedRow(reader.line_num, str(error)) from error


class JsonLines:
    """A JSON object a line."""

    def columns(self, file: Path) -> Columns:
        """Reads the keys of the first object."""
        return dict.fromkeys(next(self.objects(file), (None, {}))[1])

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[Row]:
        """Reads the objects; a key that one lacks has the value None."""
        for line, content in self.objects(file):
            yield line, tuple([content.get(column) for column in columns])

    def objects(self, file: Path) -> Iterator[tuple[int | None, dict[str, Any]]]:
        """Reads the objects, and the line of each."""
        with _text(file) as text:
            for number, line in enumerate(text, 1):
                if line.strip():
                    yield number, _object(_parsed(line, number), number)


class Json(JsonLines):
    """A JSON list of objects; or JSON Lines, which some call .json, too."""

    def objects(self, file: Path) -> Iterator[tuple[int | None, dict[str, Any]]]:
        """Reads the objects; those of a list have no lines."""
        with _text(file) as text:
            is_list = next((line for line in text if line.strip()), "").lstrip().startswith("[")
        if not is_list:
            yield from super().objects(file)
            return
        with _text(file) as text:
            content = json.load(text)
        for element in content:
            yield None, _object(element, None)


class Parquet:
    """Parquet, whose schema may say what label ids mean, as that of `datasets` does."""

    def columns(self, file: Path) -> Columns:
        """Reads the schema."""
        with _parquet(file) as parquet:
            schema = parquet.schema_arrow
        try:
            return names_of_ids(Features.from_arrow_schema(schema))
        except DAMAGED_FEATURES as error:
            raise pyarrow.ArrowInvalid(f"the schema is damaged: {reason(error)}") from error

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[Row]:
        """Reads the rows, a batch at a time."""
        with _parquet(file) as parquet:
            for batch in parquet.iter_batches(1000, columns=list(dict.fromkeys(columns))):
                yield from rows_of(batch, columns)


FORMS: Mapping[str, Form] = {
    ".jsonl": JsonLines(),  # before .txt: the Stanford release has the same rows in both
    ".txt": Fields("\t", csv.QUOTE_NONE),  # its sentences hold lone quotation marks
    ".json": Json(),
    ".csv": Fields(",", csv.QUOTE_MINIMAL),
    ".tsv": Fields("\t", csv.QUOTE_NONE),
    ".parquet": Parquet(),
}


def stem_and_suffix(file: str | PurePath) -> tuple[str, str]:
    """Splits the name of a file, compressed or not, into its beginning and the ending that tells its form.

    Args:
        file: The file's name or path.

    Returns:
        ("snli_1.0_dev", ".txt") for data/snli_1.0_dev.TXT.gz: the ending is in small letters, as in `FORMS`.
    """
    path = PurePath(file)
    if _is_compressed(path):
        path = PurePath(path.stem)
    return path.stem, path.suffix.lower()


def names_of_ids(features: Features) -> Columns:
    """Lists columns, and what the ids in those of class labels mean.

    Args:
        features: The columns and their types.
    """
    return {column: getattr(feature, "names", None) for column, feature in features.items()}


def rows_of(batch: pyarrow.RecordBatch | pyarrow.Table, columns: Sequence[str]) -> Iterator[Row]:
    """Gives the values in some columns, row by row.

    Args:
        batch: Rows that fit into memory.
        columns: The names of the columns.
    """
    return ((None, row) for row in zip(*(batch[name].to_pylist() for name in columns), strict=True))


def _is_compressed(file: PurePath) -> bool:
    return file.suffix.lower() == ".gz"


@contextmanager
def _text(file: Path) -> Iterator[TextIO]:
    opened = gzip.open if _is_compressed(file) else open
    with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
        yield text


@contextmanager
def _parquet(file: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    with tempfile.TemporaryFile() as plain, file.open("rb") as source:
        content: IO[bytes] = source
        if _is_compressed(file):  # it is read from its end
            with gzip.open(source) as packed:
                shutil.copyfileobj(packed, plain)
            content = plain
        with pyarrow.parquet.ParquetFile(content) as parquet:
            yield parquet


def _parsed(text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DamagedRow(line, f"can't be loaded as JSON ({error.msg}, at character {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits, too many brackets
        raise DamagedRow(line, f"can't be loaded as JSON ({error})") from error


def _object(content: Any, line: int | None) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise DamagedRow(line, f"can't be loaded: {json.dumps(content)[:40]} is no JSON object")
    return content
