"""What a run trains and what it validates on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow
import pyarrow.compute
from datasets import Dataset

from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import public_name
from hf_nli.core.labels import LABELS
from hf_nli.data.load import NLIData
from hf_nli.settings.options import DataOptions

logger = logging.getLogger(__name__)

VALIDATION_SHARE = 0.05


@dataclass(frozen=True)
class RunPairs:
    """What a run needs of its data.

    Attributes:
        train: The pairs to train on.
        validation: Those to validate on.
        validated_on: Which these are, in words that may be published: "snli_1.0, validation", "5 % of the training
            rows".
        test: Those to test on, if that was asked for and they are there, with gold labels.
        dropped: Training rows without a gold label.
    """

    train: Dataset
    validation: Dataset
    validated_on: str
    test: Dataset | None
    dropped: int


class RunSources:
    """What a run trains and validates on, found, but not read yet.

    Args:
        dataset: A source with a split "train", or with only one.
        validation_dataset: Another source to validate on. By default it is the first one's split "validation", or
            else 5 % of the training rows, which are set aside (and the log says so).
        options: How to read both; a configuration and a revision are the first one's.

    Raises:
        InputError: If a source isn't there, or doesn't have the split.
    """

    def __init__(self, dataset: str, validation_dataset: str | None, options: DataOptions) -> None:
        self._data = NLIData(dataset, options)
        self._data.candidates("train")
        self._others: NLIData | None = None
        if validation_dataset is not None:
            others = dataclasses.replace(options, dataset_config=None, dataset_revision=None)
            self._others = NLIData(validation_dataset, others)
            self._others.candidates("validation")

    def read(self, seed: int, with_test: bool = False) -> RunPairs:
        """Loads the pairs.

        Args:
            seed: Chooses the rows that are set aside.
            with_test: Whether to load the split "test" of the first source, too, if it has one with gold labels.

        Raises:
            InputError: If a source can't be read, or has two-way labels.
        """
        data = self._data
        name, pairs = _read_first(data, "train")
        if self._others:
            split, validation = _read_first(self._others, "validation")
            validated_on = _published(self._others, split)
        elif data.find("validation") not in ([], [name]):
            split, validation = _read_first(data, "validation")
            validated_on = _published(data, split)
        else:
            pairs, validation = _set_aside(pairs, data.source, seed)
            validated_on = f"{100 * VALIDATION_SHARE:g} % of the training rows"
        if shared := count_shared(pairs, validation):
            logger.warning("%d of %d training pairs are validation pairs too", shared, len(pairs))
        test = data.read("test") if with_test and "test" in data.names else None
        return RunPairs(pairs, validation, validated_on, test or None, data.dropped[name])


def _read_first(data: NLIData, name: str) -> tuple[str, Dataset]:
    name, pairs = data.read_first(name)
    labels = tuple(pairs.features["label"].names)
    if labels != LABELS:
        raise InputError(f"{data.source}: its labels are {', '.join(labels)}; such data can be evaluated on only")
    return name, pairs


def _published(data: NLIData, name: str) -> str:
    split = data.public_split(name)
    return public_name(data.source) + (f", {split}" if split else "")


def _set_aside(pairs: Dataset, dataset: str, seed: int) -> tuple[Dataset, Dataset]:
    if len(pairs) < 2:
        raise InputError(f"{dataset}: one row can't be split into training and validation; give --validation_dataset")
    parts = pairs.train_test_split(max(1, round(VALIDATION_SHARE * len(pairs))), seed=seed)
    share = f"{len(parts['test'])} of {len(pairs)} training rows ({VALIDATION_SHARE:.0%})"
    logger.info("No validation split: %s set aside by seed %d", share, seed)
    return parts["train"], parts["test"]


def count_shared(pairs: Dataset, others: Dataset) -> int:
    """Counts the rows of a data set whose premise and hypothesis are a row of another one, too.

    Args:
        pairs: Rows of premise and hypothesis.
        others: Such rows, which have to fit into memory.
    """

    def joined(rows: Dataset) -> Iterator[pyarrow.Array]:
        for batch in rows.with_format("arrow").iter(10_000):
            yield pyarrow.compute.binary_join_element_wise(batch["premise"], batch["hypothesis"], "\0")

    known = pyarrow.chunked_array([chunk for array in joined(others) for chunk in array.chunks])
    return sum(pyarrow.compute.sum(pyarrow.compute.is_in(array, known)).as_py() for array in joined(pairs))
