"""Readers of text files: lines of fields, and JSON objects."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import pyarrow

from hf_nli.core.content import DamagedFile, DamagedRow, Errors, open_text

# Of a field, the most characters that Python's reader takes on all systems; its own limit is 131,072.
_LONGEST = 2**31 - 1
_UNCLOSED = "a quotation mark is opened and never closed"
_AFTER_QUOTE = 'text follows a closing quotation mark; within a quoted text each quotation mark is doubled ("")'

_QUOTED = re.compile('"(?:[^"]|"")*"')

_BLANKS = re.compile(r"[ \t\r\n]*")
_NEEDED = "a JSON object in one line, or all objects in a list, is needed"


# The line that a row begins on, from 1, if rows have lines, and its values by column; or what is wrong with the row.
Record = tuple[int | None, dict[str, Any] | DamagedRow]


@dataclass(frozen=True)
class Fields:
    """Lines of fields below a line of their names. Fields are text, also empty ones.

    Attributes:
        delimiter: What is between two fields.
        quoted: Whether quotation marks may stand around a field, as in csv; None if the first fields of a file that
            hold any tell that.
    """

    delimiter: str
    quoted: bool | None

    def columns(self, file: Path, errors: Errors) -> dict[str, list[str] | None]:
        """Reads the names."""
        with open_text(file, errors) as text:
            return dict.fromkeys(self._header(self._lines(text))[1])

    def schema(self, file: Path) -> pyarrow.Schema:
        """Reads the names; all fields are text."""
        return pyarrow.schema([(name, pyarrow.string()) for name in self.columns(file, "surrogateescape")])

    def records(self, file: Path, columns: Sequence[str] | None, errors: Errors) -> Iterator[Record]:
        """Reads the fields; every row must have as many as there are names."""
        with open_text(file, errors) as text:
            lines = self._lines(text)
            start, names = self._header(lines)
            for column in columns or names:
                if names.count(column) > 1:
                    raise DamagedFile(start, f"{names.count(column)} columns are named {column}; rename them")
            for line, fields in lines:
                if isinstance(fields, DamagedRow):
                    yield line, fields
                    continue
                record = dict(zip(names, fields, strict=False))
                if len(fields) != len(names):
                    yield line, DamagedRow(line, self._other_count(len(fields), len(names)), record)
                else:
                    yield line, record

    def _other_count(self, fields: int, names: int) -> str:
        remedy = "each row needs as many"
        if fields > names:
            remedy = "a text that holds a comma needs quotation marks" if self.quoted else "a text can't hold a tab"
        return f"{fields} field{'s' * (fields != 1)}, the header has {names}; {remedy}"

    def _header(self, lines: Iterator[tuple[int, list[str] | DamagedRow]]) -> tuple[int, list[str]]:
        start, names = next(lines, (None, []))
        if isinstance(names, DamagedRow):
            raise DamagedFile(names.line, str(names)) from names
        if start is None:
            raise DamagedFile(None, "it has no rows")
        if len(names) == 1:
            for other, called in {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}.items():
                if other in names[0]:
                    needed = "tabs" if self.delimiter == "\t" else "commas"
                    raise DamagedFile(start, f"its fields are separated by {called}; save it with {needed} instead")
        return start, names

    def _lines(self, text: TextIO) -> Iterator[tuple[int, list[str] | DamagedRow]]:
        """The lines that aren't empty, with their numbers; of a row of several lines, that of the first one."""
        if self.quoted:
            yield from self._quoted_lines(text)
            return
        unknown = self.quoted is None
        for number, line in enumerate(text, 1):
            fields = line.rstrip("\r\n").split(self.delimiter)
            if unknown and '"' in line:
                unknown = False
                if all(_is_csv_s(field) for field in fields if '"' in field):
                    yield from self._quoted_lines(chain([line], text), number - 1)
                    return
            if fields != [""]:
                yield number, fields

    def _quoted_lines(self, text: Iterable[str], before: int = 0) -> Iterator[tuple[int, list[str] | DamagedRow]]:
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        fields: list[str] | None = []
        while fields is not None:
            start = before + reader.line_num + 1
            limit = csv.field_size_limit(_LONGEST)  # it is the process's, and others may have set it
            try:
                fields = next(reader, None)
            except csv.Error as error:
                said = str(error)
                known = {"unexpected end": _UNCLOSED, "expected after": _AFTER_QUOTE}
                problem = next((ours for theirs, ours in known.items() if theirs in said), said)
                yield start, DamagedRow(start, problem)
                continue
            finally:
                csv.field_size_limit(limit)
            if fields:
                yield start, fields


def _is_csv_s(field: str) -> bool:
    """Says whether a field is what a csv writer makes of a text with quotation marks in it."""
    return _QUOTED.fullmatch(field) is not None and '""' in field[1:-1]


class Objects:
    """JSON objects, one a line (JSON Lines), or all of them in a list, whatever the file's name."""

    def columns(self, file: Path, errors: Errors) -> dict[str, list[str] | None]:
        """Reads the keys of the first object; if damaged ones are to be passed over, of the first whole one."""
        damaged = DamagedFile(None, "it has no rows")
        for _, content in _objects(file, errors):
            if not isinstance(content, DamagedRow):
                return dict.fromkeys(content)
            damaged = content
            if errors == "strict":
                break
        raise damaged

    def schema(self, file: Path) -> None:
        """Says nothing: any object may have any keys."""

    def records(self, file: Path, columns: Sequence[str] | None, errors: Errors) -> Iterator[Record]:
        """Reads the objects, each with the keys that it has."""
        yield from _objects(file, errors)


def _objects(file: Path, errors: Errors) -> Iterator[Record]:
    """Reads the objects, with the line that each begins on."""
    with open_text(file, errors) as text:
        lines = enumerate(text, 1)
        start, first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
        if first.lstrip().startswith("["):
            yield from _in_list("\n" * (start - 1) + first + text.read())
            return
        for number, line in chain([(start, first)], lines):
            if line.strip():
                yield number, parse_object(line, number)


def _in_list(text: str) -> Iterator[Record]:
    decoder, line, counted = json.JSONDecoder(), 1, 0
    position = _blanks_end(text, text.index("[") + 1)
    more = not text.startswith("]", position)
    while more:
        line += text.count("\n", counted, position)
        counted = position
        try:
            element, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise DamagedRow(
                error.lineno, f"can't be loaded as JSON ({error.msg}, at character {error.colno})"
            ) from error
        except (ValueError, RecursionError) as error:  # a number of too many digits, too many brackets
            raise DamagedRow(line, f"can't be loaded as JSON ({error})") from error
        yield line, _object(element, line)
        position = _blanks_end(text, position)
        end = line + text.count("\n", counted, position)
        more = text.startswith(",", position)
        if more:
            position = _blanks_end(text, position + 1)
        elif not text.startswith("]", position):
            raise DamagedFile(end, "can't be loaded as JSON (',' or ']' is missing after an object)")
    if text[position + 1 :].strip():
        raise DamagedFile(1 + text.count("\n", 0, _blanks_end(text, position + 1)), "text follows the end of the list")


def _blanks_end(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def parse_object(text: str, line: int) -> dict[str, Any] | DamagedRow:
    """Reads a line of JSON Lines.

    Args:
        text: The line.
        line: Its number, from 1.

    Returns:
        The object, or what is wrong.
    """
    try:
        return _object(json.loads(text), line)
    except json.JSONDecodeError as error:
        problem = f"can't be loaded as JSON ({error.msg}, at character {error.colno}); {_NEEDED}"
        return DamagedRow(line, problem)
    except (ValueError, RecursionError) as error:  # a number of too many digits, too many brackets
        return DamagedRow(line, f"can't be loaded as JSON ({error})")


def _object(content: Any, line: int) -> dict[str, Any] | DamagedRow:
    if not isinstance(content, dict):
        return DamagedRow(line, f"can't be loaded: {json.dumps(content)[:40]} is no JSON object; {_NEEDED}")
    return content
