"""Any NLI source as a `DatasetDict` of `premise`, `hypothesis`, `label`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow
from datasets import Dataset, DatasetDict

from hf_nli.core.errors import InputError
from hf_nli.data.columns import column_names, read_further
from hf_nli.data.rows import find_rows, own_label_names, read_pairs
from hf_nli.settings.options import DataOptions
from hf_nli.sources.forms import FORMS
from hf_nli.sources.source import find_splits, open_source

logger = logging.getLogger(__name__)


def load_nli(
    source: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    text: Literal["raw", "parse"] = "raw",
    premise_column: str | None = None,
    hypothesis_column: str | None = None,
    label_column: str | None = None,
    label_names: list[str] | None = None,
    label_map: list[str] | None = None,
) -> DatasetDict:
    """Loads an NLI data set, dropping the rows without a gold label (which it logs).

    Args:
        source: A Hub id (`stanfordnlp/snli`); the Stanford release, or a folder or zip with files named like its; a
            .jsonl, .json, .csv, .tsv, .txt or .parquet file (.gz too); a pattern of such files ("data/*.parquet"); or
            a folder written by `save_to_disk`. Files become "train" where none names its split; where some do, the
            others are left out, and the log names them.
        config: The configuration of a data set on the Hub.
        revision: Its branch, tag or commit.
        text: "raw" takes the release's sentences; "parse" the words of its binary parses, as d2l's `read_snli` does.
        premise_column: The premise's column; by default it is recognized (premise, sentence1, text, and the names that
            ANLI, SICK and e-SNLI have).
        hypothesis_column: The hypothesis's column (hypothesis, sentence2, text_pair, likewise).
        label_column: The label's column (label, gold_label, likewise).
        label_names: What the label ids 0, 1, … mean; needed if labels are ids and no ClassLabel feature says so.
        label_map: What labels of other names mean: "unrelated=neutral"; "unclear=-" for rows without a gold label.

    Returns:
        Splits with `premise` and `hypothesis` (string) and `label` (ClassLabel: entailment, neutral, contradiction;
        for a two-way data set entailment, not_entailment).

    Raises:
        InputError: If the source is missing, damaged or empty, has no recognizable columns, or a label is unknown.

    Example:
        >>> load_nli("pairs.csv", label_names=["contradiction", "neutral", "entailment"])["train"][0]  # doctest: +SKIP
        {'premise': 'A man sleeps.', 'hypothesis': 'A man is awake.', 'label': 2}
    """
    columns = {"premise_column": premise_column, "hypothesis_column": hypothesis_column, "label_column": label_column}
    options = DataOptions(config, revision, text, label_names=label_names, label_map=label_map, **columns)
    return NLIData(source, options).read_all()


class NLIData:
    """A source that was found; each of its splits is read when it is first asked for.

    Attributes:
        source: Where it is from.
        names: The names of its splits. The rows of a single file, and those that don't name their split, are "train".
        dropped: How many rows without a gold label each split lost that has been read.
    """

    def __init__(self, source: str, options: DataOptions | None = None) -> None:
        self.source, self._options = source, options or DataOptions()
        self._splits = open_source(source, self._options.dataset_config, self._options.dataset_revision)
        self.names = tuple(self._splits)
        self.dropped: dict[str, int] = {}
        self._read: dict[str, Dataset] = {}

    def public_split(self, name: str) -> str | None:
        """Tells by what name a split is known to others, which is what results and cards should call it.

        Args:
            name: One of `names`.

        Returns:
            The split that the file's name or the data set says it is (train, validation, test, or a name on the Hub);
            None if nothing says so, as of the rows in pairs.csv.
        """
        return self._splits[name].public_name

    def find(self, name: str) -> list[str]:
        """Finds the splits that are known by a name; see `sources.source.find_splits`.

        Args:
            name: A name in `names`, or a public one.

        Returns:
            Which of `names`.
        """
        return find_splits(self._splits, name)

    def own_label_names(self, name: str) -> list[list[str]]:
        """Finds what the label ids of a split mean by what its own files say, whatever the options do.

        Args:
            name: One of `names`.

        Returns:
            The names of the ids 0, 1, …, of each file that has any.
        """
        return own_label_names(self._splits[name].parts, self._options, f"{self.source}, {name}")

    def read_all(self) -> DatasetDict:
        """Reads all splits that have gold labels; those of test data are often kept back."""
        splits = DatasetDict({name: pairs for name in self.names if len(pairs := self.read(name))})
        if not splits:
            raise InputError(f"{self.source}: no row with a gold label")
        return splits

    def candidates(self, *names: str) -> list[str]:
        """Finds the splits of these names, or else the only split there is; none of them is read.

        Args:
            names: Names of splits, the one that is wanted most first.

        Raises:
            InputError: If there is none.
        """
        present = [found for name in names for found in self.find(name)]
        if not present and len(self.names) == 1:
            present = list(self.names)
        if not present:
            raise InputError(f"{self.source}: no split named {' or '.join(names)}; it has {', '.join(self.names)}")
        return present

    def read_first(self, *names: str) -> tuple[str, Dataset]:
        """Reads the first of `candidates` that has gold labels.

        Args:
            names: Names of splits, the one that is wanted most first.

        Returns:
            The name of the split, one of `names`, and its pairs.

        Raises:
            InputError: If there is none.
        """
        candidates = self.candidates(*names)
        for name in candidates:
            if len(pairs := self.read(name)):
                return name, pairs
        raise InputError(f"{self.source}, {candidates[0]}: no row with a gold label")

    def read(self, name: str) -> Dataset:
        """Reads a split: premise, hypothesis and label, without the rows that have no gold label.

        Args:
            name: One of `names`.

        Raises:
            InputError: If a row can't be read, its label is unknown, or a column is missing.
        """
        if name not in self._read:
            where = f"{self.source}, {name}"
            pairs, counts = read_pairs(self._splits[name].parts, self._options, where)
            self._read[name], self.dropped[name] = pairs, counts.dropped
            logger.info("%s: %d pairs", where, len(pairs))
            if counts.dropped:
                logger.warning("%s: %d rows without a gold label dropped", where, counts.dropped)
            for column, empty in counts.empty.items():
                if empty:
                    logger.warning("%s: %d rows with an empty %s", where, empty, column)
        return self._read[name]

    def column_names(self, name: str) -> list[str]:
        """Lists the columns of a split; see `columns.column_names`."""
        return column_names(self._splits[name].parts, f"{self.source}, {name}")

    def columns(self, name: str, columns: Sequence[str]) -> pyarrow.Table:
        """Reads further columns of the rows that `read` gives: genre, heuristic, annotator_labels, …

        Args:
            name: One of `names`.
            columns: Which of `column_names`.

        Returns:
            Row by row what belongs to the pairs of `read`; see `columns.read_further`.

        Raises:
            InputError: If there is no such column, or a row can't be read.
        """
        pairs, where = self.read(name), f"{self.source}, {name}"
        rows = find_rows(self._splits[name].parts, self._options, where)
        table = read_further(rows, columns, tuple(pairs.features["label"].names))
        if columns and len(table) != len(pairs):
            raise InputError(f"{where}: it was changed while it was read")
        return table


def read_texts(source: str) -> Iterator[str]:
    """Reads texts one by one.

    Args:
        source: What `load_nli` takes, for the premises and hypotheses of all splits; or a text file, for its lines.

    Raises:
        InputError: If the source can't be read.
    """
    if os.path.isfile(source) and Path(source).suffix.lower() not in (*FORMS.keys() - {".txt"}, ".gz", ".zip"):
        try:
            with open(source, encoding="utf-8") as file:
                yield from (line.strip() for line in file)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{source}: can't be read as UTF-8 text ({error})") from error
        return
    for split in load_nli(source).values():
        for column in ("premise", "hypothesis"):
            for texts in chunks(split, column):
                yield from texts.to_pylist()


def chunks(split: Dataset, column: str) -> Iterator[pyarrow.Array]:
    """Gives a column in parts, so that memory doesn't grow with the rows.

    Args:
        split: Any rows.
        column: The name of the column.
    """
    for batch in split.with_format("arrow").select_columns(column).iter(10_000):
        yield from batch[column].chunks
