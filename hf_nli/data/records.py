"""Whole rows of a source, all that is in them, with the texts of their pairs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow

from hf_nli.core.content import DamagedFile, DamagedRow, Errors
from hf_nli.core.errors import InputError
from hf_nli.data.pairs import make_texts
from hf_nli.settings.options import TextOptions
from hf_nli.sources.columns import find_columns, read_columns, refusal
from hf_nli.sources.parts import called, loading
from hf_nli.sources.source import find_splits, open_source

_SURROGATES = re.compile("[\ud800-\udfff]")
SKIP = "leave such rows unanswered with --skip_bad_rows"


@dataclass(frozen=True)
class Row:
    """A row of a source.

    Attributes:
        record: All that is in it, by column.
        pair: Its premise and hypothesis; None if it has none.
        problem: Why it has none.
    """

    record: dict[str, Any]
    pair: tuple[str, str] | None
    problem: str | None = None


@dataclass(frozen=True)
class Scan:
    """What all rows are.

    Attributes:
        rows: How many there are.
        columns: Their columns, in the order in which they are met.
        sha256: What identifies their content.
        schema: The types of the columns, if they were asked for.
    """

    rows: int
    columns: tuple[str, ...]
    sha256: str
    schema: pyarrow.Schema | None


class Records:
    """The rows of a split, read one by one, in order, as often as they are asked for.

    Args:
        source: What `load.load_nli` takes.
        split: Which split; None if there is only one.
        options: How to read it.
        tolerant: Whether a row without a pair is given, with its problem. Else it ends the reading.

    Raises:
        InputError: If there is no such source or split, or it has no columns of premises and hypotheses.
    """

    def __init__(self, source: str, split: str | None, options: TextOptions, tolerant: bool = False) -> None:
        splits = open_source(source, options.dataset_config, options.dataset_revision)
        found = list(splits) if split is None else find_splits(splits, split)
        if len(found) != 1:
            asked = f"no split named {split}" if split else "more than one split; name one with --split"
            raise InputError(f"{source}: {asked}; it has {', '.join(splits)}")
        self._where = source if len(splits) == 1 else f"{source}, {found[0]}"
        self._options, self._tolerant = options, tolerant
        self._errors: Errors = "surrogateescape" if tolerant else "strict"
        self._parts = splits[found[0]].parts
        self._columns = [
            find_columns(part, read_columns(part, self._where, self._errors), options, self._where)
            for part in self._parts
        ]

    def __iter__(self) -> Iterator[Row]:
        """Reads the rows.

        Raises:
            InputError: If a file is damaged, or a row has no pair and that isn't tolerated.
        """
        parse = self._options.text == "parse"
        for part, columns in zip(self._parts, self._columns, strict=True):
            done = 0
            try:
                with loading(called(self._where, part.name)):
                    for line, record in part.records(errors=self._errors):
                        try:
                            yield make_row(line, record, columns["premise"], columns["hypothesis"], parse)
                        except DamagedRow as error:
                            if not self._tolerant:
                                raise DamagedRow(error.line, f"{error}; {SKIP}") from error
                            problem = str(refusal(part, self._where, done + 1, error))
                            yield Row(printable(error.record), None, problem)
                        done += 1
            except DamagedFile as error:
                raise refusal(part, self._where, done + 1, error) from error

    def scan(self, typed: bool, check: Callable[[Mapping[str, Any]], None]) -> Scan:
        """Reads all rows once, as what they are has to be known before the first one is written.

        Args:
            typed: Whether the types of all columns are needed.
            check: Raises `ValueError` if what is in a row can't be written.

        Raises:
            InputError: As in reading; if there are no rows; if the values of a column are of several types; if a row
                can't be written.
        """
        rows, digest = 0, hashlib.sha256()
        columns: dict[str, None] = {}
        schemas: list[pyarrow.Schema] = []
        read = iter(self)
        while chunk := list(islice(read, 1000)):
            for row in chunk:
                rows += 1
                try:
                    check(row.record)
                except ValueError as error:
                    raise InputError(f"{self._where}, row {rows}: {error}") from error
                columns.update(dict.fromkeys(row.record))
                digest.update(repr((row.record, row.pair)).encode("utf-8", "surrogatepass"))
            if typed:
                schemas.append(self._infer([row.record for row in chunk], tuple(columns)))
        if not rows:
            raise InputError(f"{self._where}: it has no rows")
        return Scan(rows, tuple(columns), digest.hexdigest(), self._schema(schemas) if typed else None)

    def _infer(self, records: Sequence[dict[str, Any]], columns: Sequence[str]) -> pyarrow.Schema:
        types = {}
        for column in columns:
            try:
                types[column] = pyarrow.array([record.get(column) for record in records]).type
            except pyarrow.ArrowException as error:
                raise self._mixed(column) from error
        return pyarrow.schema(types.items())

    def _schema(self, inferred: Sequence[pyarrow.Schema]) -> pyarrow.Schema:
        """The types that the source says; else those of the values."""
        with loading(self._where):
            said = [part.schema() for part in self._parts]
        try:
            known = [schema for schema in said if schema is not None]
            return pyarrow.unify_schemas(known if len(known) == len(said) else inferred, promote_options="permissive")
        except pyarrow.ArrowException as error:
            raise self._mixed(str(error).splitlines()[0]) from error

    def _mixed(self, column: str) -> InputError:
        return InputError(
            f"{self._where}: the values of a column are of several types, which Parquet can't hold ({column}); write "
            "an --output_file that ends in .jsonl"
        )


def make_row(line: int | None, record: dict[str, Any] | DamagedRow, premise: str, hypothesis: str, parse: bool) -> Row:
    """Makes a row of what was read.

    Args:
        line: The line that it begins on, if it has one.
        record: What was read.
        premise: The column of the premise.
        hypothesis: The column of the hypothesis.
        parse: Whether these are binary parses.

    Raises:
        DamagedRow: If it holds no pair, or text that isn't Unicode.
    """
    if isinstance(record, DamagedRow):
        raise record
    try:
        text = _json(record)
        if not text.isascii():
            text.encode()
        return Row(record, make_texts(record.get(premise), record.get(hypothesis), parse))
    except UnicodeEncodeError as error:
        problem = "it holds bytes that aren't UTF-8, or half of a surrogate pair; save it as UTF-8"
        raise DamagedRow(line, problem, record) from error
    except ValueError as error:
        raise DamagedRow(line, str(error), record) from error


def printable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces what isn't Unicode in what could be read of a row.

    Args:
        record: Its values by column.
    """
    text = _json(record)
    found: dict[str, Any] = dict(record) if text.isascii() else json.loads(_SURROGATES.sub("\ufffd", text))
    return found


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, default=str)
