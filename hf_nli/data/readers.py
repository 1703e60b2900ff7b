"""Readers of text files: lines of fields, and JSON objects."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from hf_nli.core.content import DamagedFile, DamagedRow, open_text

# Of a field, the most characters that Python's reader takes on all systems; its own limit is 131,072.
_LONGEST = 2**31 - 1
_UNCLOSED = "a quotation mark is opened and never closed"
_AFTER_QUOTE = 'text follows a closing quotation mark; within a quoted text each quotation mark is doubled ("")'

_BLANKS = re.compile(r"[ \t\r\n]*")
_NEEDED = "a JSON object in one line, or all objects in a list, is needed"


@dataclass(frozen=True)
class Fields:
    """Lines of fields below a line of their names. Fields are text, also empty ones.

    Attributes:
        delimiter: What is between two fields.
        quoted: Whether quotation marks may stand around a field, as in csv.
    """

    delimiter: str
    quoted: bool

    def columns(self, file: Path) -> dict[str, list[str] | None]:
        """Reads the names."""
        with open_text(file) as text:
            return dict.fromkeys(self._header(self._lines(text))[1])

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Reads the fields; every row must have as many as there are names."""
        with open_text(file) as text:
            lines = self._lines(text)
            start, names = self._header(lines)
            for column in columns:
                if names.count(column) > 1:
                    raise DamagedFile(start, f"{names.count(column)} columns are named {column}; rename them")
            indices = [names.index(column) for column in columns]
            for line, fields in lines:
                if len(fields) != len(names):
                    raise DamagedRow(line, self._other_count(len(fields), len(names)))
                yield line, tuple([fields[index] for index in indices])

    def _other_count(self, fields: int, names: int) -> str:
        remedy = "each row needs as many"
        if fields > names:
            remedy = "a text that holds a comma needs quotation marks" if self.quoted else "a text can't hold a tab"
        return f"{fields} field{'s' * (fields != 1)}, the header has {names}; {remedy}"

    def _header(self, lines: Iterator[tuple[int, list[str]]]) -> tuple[int, list[str]]:
        try:
            start, names = next(lines, (None, []))
        except DamagedRow as error:
            raise DamagedFile(error.line, str(error)) from error
        if start is None:
            raise DamagedFile(None, "it has no rows")
        if len(names) == 1:
            for other, called in {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}.items():
                if other in names[0]:
                    needed = "tabs" if self.delimiter == "\t" else "commas"
                    raise DamagedFile(start, f"its fields are separated by {called}; save it with {needed} instead")
        return start, names

    def _lines(self, text: TextIO) -> Iterator[tuple[int, list[str]]]:
        """The lines that aren't empty, with their numbers; of a row of several lines, that of the first one."""
        if self.quoted:
            yield from self._quoted_lines(text)
            return
        for number, line in enumerate(text, 1):
            if line := line.rstrip("\r\n"):
                yield number, line.split(self.delimiter)

    def _quoted_lines(self, text: TextIO) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        fields: list[str] | None = []
        while fields is not None:
            start = reader.line_num + 1
            limit = csv.field_size_limit(_LONGEST)  # it is the process's, and others may have set it
            try:
                fields = next(reader, None)
            except csv.Error as error:
                said = str(error)
                known = {"unexpected end": _UNCLOSED, "expected after": _AFTER_QUOTE}
                problem = next((ours for theirs, ours in known.items() if theirs in said), said)
                raise DamagedRow(start, problem) from error
            finally:
                csv.field_size_limit(limit)
            if fields:
                yield start, fields


class Objects:
    """JSON objects, one a line (JSON Lines), or all of them in a list, whatever the file's name."""

    def columns(self, file: Path) -> dict[str, list[str] | None]:
        """Reads the keys of the first object."""
        for _, content in _objects(file):
            return dict.fromkeys(content)
        raise DamagedFile(None, "it has no rows")

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Reads the objects; a key that one lacks has the value None."""
        for line, content in _objects(file):
            yield line, tuple([content.get(column) for column in columns])


def _objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Reads the objects, with the line that each begins on."""
    with open_text(file) as text:
        lines = enumerate(text, 1)
        start, first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
        if first.lstrip().startswith("["):
            yield from _in_list("\n" * (start - 1) + first + text.read())
            return
        for number, line in chain([(start, first)], lines):
            if line.strip():
                yield number, _object(_parsed(line, number), number)


def _in_list(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
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


def _parsed(text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"can't be loaded as JSON ({error.msg}, at character {error.colno}); {_NEEDED}"
        raise DamagedRow(line, problem) from error
    except (ValueError, RecursionError) as error:  # a number of too many digits, too many brackets
        raise DamagedRow(line, f"can't be loaded as JSON ({error})") from error


def _object(content: Any, line: int) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise DamagedRow(line, f"can't be loaded: {json.dumps(content)[:40]} is no JSON object; {_NEEDED}")
    return content
