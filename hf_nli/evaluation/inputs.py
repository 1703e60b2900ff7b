"""What is scored: a model, data sets as encoded pairs, and what to compare the model with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS, TWO_WAY_LABELS, model_labels
from hf_nli.data.load import NLIData
from hf_nli.data.rows import two_way_pairs
from hf_nli.data.table import TokenTable
from hf_nli.evaluation.baselines import Baselines, train_baselines
from hf_nli.model.folder import local_folder, weights_sha256
from hf_nli.model.load import input_length, load_model
from hf_nli.settings.options import DataOptions, Forward, Truncation
from hf_nli.settings.ranges import check_choice, check_number
from hf_nli.settings.recipe import Recipe
from hf_nli.sources.named import name_source
from hf_nli.text.encoding import encode


def check_settings(
    per_device_eval_batch_size: int, max_seq_length: int | None, truncation: Truncation, forward: Forward
) -> None:
    """Refuses settings that can't be used.

    Args:
        per_device_eval_batch_size: Pairs a batch, on each process.
        max_seq_length: Tokens a pair.
        truncation: How longer pairs are cut.
        forward: What computes.

    Raises:
        InputError: If one of them is of another type or out of its range.
    """
    check_number("per_device_eval_batch_size", per_device_eval_batch_size)
    if max_seq_length is not None:
        check_number("max_seq_length", max_seq_length)
    check_choice("truncation", truncation, get_args(Truncation))
    check_choice("forward", forward, get_args(Forward))


@dataclass(frozen=True)
class LoadedModel:
    """A model that is scored.

    Attributes:
        net: It.
        tokenizer: Its tokenizer.
        sha256: Its weights.
        length: The tokens that pairs are cut to.
    """

    net: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    sha256: str | None
    length: int

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its logits."""
        return model_labels(self.net.config)

    @classmethod
    def load(cls, model_name_or_path: str, revision: str | None, max_seq_length: int | None) -> LoadedModel:
        """Loads a model.

        Args:
            model_name_or_path: A model folder or Hub id.
            revision: The branch, tag or commit of a model on the Hub.
            max_seq_length: Tokens a pair; by default as many as the model takes.

        Raises:
            InputError: If it can't be loaded.
        """
        # In a folder, the weights are looked at before they are loaded: they may be replaced meanwhile.
        here = Path(model_name_or_path).is_dir()
        sha256 = weights_sha256(model_name_or_path) if here else None
        net, tokenizer = load_model(model_name_or_path, revision=revision)
        if not here and (cached := local_folder(model_name_or_path, revision)):
            sha256 = weights_sha256(cached)
        return cls(net, tokenizer, sha256, input_length(net.config, tokenizer, max_seq_length))


@dataclass(frozen=True)
class Asked:
    """A data set that is asked for, found, but not read yet.

    Attributes:
        source: What `data.load_nli` takes.
        data: Its splits.
        candidates: Which of them, the one that is wanted most first.
    """

    source: str
    data: NLIData
    candidates: tuple[str, ...]


def find(
    sources: Sequence[str],
    split: str | None,
    options: DataOptions,
    default_splits: tuple[str, ...] = ("test", "validation"),
) -> list[Asked]:
    """Finds data sets.

    Args:
        sources: What `sources.named.name_source` takes.
        split: The split of those that name none.
        options: How to read them; a configuration and a revision are the first one's.
        default_splits: Those to take else, the one that is wanted most first; or the only one there is.

    Raises:
        InputError: If one isn't there, or lacks its split.
    """
    return [_find(each, split, options, default_splits, first=not number) for number, each in enumerate(sources)]


def find_training_data(source: str, options: DataOptions) -> Asked:
    """Finds what to train baselines on: the split that is named, or train, or the only one there is.

    Args:
        source: What `sources.named.name_source` takes.
        options: How to read it.

    Raises:
        InputError: If it isn't there, or lacks the split.
    """
    return _find(source, None, options, ("train",), first=False)


def _find(source: str, split: str | None, options: DataOptions, default_splits: tuple[str, ...], first: bool) -> Asked:
    named = name_source(source)
    data, wanted = NLIData(named.source, named.options(options, first)), named.split or split
    if wanted and not data.find(wanted):
        raise InputError(f"{named.source}: no split {wanted!r}; it has {', '.join(data.names)}")
    candidates = (wanted,) if wanted else default_splits
    data.candidates(*candidates)
    return Asked(named.source, data, candidates)


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
    """Reads data sets for a model; baselines that several of them share are trained once.

    Args:
        model: The model.
        truncation: How longer pairs are cut.
        baselines: Whether to train what the model should be compared with.
        baseline_data: What to train it on; by default the split train of each data set.
        seed: Of the baselines, and of which premises are exchanged.
    """

    def __init__(
        self,
        model: LoadedModel,
        truncation: Truncation,
        baselines: bool = False,
        baseline_data: Asked | None = None,
        seed: int = Recipe.seed,
    ) -> None:
        self._model, self._truncation = model, truncation
        self._wanted, self._data, self._seed = baselines, baseline_data, seed
        self._trained: dict[str, Baselines] = {}

    def read(self, asked: Asked, columns: Sequence[str] = (), welcome: Sequence[str] = ()) -> Inputs:
        """Reads a data set.

        Args:
            asked: Which one.
            columns: Which other columns of its rows are wanted.
            welcome: Which ones are, too, if they are there.

        Raises:
            InputError: If it can't be read, lacks a column, or has nothing to train baselines on.
        """
        name, pairs = asked.data.read_first(*asked.candidates)
        if merged := self._model.labels == TWO_WAY_LABELS and pairs.features["label"].names == list(LABELS):
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
        source = self._data or Asked(asked.source, asked.data, ("train",))
        if source.source not in self._trained:
            if not self._data and not asked.data.find("train"):
                raise InputError(
                    f"{asked.source}: no split train of it to train --baselines on; name a data set that has one with "
                    "--baseline_dataset"
                )
            _, pairs = source.data.read_first(*source.candidates)
            self._trained[source.source] = train_baselines(pairs, self._seed)
        return self._trained[source.source]

    def _encoded(self, pairs: Dataset) -> TokenTable:
        tokenizer = self._model.tokenizer
        return TokenTable.open(encode(pairs, tokenizer, self._model.length, self._truncation), tokenizer)


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
