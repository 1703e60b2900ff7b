"""What an evaluation needs of its data sets: pairs, encoded, and what to compare the model with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS, TWO_WAY_LABELS
from hf_nli.data.load import NLIData
from hf_nli.data.rows import two_way_pairs
from hf_nli.data.table import TokenTable
from hf_nli.evaluation.baselines import Baselines, train_baselines
from hf_nli.settings.options import DataOptions, Truncation
from hf_nli.sources.named import name_source
from hf_nli.text.encoding import encode


@dataclass(frozen=True)
class Asked:
    """A data set that is asked for, found, but not read yet.

    Attributes:
        source: What `data.load_nli` takes.
        data: Its splits.
        split: Which of them, if one was named.
    """

    source: str
    data: NLIData
    split: str | None

    @property
    def candidates(self) -> tuple[str, ...]:
        """The splits to look for, the one that is wanted most first."""
        return (self.split,) if self.split else ("test", "validation")


def find(sources: Sequence[str], split: str | None, options: DataOptions) -> list[Asked]:
    """Finds data sets.

    Args:
        sources: What `sources.named.name_source` takes.
        split: The split of those that name none.
        options: How to read them.

    Raises:
        InputError: If one isn't there, or lacks its split.
    """
    found = [find_one(each, split, options, first=not number) for number, each in enumerate(sources)]
    for asked in found:
        if asked.split and not asked.data.find(asked.split):
            raise InputError(f"{asked.source}: no split {asked.split!r}; it has {', '.join(asked.data.names)}")
        asked.data.candidates(*asked.candidates)
    return found


def find_one(source: str, split: str | None, options: DataOptions, first: bool) -> Asked:
    """Finds a data set; see `find`.

    Args:
        source: What it is called.
        split: The split, if it names none.
        options: How to read it.
        first: Whether it is the first one, whose a configuration and a revision are.
    """
    named = name_source(source)
    return Asked(named.source, NLIData(named.source, named.options(options, first)), named.split or split)


@dataclass(frozen=True)
class Inputs:
    """A data set, read.

    Attributes:
        source: Where it is from.
        split: The public name of its split, if it has one.
        pairs: Rows of premise, hypothesis and label.
        merged: Whether their labels neutral and contradiction were taken for not_entailment, as the model has two.
        dropped: How many rows more have no gold label.
        table: The pairs, encoded.
        exchanged: The same hypotheses, each with another pair's premise, encoded.
        baselines: What classifiers of words answer: label ids of the pairs, integers (pairs,).
        baseline_examples: How many pairs these were trained on.
        columns: Other columns of the rows.
    """

    source: str
    split: str | None
    pairs: Dataset
    merged: bool
    dropped: int
    table: TokenTable
    exchanged: TokenTable | None = None
    baselines: Mapping[str, NDArray[numpy.int64]] = field(default_factory=dict)
    baseline_examples: int | None = None
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its label ids."""
        return tuple(self.pairs.features["label"].names)


class Reader:
    """Reads data sets for one tokenizer; baselines that several of them share are trained once.

    Args:
        labels: The model's.
        tokenizer: The model's.
        max_length: The length to truncate to.
        truncation: How longer pairs are cut.
        baselines: Whether to train what the model should be compared with.
        baseline_data: What to train it on; by default the split train of each data set.
        seed: Of the baselines, and of which premises are exchanged.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        truncation: Truncation,
        baselines: bool,
        baseline_data: Asked | None,
        seed: int,
    ) -> None:
        self._labels, self._encoding = labels, (tokenizer, max_length, truncation)
        self._wanted, self._data, self._seed = baselines, baseline_data, seed
        self._trained: dict[str, Baselines] = {}

    def read(self, asked: Asked, columns: Sequence[str], welcome: Sequence[str]) -> Inputs:
        """Reads a data set.

        Args:
            asked: Which one.
            columns: Which other columns of its rows are wanted.
            welcome: Which ones are, too, if they are there.

        Raises:
            InputError: If it can't be read, lacks a column, or has nothing to train baselines on.
        """
        name, pairs = asked.data.read_first(*asked.candidates)
        if merged := self._labels == TWO_WAY_LABELS and pairs.features["label"].names == list(LABELS):
            pairs = two_way_pairs(pairs)
        more: dict[str, Any] = {}
        if self._wanted:
            trained = self._baselines(asked)
            more["baselines"] = {kind: _fitting(trained, ids, pairs) for kind, ids in trained.predict(pairs).items()}
            more["baseline_examples"] = trained.train_examples
            more["exchanged"] = self._encoded(exchanged(pairs, self._seed))
        there = asked.data.column_names(name)
        wanted = list(dict.fromkeys([*columns, *(each for each in welcome if each in there)]))
        more["columns"] = asked.data.columns(name, wanted).to_pydict() if wanted else {}
        split, dropped = asked.data.public_split(name), asked.data.dropped[name]
        return Inputs(asked.source, split, pairs, merged, dropped, self._encoded(pairs), **more)

    def _baselines(self, asked: Asked) -> Baselines:
        source = self._data or Asked(asked.source, asked.data, "train")
        if source.source not in self._trained:
            if not self._data and not asked.data.find("train"):
                raise InputError(
                    f"{asked.source}: no split train of it to train --baselines on; name a data set that has one with "
                    "--baseline_dataset"
                )
            _, pairs = source.data.read_first(source.split or "train")
            self._trained[source.source] = train_baselines(pairs, self._seed)
        return self._trained[source.source]

    def _encoded(self, pairs: Dataset) -> TokenTable:
        tokenizer, max_length, truncation = self._encoding
        return TokenTable.open(encode(pairs, tokenizer, max_length, truncation), tokenizer)


def exchanged(pairs: Dataset, seed: int) -> Dataset:
    """Gives each pair another one's premise: all premises go on by one place in a random order.

    Args:
        pairs: Rows of premise, hypothesis and label.
        seed: Of the order.
    """
    order = numpy.random.default_rng(seed).permutation(len(pairs))
    source = numpy.empty_like(order)
    source[order] = numpy.roll(order, 1)
    premises = pairs.select_columns("premise").select(source).flatten_indices()["premise"]
    return pairs.remove_columns("premise").add_column("premise", list(premises)).select_columns(pairs.column_names)


def _fitting(trained: Baselines, ids: NDArray[numpy.int64], pairs: Dataset) -> NDArray[numpy.int64]:
    """Label ids of the pairs' labels, where baselines were trained on three labels and the pairs have two."""
    labels = tuple(pairs.features["label"].names)
    if (trained.labels, labels) == (LABELS, TWO_WAY_LABELS):
        return numpy.minimum(ids, 1)
    if trained.labels != labels:
        raise InputError(f"--baselines: they were trained on {', '.join(trained.labels)}; needed: {', '.join(labels)}")
    return ids
