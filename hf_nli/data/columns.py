"""Further columns of the pairs of a split: of which kind each pair is, and what each annotator said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow

from hf_nli.core.errors import InputError, listed, reason
from hf_nli.data.pairs import PairMaker, TwoWayLabel, clipped
from hf_nli.data.rows import Rows
from hf_nli.sources.columns import read_columns
from hf_nli.sources.forms import Columns
from hf_nli.sources.parts import Part

ANNOTATORS = "annotator_labels"
# Where tables have them: the .txt files of SNLI and MultiNLI, GLUE's MNLI.
_EACH_ANNOTATOR = tuple(f"label{number}" for number in range(1, 6))


def column_names(parts: Sequence[Part], where: str) -> list[str]:
    """Lists the columns that all parts of a split have.

    Args:
        parts: Where its rows are.
        where: What to call the split in errors.

    Returns:
        The names in the order of the first part, and `ANNOTATORS` where label1, label2, … are.

    Raises:
        InputError: If a part is damaged.
    """
    found = [read_columns(part, where) for part in parts]
    present = [[*columns, *([ANNOTATORS] if _annotators(columns) else [])] for columns in found]
    return [name for name in dict.fromkeys(present[0]) if all(name in others for others in present)]


def read_further(rows: Sequence[Rows], names: Sequence[str], labels: tuple[str, ...]) -> pyarrow.Table:
    """Reads columns of the rows that have a gold label.

    Args:
        rows: The rows of a split.
        names: Which of `column_names`.
        labels: The labels of its pairs.

    Returns:
        A column for each of the names, with the values that the source has; but ids whose names it knows become names,
        and `ANNOTATORS` are lists of names of `labels`, without the annotators who gave none.

    Raises:
        InputError: If there is no such column, a row can't be read, an annotator's label is unknown, or the values of
            a column are of several types.
    """
    where = rows[0].where
    there = column_names([each.part for each in rows], where)
    if lacking := [name for name in names if name not in there]:
        raise InputError(f"{where}: no column {lacking[0]} in {listed(there, 20)}")
    records = [record for each in rows for record in _records(each, names, labels)]
    arrays = {}
    for name in names:
        kind = pyarrow.list_(pyarrow.string()) if name == ANNOTATORS else None
        try:
            arrays[name] = pyarrow.array([record[name] for record in records], kind)
        except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise InputError(f"{where}: the values of column {name} are of several types ({reason(error)})") from error
    return pyarrow.table(arrays)


def _records(rows: Rows, names: Sequence[str], labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    present = read_columns(rows.part, rows.where)
    maker, label = rows.maker(labels), rows.columns[-1]
    annotators = _annotators(present) if ANNOTATORS in names else []

    def make(record: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            if maker.label_id(record.get(label)) is None:
                return None
            return {
                name: _said(record, annotators, maker, labels)
                if name == ANNOTATORS
                else _named(record.get(name), present[name])
                for name in names
            }
        except TwoWayLabel as error:
            raise ValueError("the labels are of two kinds: not_entailment among three-way ones") from error

    columns = dict.fromkeys([label, *annotators, *(name for name in names if name != ANNOTATORS)])
    return (made for made in rows.read(list(columns), make) if made is not None)


def _annotators(present: Columns) -> list[str]:
    """The columns with the annotators' labels."""
    return [ANNOTATORS] if ANNOTATORS in present else [name for name in _EACH_ANNOTATOR if name in present]


def _said(record: Mapping[str, Any], columns: Sequence[str], maker: PairMaker, labels: tuple[str, ...]) -> list[str]:
    given = record.get(ANNOTATORS) or [] if ANNOTATORS in columns else [record.get(name) for name in columns]
    if not isinstance(given, list) or not all(isinstance(label, str | None) for label in given):
        raise ValueError(f"{ANNOTATORS} is {clipped(given)}, not a list of labels' names")
    ids = (maker.label_id(label) for label in given if label)
    return [labels[index] for index in ids if index is not None]


def _named(value: Any, names: Sequence[str] | None) -> Any:
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None
