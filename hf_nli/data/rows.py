"""The rows of a split become pairs in one schema, in a file that is kept for later runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value
from tqdm.auto import tqdm

from hf_nli.core.cache import content_key, kept_folder, read_rows, write_rows
from hf_nli.core.errors import InputError
from hf_nli.core.files import write_json
from hf_nli.core.labels import TWO_WAY_LABELS, label_set
from hf_nli.data.forms import DamagedRow
from hf_nli.data.pairs import PairMaker, TwoWayLabel
from hf_nli.data.parts import Part, loading
from hf_nli.settings.options import DataOptions

CACHE_VERSION = 1  # to be raised when `forms`, `pairs`, `core.labels` or this module make other pairs of the same rows

_COUNTS = "counts.json"


@dataclass(frozen=True)
class Counts:
    """What the rows of a split were.

    Attributes:
        dropped: Rows without a gold label, which are left out.
        empty: Of the others, how many have an empty premise, and how many an empty hypothesis.
    """

    dropped: int
    empty: Mapping[str, int]


@dataclass(frozen=True)
class _Rows:
    """Some rows of a split: what makes pairs of them.

    Attributes:
        part: Where they are.
        where: What to call them in errors.
        columns: Where the premise, the hypothesis and the label are.
        names: What label ids mean, if that is known.
        parse: Whether the texts are binary parses.
    """

    part: Part
    where: str
    columns: tuple[str, ...]
    names: list[str] | None
    parse: bool

    def key(self) -> object:
        return [self.part.key(self.columns), self.columns, self.names, self.parse]

    def pairs(self, labels: tuple[str, ...]) -> Iterator[tuple[str, str, int] | None]:
        """Reads the pairs; None for a row without a gold label."""
        maker, done = PairMaker(labels, self.names, self.parse), 0
        try:
            with loading(self.where):
                for line, values in self.part.rows(self.columns):
                    try:
                        pair = maker.make(*values)
                    except ValueError as error:
                        raise DamagedRow(line, str(error)) from error
                    yield pair
                    done += 1
        except DamagedRow as error:
            raise _refusal(self.part, self.where, done + 1, error) from error


def read_pairs(parts: Sequence[Part], options: DataOptions, where: str) -> tuple[Dataset, Counts]:
    """Reads a split; what was read once is kept.

    Args:
        parts: Where its rows are.
        options: How to read them.
        where: What to call the split in errors.

    Returns:
        Rows of `premise` and `hypothesis` (string) and `label` (ClassLabel of `LABELS`, or of `TWO_WAY_LABELS` where
        label names are of that kind), mapped into memory; and what was counted.

    Raises:
        InputError: If a row can't be read, its label is unknown, or a column is missing.
    """
    rows = [_find_columns(part, options, f"{where}, {part.name}" if len(parts) > 1 else where) for part in parts]
    key = content_key([each.key() for each in rows], CACHE_VERSION)
    folder = kept_folder(f"pairs-{key}", lambda folder: _write(rows, folder))
    counts = json.loads((folder / _COUNTS).read_text(encoding="utf-8"))
    return read_rows(folder), Counts(**counts)


def _find_columns(part: Part, options: DataOptions, where: str) -> _Rows:
    try:
        with loading(where):
            present = part.columns()
    except DamagedRow as error:
        raise _refusal(part, where, 1, error) from error
    columns = []
    for column, candidates in options.columns.items():
        found = [name for name in candidates if name in present]
        if not found:
            raise InputError(
                f"{where}: no column for the {column} ({', '.join(candidates)}) in {', '.join(present)}; name it with "
                f"--{column}_column"
            )
        columns.append(found[0])
    names = options.label_names or present[columns[-1]]
    return _Rows(part, where, tuple(columns), names, options.text == "parse")


def _refusal(part: Part, where: str, row: int, error: DamagedRow) -> InputError:
    line = f" (line {error.line} of {part.name})" if error.line else ""
    return InputError(f"{where}, row {row}{line}: {error}")


def _write(rows: Sequence[_Rows], folder: Path) -> None:
    labels = label_set(name for each in rows for name in each.names or ())
    try:
        _write_pairs(rows, labels, folder)
    except TwoWayLabel:  # which labels there are is known when they are met
        _write_pairs(rows, TWO_WAY_LABELS, folder)


def _write_pairs(rows: Sequence[_Rows], labels: tuple[str, ...], folder: Path) -> None:
    counts: Counter[str] = Counter()

    def batches() -> Iterator[dict[str, list[Any]]]:
        read = chain.from_iterable(each.pairs(labels) for each in rows)
        with tqdm(desc="Reading", unit=" rows", dynamic_ncols=True) as bar:
            while batch := list(islice(read, 1000)):
                bar.update(len(batch))
                pairs = [pair for pair in batch if pair]
                counts["dropped"] += len(batch) - len(pairs)
                counts["premise"] += sum(not premise.strip() for premise, _, _ in pairs)
                counts["hypothesis"] += sum(not hypothesis.strip() for _, hypothesis, _ in pairs)
                yield {name: [pair[index] for pair in pairs] for index, name in enumerate(features)}

    features = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=list(labels)))
    write_rows(folder, features, batches())
    empty = {column: counts[column] for column in ("premise", "hypothesis")}
    write_json(folder / _COUNTS, {"dropped": counts["dropped"], "empty": empty})
