"""The rows of a split become pairs in one schema, in a file that is kept for later runs."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow
import pyarrow.compute
from datasets import ClassLabel, Dataset, Features, Value
from tqdm.auto import tqdm

from hf_nli.core.cache import content_key, kept_folder, read_rows, rows_key, write_rows
from hf_nli.core.content import DamagedFile, DamagedRow
from hf_nli.core.errors import InputError
from hf_nli.core.files import write_json
from hf_nli.core.labels import LABELS, TWO_WAY_LABELS, label_set, renamed
from hf_nli.data.pairs import PairMaker, TwoWayLabel
from hf_nli.settings.options import DataOptions
from hf_nli.sources.columns import find_columns, read_columns, refusal
from hf_nli.sources.parts import Part, called, loading

# To be raised when the modules that read forms, `pairs`, `core.labels` or this one make other pairs of the same rows.
CACHE_VERSION = 3

_COUNTS = "counts.json"

Made = TypeVar("Made")


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
class Rows:
    """Some rows of a split, and what makes pairs of them.

    Attributes:
        part: Where they are.
        where: What to call them in errors.
        columns: Where the premise, the hypothesis and the label are.
        names: What label ids mean, if that is known.
        options: How to read them.
    """

    part: Part
    where: str
    columns: tuple[str, ...]
    names: list[str] | None
    options: DataOptions

    def key(self) -> object:
        parse = self.options.text == "parse"
        return [self.part.key(self.columns), self.columns, self.names, parse, self.options.renamed]

    def pairs(self, labels: tuple[str, ...], met: set[str]) -> Iterator[tuple[str, str, int] | None]:
        """Reads the pairs; None for a row without a gold label. Label names that weren't known go into `met`."""
        maker = self.maker(labels)
        yield from self.read(self.columns, lambda record: maker.make(*map(record.get, self.columns)))
        if self.names is None:
            met |= maker.met

    def maker(self, labels: tuple[str, ...]) -> PairMaker:
        """Gives what makes pairs with these labels."""
        return PairMaker(labels, self.names, self.options.text == "parse", self.options.renamed)

    def read(self, columns: Sequence[str], make: Callable[[Mapping[str, Any]], Made]) -> Iterator[Made]:
        """Reads what is made of the values of each row.

        Args:
            columns: Which values are needed.
            make: Raises `ValueError` if something is wrong with them.

        Raises:
            InputError: If a row can't be read, or something is wrong with it.
        """
        done = 0
        try:
            with loading(called(self.where, self.part.name)):
                for line, record in self.part.records(columns):
                    if isinstance(record, DamagedRow):
                        raise record
                    try:
                        made = make(record)
                    except ValueError as error:
                        raise DamagedRow(line, str(error)) from error
                    yield made
                    done += 1
        except DamagedFile as error:
            raise refusal(self.part, self.where, done + 1, error) from error


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
        InputError: If a row can't be read, its label is unknown, a column is missing, or there are no rows.
    """
    rows = find_rows(parts, options, where)
    key = content_key([each.key() for each in rows], CACHE_VERSION)
    folder = kept_folder(f"pairs-{key}", lambda folder: _write(rows, folder))
    counts = Counts(**json.loads((folder / _COUNTS).read_text(encoding="utf-8")))
    pairs = read_rows(folder)
    if not len(pairs) + counts.dropped:
        raise InputError(f"{called(where, parts[0].name)}: it has no rows")
    return pairs, counts


def find_rows(parts: Sequence[Part], options: DataOptions, where: str) -> list[Rows]:
    """Finds what makes pairs of the rows of a split; see `read_pairs`."""
    rows = []
    for part in parts:
        present = read_columns(part, where)
        columns = find_columns(part, present, options, where)
        names = options.label_names or present[columns["label"]]
        rows.append(Rows(part, where, tuple(columns.values()), names, options))
    return rows


def two_way_pairs(pairs: Dataset) -> Dataset:
    """Takes neutral and contradiction of three-way pairs for not_entailment; two-way ones stay as they are.

    Args:
        pairs: What `read_pairs` gives.
    """
    if getattr(pairs.features["label"], "names", None) != list(LABELS):
        return pairs
    features = _features(TWO_WAY_LABELS)

    def batches() -> Iterator[dict[str, Any]]:
        for batch in pairs.with_format("arrow").iter(10_000):
            columns = {name: batch[name].combine_chunks() for name in features}
            yield columns | {"label": pyarrow.compute.min_element_wise(columns["label"], 1)}

    key = content_key(rows_key(pairs, list(features)), "two_way", CACHE_VERSION)
    return read_rows(kept_folder(f"pairs-{key}", lambda folder: write_rows(folder, features, batches())))


def own_label_names(parts: Sequence[Part], options: DataOptions, where: str) -> list[list[str]]:
    """Finds what label ids mean by what a split's files say, as those of `datasets` do.

    Args:
        parts: Where its rows are.
        options: How to read them; their label names aren't looked at.
        where: What to call the split in errors.

    Returns:
        The names of the ids 0, 1, …, of each part that has any.
    """
    unsaid = dataclasses.replace(options, label_names=None)
    return [names for part in parts if (names := find_rows([part], unsaid, where)[0].names)]


def _write(rows: Sequence[Rows], folder: Path) -> None:
    meanings = rows[0].options.renamed
    # What labels are said to mean tells of which kind the data are, even if these rows have none of them.
    known = [renamed(name, meanings) for each in rows for name in each.names or ()]
    labels = label_set([*known, *meanings.values()])
    try:
        _write_pairs(rows, labels, folder)
    except TwoWayLabel:  # which labels there are is known when they are met
        _write_pairs(rows, TWO_WAY_LABELS, folder)


def _write_pairs(rows: Sequence[Rows], labels: tuple[str, ...], folder: Path) -> None:
    counts: Counter[str] = Counter()
    met: set[str] = set()

    def batches() -> Iterator[dict[str, list[Any]]]:
        read = chain.from_iterable(each.pairs(labels, met) for each in rows)
        with tqdm(desc="Reading", unit=" rows", dynamic_ncols=True) as bar:
            while batch := list(islice(read, 1000)):
                bar.update(len(batch))
                pairs = [pair for pair in batch if pair]
                counts["dropped"] += len(batch) - len(pairs)
                counts["premise"] += sum(not premise.strip() for premise, _, _ in pairs)
                counts["hypothesis"] += sum(not hypothesis.strip() for _, hypothesis, _ in pairs)
                yield {name: [pair[index] for pair in pairs] for index, name in enumerate(features)}

    features = _features(labels)
    write_rows(folder, features, batches())
    if labels == LABELS and label_set(met) != LABELS:
        raise TwoWayLabel
    empty = {column: counts[column] for column in ("premise", "hypothesis")}
    write_json(folder / _COUNTS, {"dropped": counts["dropped"], "empty": empty})


def _features(labels: tuple[str, ...]) -> Features:
    return Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=list(labels)))
