"""Any NLI source as a `DatasetDict` of `premise`, `hypothesis`, `label`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.compute
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, config
from datasets.fingerprint import Hasher

import hf_nli
from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS, label_id, label_set
from hf_nli.data.sources import LOADERS, lines, load_source, suffix_of
from hf_nli.settings.options import DataOptions

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
) -> DatasetDict:
    """Loads an NLI data set, dropping the rows without a gold label (which it logs).

    Args:
        source: A Hub id (`stanfordnlp/snli`); the Stanford release, or a folder or zip with files named like its; a
            .jsonl, .json, .csv, .tsv, .txt or .parquet file (.gz too); a pattern of such files ("data/*.parquet"); or
            a folder written by `save_to_disk`. Files that don't name their split become "train".
        config: The configuration of a data set on the Hub.
        revision: Its branch, tag or commit.
        text: "raw" takes the release's sentences; "parse" the words of its binary parses, as d2l's `read_snli` does.
        premise_column: The premise's column; by default it is recognized (premise, sentence1, text).
        hypothesis_column: The hypothesis's column (hypothesis, sentence2, text_pair).
        label_column: The label's column (label, gold_label).
        label_names: What the label ids 0, 1, … mean; needed if labels are ids and no ClassLabel feature says so.

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
    options = DataOptions(config, revision, text, label_names=label_names, **columns)
    return NLIData(source, options).read_all()


class NLIData:
    """An opened source, whose splits are read when they are asked for.

    Attributes:
        source: Where it is from.
        names: The names of its splits.
        labels: `labels.LABELS` or `labels.TWO_WAY_LABELS`.
        dropped: How many rows without a gold label each split lost that has been read.
    """

    def __init__(self, source: str, options: DataOptions | None = None) -> None:
        self.source, self.options = source, options or DataOptions()
        splits, self._files = load_source(source, self.options.dataset_config, self.options.dataset_revision)
        self.names, self._raw, self._read = tuple(splits), dict(splits), DatasetDict()
        self.labels = label_set(name for split in self.names for name in self._label_names(split))
        self.dropped: dict[str, int] = {}

    def public_split(self, name: str) -> str | None:
        """Tells by what name a split is known to others; None if nothing says which it is."""
        return name

    def read_all(self) -> DatasetDict:
        """Reads all splits that have gold labels; those of test data are often kept back."""
        splits = DatasetDict({name: pairs for name in self.names if len(pairs := self.read(name))})
        if not splits:
            raise InputError(f"{self.source}: no row with a gold label")
        return splits

    def read_first(self, *names: str) -> tuple[str, Dataset]:
        """Reads the first split of these names that has gold labels, or else the only split there is.

        Raises:
            InputError: If there is none.
        """
        present = [name for name in names if name in self.names] or self.names * (len(self.names) == 1)
        for name in present:
            if len(pairs := self.read(name)):
                return name, pairs
        if present:
            raise InputError(f"{self.source}, {present[0]}: no row with a gold label")
        raise InputError(f"{self.source}: no split named {' or '.join(names)}; it has {', '.join(self.names)}")

    def read(self, name: str) -> Dataset:
        """Reads a split: premise, hypothesis and label, without the rows that have no gold label."""
        if name not in self._read:
            self._read[name] = self._convert(name)
            del self._raw[name]  # and the pages of its file, which would count as ours
            self._warn(name)
        return self._read[name]

    def _convert(self, name: str) -> Dataset:
        raw, columns = self._raw[name], self._columns(name)
        names = self.options.label_names or getattr(raw.features[columns["label"]], "names", None)
        # In a file of fields, a row that ends early lacks the last one.
        last = raw.column_names[-1] if self._loader(name) == "csv" else None
        labels, parse = self.labels, self.options.text == "parse"
        raw = raw.select_columns(list(dict.fromkeys([*columns.values(), *([last] if last else [])])))

        def convert(batch: dict[str, list], indices: list[int]) -> dict[str, list]:
            rows: dict[str, list] = {column: [] for column in columns}
            try:
                values = [batch[column] for column in columns.values()]
            except UnicodeDecodeError as error:
                raise InputError(f"{self.source}, {name}: the text is not UTF-8 ({error}); save it as UTF-8") from None
            for index, *fields, end in zip(indices, *values, batch[last] if last else indices, strict=True):
                try:
                    if end is None:
                        raise ValueError("it has fewer fields than the header")
                    row = _row(*fields, names, labels, parse)
                except ValueError as error:
                    raise InputError(f"{self.source}, {name}, {self._place(name, index)}: {error}") from None
                if row:
                    for column, value in zip(rows, row, strict=True):
                        rows[column].append(value)
            return rows

        features = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=list(labels)))
        fingerprint = Hasher.hash([raw._fingerprint, columns, names, last, labels, parse, hf_nli.__version__])
        # Among the caches of `datasets`, also for a saved folder, beside whose files it would write otherwise.
        cache = Path(config.HF_DATASETS_CACHE) / "hf_nli" / f"{fingerprint}.arrow"
        cache.parent.mkdir(parents=True, exist_ok=True)
        pairs = raw.map(
            convert,
            batched=True,
            with_indices=True,
            remove_columns=raw.column_names,
            features=features,
            cache_file_name=str(cache),
            new_fingerprint=fingerprint,
            desc="Reading",
        )
        self.dropped[name] = len(raw) - len(pairs)
        return pairs

    def _warn(self, name: str) -> None:
        where, pairs = f"{self.source}, {name}", self._read[name]
        logger.info("%s: %d pairs", where, len(pairs))
        if self.dropped[name]:
            logger.warning("%s: %d rows without a gold label dropped", where, self.dropped[name])
        for column in ("premise", "hypothesis"):
            empty = sum(
                pyarrow.compute.sum(pyarrow.compute.equal(pyarrow.compute.utf8_trim_whitespace(texts), "")).as_py()
                for texts in chunks(pairs, column)
            )
            if empty:
                logger.warning("%s: %d rows with an empty %s", where, empty, column)

    def _columns(self, split: str) -> dict[str, str]:
        columns, present = {}, self._raw[split].column_names
        for column, candidates in self.options.columns.items():
            found = [name for name in candidates if name in present]
            if not found:
                raise InputError(
                    f"{self.source}, {split}: no column for the {column} ({', '.join(candidates)}) in "
                    f"{', '.join(present)}; name it with --{column}_column"
                )
            columns[column] = found[0]
        return columns

    def _label_names(self, split: str) -> Iterator[str]:
        column = self._columns(split)["label"]
        declared = self.options.label_names or getattr(self._raw[split].features[column], "names", ())
        yield from declared
        for batch in () if declared else self._raw[split].select_columns(column).iter(10_000):
            yield from filter(lambda label: isinstance(label, str), set(batch[column]))

    def _loader(self, split: str) -> str | None:
        files = self._files.get(split)
        return LOADERS[suffix_of(files[0])][0] if files else None

    def _place(self, split: str, index: int) -> str:
        line = next(islice(lines(self._files.get(split, [])), index, None), None)
        if line is None:
            return f"row {index + 1}"
        return f"row {index + 1} (line {line[1]} of {Path(line[0]).name})"


def _row(
    premise: Any, hypothesis: Any, label: Any, names: list[str] | None, labels: tuple[str, ...], parse: bool
) -> tuple[str, str, int] | None:
    """One row in our schema, None if it has no gold label; raises ValueError if it is not an NLI row."""
    for column, text in (("premise", premise), ("hypothesis", hypothesis)):
        if not isinstance(text, str):
            raise ValueError(f"the {column} is {text!r}, not a text")
    name = label
    if isinstance(label, str | float) and re.fullmatch(r"-?\d+(\.0)?", str(label)):
        label = int(float(label))
    if label in ("-", -1):
        return None
    if isinstance(label, int):
        if names is None:
            raise ValueError(
                f"the label is the number {label}, and data sets number labels differently (1 is neutral in SNLI "
                f"on the Hub, contradiction in d2l); say what 0, 1, 2 are here, as in --label_names {' '.join(LABELS)}"
            )
        name = names[label] if 0 <= label < len(names) else label
    identity = label_id(name, labels) if isinstance(name, str) else None
    if identity is None:
        raise ValueError(f"unknown label {name!r}; expected {', '.join(labels)}, or '-' for none")
    return _words(premise) if parse else premise, _words(hypothesis) if parse else hypothesis, identity


def _words(parse: str) -> str:
    """The words of a binary parse, as d2l's `read_snli` extracts them (d2l section "The SNLI Dataset")."""
    return re.sub(r"\s{2,}", " ", parse.replace("(", "").replace(")", "")).strip()


def read_texts(source: str) -> Iterator[str]:
    """Reads texts one by one.

    Args:
        source: What `load_nli` takes, for the premises and hypotheses of all splits; or a text file, for its lines.

    Raises:
        InputError: If the source can't be read.
    """
    if Path(source).is_file() and Path(source).suffix not in (*LOADERS.keys() - {".txt"}, ".gz", ".zip"):
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
