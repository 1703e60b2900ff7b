"""Forms of output files, by the ending of their names: a new form is a class and an entry in `FORMS`."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet

from hf_nli.core.errors import InputError


class Form(Protocol):
    """How rows are written: some at a time, into parts, which become one file.

    Attributes:
        typed: Whether the types of columns have to be known.
    """

    typed: bool

    def check(self, record: Mapping[str, Any]) -> None:
        """Raises `ValueError` if a row can't be held."""

    def write_part(self, file: Path, records: Sequence[Mapping[str, Any]], schema: pyarrow.Schema) -> None:
        """Writes some rows; the schema names the columns, and tells their types if they have to be known."""

    def join(self, file: Path, parts: Sequence[Path], schema: pyarrow.Schema) -> None:
        """Makes the file of its parts."""


class JsonLines:
    """A JSON object a line, each with the keys that its row has."""

    typed = False

    def check(self, record: Mapping[str, Any]) -> None:
        """Refuses bytes, which JSON doesn't have."""
        json_line(record)

    def write_part(self, file: Path, records: Sequence[Mapping[str, Any]], schema: pyarrow.Schema) -> None:
        """See `Form`."""
        file.write_text("".join(map(json_line, records)), encoding="utf-8", newline="")

    def join(self, file: Path, parts: Sequence[Path], schema: pyarrow.Schema) -> None:
        """See `Form`."""
        _concatenate(file, b"", parts)


class Fields:
    """Lines of fields below a line of their names; a value that is no text is written as JSON, None as no character.

    Args:
        delimiter: What is between two fields.
        quoted: Whether quotation marks may stand around a field, as in csv.
    """

    typed = False

    def __init__(self, delimiter: str, quoted: bool) -> None:
        self._delimiter, self._quoted = delimiter, quoted

    def check(self, record: Mapping[str, Any]) -> None:
        """Refuses bytes, and text that holds what separates fields or lines, if quotation marks can't help."""
        for column, value in record.items():
            text = _field(value)
            if not self._quoted and any(each in text for each in "\t\n\r"):
                raise ValueError(f"column {column} holds a tab or a new line, which .tsv can't; write .csv or .jsonl")

    def write_part(self, file: Path, records: Sequence[Mapping[str, Any]], schema: pyarrow.Schema) -> None:
        """See `Form`."""
        lines = [[_field(record.get(column)) for column in schema.names] for record in records]
        file.write_text(self._text(lines), encoding="utf-8", newline="")

    def join(self, file: Path, parts: Sequence[Path], schema: pyarrow.Schema) -> None:
        """See `Form`."""
        _concatenate(file, self._text([schema.names]).encode(), parts)

    def _text(self, lines: Sequence[Sequence[str]]) -> str:
        if not self._quoted:
            return "".join(self._delimiter.join(line) + "\n" for line in lines)
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\n").writerows(lines)
        return text.getvalue()


class Parquet:
    """Parquet, with the types that the input has."""

    typed = True

    def check(self, record: Mapping[str, Any]) -> None:
        """Takes anything."""

    def write_part(self, file: Path, records: Sequence[Mapping[str, Any]], schema: pyarrow.Schema) -> None:
        """See `Form`."""
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(records), schema), file)

    def join(self, file: Path, parts: Sequence[Path], schema: pyarrow.Schema) -> None:
        """See `Form`; each part is a row group."""
        with pyarrow.parquet.ParquetWriter(file, schema) as writer:
            for part in parts:
                writer.write_table(pyarrow.parquet.read_table(part, partitioning=None))


FORMS: Mapping[str, Form] = {
    ".jsonl": JsonLines(),
    ".csv": Fields(",", quoted=True),
    ".tsv": Fields("\t", quoted=False),
    ".parquet": Parquet(),
}


def form_of(output_file: str) -> Form:
    """Finds the form of an output file by its name.

    Args:
        output_file: Its name.

    Raises:
        InputError: If there is none.
    """
    form = FORMS.get(Path(output_file).suffix.lower())
    if form is None:
        raise InputError(f"--output_file {output_file}: its name must end in {', '.join(FORMS)}, or be -")
    return form


def json_line(record: Mapping[str, Any], ascii_only: bool = False) -> str:
    """Lays a row out as a line of JSON.

    Args:
        record: Its values by column.
        ascii_only: Whether other characters are to be escaped.

    Raises:
        ValueError: If JSON can't hold one.
    """
    return json.dumps(record, ensure_ascii=ascii_only, default=_plain) + "\n"


def _field(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_line(value)[:-1].strip('"')


def _plain(value: Any) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise ValueError(f"a value is {type(value).__name__}, which text can't hold; write .parquet")


def _concatenate(file: Path, header: bytes, parts: Sequence[Path]) -> None:
    with file.open("wb") as whole:
        whole.write(header)
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, whole)
