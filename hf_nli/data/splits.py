"""What a run trains and what it validates on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow
import pyarrow.compute
from datasets import Dataset

from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import public_name
from hf_nli.core.labels import LABELS, TWO_WAY_LABELS, spelled
from hf_nli.data.load import NLIData
from hf_nli.data.mixing import SourceCounts, mix
from hf_nli.data.rows import two_way_pairs
from hf_nli.settings.options import DataOptions
from hf_nli.sources.named import NamedSource, name_source, name_sources

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
        sources: What there is of each source to train on.
    """

    train: Dataset
    validation: Dataset
    validated_on: str
    test: Dataset | None
    sources: list[SourceCounts]

    @property
    def dropped(self) -> int:
        """Training rows without a gold label."""
        return sum(each["dropped"] for each in self.sources)


class RunSources:
    """What a run trains and validates on, found, but not read yet.

    Args:
        dataset: A source with a split "train", or with only one, or several; what `named.name_source` reads.
        validation_dataset: Another source to validate on. By default it is the first one's split "validation", or
            else 5 % of its training rows, which are set aside (and the log says so).
        options: How to read all of them; a configuration and a revision are the first one's.
        mixing_weights: The proportions of several sources, see `mixing.mix`.
        labels: `labels.LABELS`; or `labels.TWO_WAY_LABELS`, to which three-way data are merged.

    Raises:
        InputError: If a source isn't there, or doesn't have the split, or the label ids of one mean something else
            than the options say of all.
    """

    def __init__(
        self,
        dataset: str | Sequence[str],
        validation_dataset: str | None,
        options: DataOptions,
        mixing_weights: Sequence[float] | None = None,
        labels: tuple[str, ...] = LABELS,
    ) -> None:
        self._labels = labels
        named = name_sources(dataset, mixing_weights)
        self._sources = [_RunSource(each, "train", options, each is named[0]) for each in named]
        self._weights = mixing_weights
        if options.label_names and len(named) > 1:
            for each in self._sources:
                each.refuse_other_ids(options.label_names)
        self._others: _RunSource | None = None
        if validation_dataset is not None:
            self._others = _RunSource(name_source(validation_dataset), "validation", options, first=False)

    def read(self, seed: int, with_test: bool = False, max_samples: int | None = None) -> RunPairs:
        """Loads the pairs.

        Args:
            seed: Chooses the rows that are set aside, and those that are drawn.
            with_test: Whether to load the split "test" of the first source, too, if it has one with gold labels.
            max_samples: Take the first so many training rows of each source.

        Raises:
            InputError: If a source can't be read, or has two-way labels where three-way ones are wanted.
        """
        found = [self._read_first(each.data, each.wanted) for each in self._sources]
        names, pairs = [name for name, _ in found], [rows for _, rows in found]
        data = self._sources[0].data
        if self._others:
            split, validation = self._read_first(self._others.data, self._others.wanted)
            validated_on = _published(self._others.data, split)
        elif data.find("validation") not in ([], names[:1]):
            split, validation = self._read_first(data, "validation")
            validated_on = _published(data, split)
        else:
            pairs[0], validation = _set_aside(pairs[0], data.source, seed)
            validated_on = f"{100 * VALIDATION_SHARE:g} % of the training rows"
            validated_on += f" of {public_name(data.source)}" if len(pairs) > 1 else ""
        if max_samples:
            pairs = [each.select(range(min(max_samples, len(each)))) for each in pairs]
        train, drawn = mix(pairs, self._weights, seed)
        if shared := count_shared(train, validation):
            logger.warning("%d of %d training pairs are validation pairs too", shared, len(train))
        test = self._merged(data.read("test"), data) if with_test and "test" in data.names else None
        counts = [
            SourceCounts(dataset=each.public_name, pairs=len(own), drawn=count, dropped=each.data.dropped[name])
            for each, name, own, count in zip(self._sources, names, pairs, drawn, strict=True)
        ]
        if len(counts) > 1:
            logger.info("Training on %s", ", ".join(f"{each['drawn']} pairs of {each['dataset']}" for each in counts))
        return RunPairs(train, validation, validated_on, test or None, counts)

    def _read_first(self, data: NLIData, name: str) -> tuple[str, Dataset]:
        name, pairs = data.read_first(name)
        return name, self._merged(pairs, data)

    def _merged(self, pairs: Dataset, data: NLIData) -> Dataset:
        """Gives pairs the labels of the run."""
        if self._labels == TWO_WAY_LABELS:
            return two_way_pairs(pairs)
        if (found := pairs.features["label"].names) != list(self._labels):
            raise InputError(
                f"{data.source}: its labels are {', '.join(found)}; give --labels two_way to train on them"
            )
        return pairs


class _RunSource:
    """A source of which a run reads one split.

    Args:
        named: The source.
        usual: The split that is read where none is named, if there is more than one.
        options: How to read sources.
        first: Whether it is the run's first.
    """

    def __init__(self, named: NamedSource, usual: str, options: DataOptions, first: bool) -> None:
        self.public_name = named.public_name
        self.wanted, self._own_names = named.split or usual, named.label_names
        self.data = NLIData(named.source, named.options(options, first))
        if named.split and not self.data.find(named.split):
            raise InputError(f"{named.source}: no split named {named.split}; it has {', '.join(self.data.names)}")
        self._found = self.data.candidates(self.wanted)[0]

    def refuse_other_ids(self, label_names: Sequence[str]) -> None:
        """Raises `InputError` if what is said of all sources isn't what this one says of its own label ids."""
        if self._own_names:
            return
        for own in self.data.own_label_names(self._found):
            if [*map(spelled, own)] != [*map(spelled, label_names)]:
                raise InputError(
                    f"{self.data.source}: its label ids mean {', '.join(own)}, not {', '.join(label_names)}; with "
                    f"several data sets say what ids mean of each alone, as in FILE:{','.join(label_names)}"
                )


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
