"""Any NLI source as a `DatasetDict` of `premise`, `hypothesis`, `label`."""

from __future__ import annotations

import csv
import logging
import re
import shutil
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, config, load_dataset

from hf_nli.errors import InputError
from hf_nli.files import staged
from hf_nli.labels import LABEL2ID, LABELS

logger = logging.getLogger(__name__)

VALIDATION_SHARE = 0.05

FEATURES = Features(
    {"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=list(LABELS))}
)
# Where each column may be found: our own schema, the Stanford release, `transformers.pipeline`'s pairs.
COLUMNS = {
    "premise": ("premise", "sentence1", "text"),
    "hypothesis": ("hypothesis", "sentence2", "text_pair"),
    "label": ("label", "gold_label"),
}
SPLITS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
RELEASE_SUFFIXES = (".jsonl", ".txt")  # in this order: both hold the same rows
# Tab-separated text is not quoted: the release's sentences hold lone quotation marks. An empty field is an empty text.
_TABS = {"sep": "\t", "quoting": csv.QUOTE_NONE, "keep_default_na": False}
LOADERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".csv": ("csv", {"keep_default_na": False}),
    ".tsv": ("csv", _TABS),
    ".txt": ("csv", _TABS),
    ".parquet": ("parquet", {}),
}


def load_nli(source: str) -> DatasetDict:
    """Loads an NLI data set, dropping the rows without a gold label (which it logs).

    Args:
        source: A Hub id (`stanfordnlp/snli`), the Stanford release as a folder or zip file, or a single .jsonl, .json,
            .csv, .tsv, .txt or .parquet file (.gz too), whose rows become the split "train".

    Returns:
        Splits with `premise` and `hypothesis` (string) and `label` (ClassLabel: entailment, neutral, contradiction).

    Raises:
        InputError: If the source is missing, damaged or empty, has no recognizable columns, or a label is unknown.
    """
    return read_nli(source)[0]


def read_nli(source: str) -> tuple[DatasetDict, dict[str, int]]:
    """Like `load_nli`, and tells how many rows without a gold label each split lost."""
    splits, dropped = DatasetDict(), {}
    for name, raw in _load(source).items():
        split = _with_schema(raw, f"{source}, {name}")
        dropped[name] = len(raw) - len(split)
        logger.info("%s, %s: %d rows, %d without a gold label dropped", source, name, len(split), dropped[name])
        if len(split):  # test splits are often published without labels
            splits[name] = split
    if not splits:
        raise InputError(f"{source}: no row with a gold label")
    return splits, dropped


def find_split(splits: DatasetDict, source: str, *names: str) -> str:
    """Finds the first of `names` among the splits, or else the only split there is.

    Raises:
        InputError: If there are several splits and none of them is named so.
    """
    for name in names:
        if name in splits:
            return name
    if len(splits) == 1:
        return next(iter(splits))
    raise InputError(f"{source}: no split named {' or '.join(names)}; it has {', '.join(splits)}")


def train_and_validation(dataset: str, validation_dataset: str | None, seed: int) -> tuple[Dataset, Dataset, int]:
    """Loads what a run trains and validates on.

    Args:
        dataset: A source with a split "train", or with only one.
        validation_dataset: Another source to validate on. By default it is the first one's split "validation", or
            else 5 % of the training rows, which are set aside (and the log says so).
        seed: Chooses the rows that are set aside.

    Returns:
        Training pairs, validation pairs, and how many training rows had no gold label.

    Raises:
        InputError: If a source can't be loaded or doesn't have the split.
    """
    splits, dropped = read_nli(dataset)
    name = find_split(splits, dataset, "train")
    pairs = splits[name]
    if validation_dataset:
        others, _ = read_nli(validation_dataset)
        return pairs, others[find_split(others, validation_dataset, "validation")], dropped[name]
    if "validation" in splits and name != "validation":
        return pairs, splits["validation"], dropped[name]
    if len(pairs) < 2:
        raise InputError(f"{dataset}: one row can't be split into training and validation; give --validation_dataset")
    parts = pairs.train_test_split(max(1, round(VALIDATION_SHARE * len(pairs))), seed=seed)
    share = f"{len(parts['test'])} of {len(pairs)} training rows ({VALIDATION_SHARE:.0%})"
    logger.info("No validation split: %s set aside by seed %d", share, seed)
    return parts["train"], parts["test"], dropped[name]


def _load(source: str) -> DatasetDict:
    path = Path(source)
    if path.is_file() and zipfile.is_zipfile(path):
        path = _unpacked(path)
    if path.is_dir():
        files = _release(source, path)
    elif path.is_file():
        files = {"train": source}
        if not path.stat().st_size:
            raise InputError(f"{source}: the file is empty")
    elif _suffix(source) in LOADERS or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source):
        raise InputError(f"{source}: no such file or folder")
    else:
        return _load_dataset(source, source)
    suffix = _suffix(next(iter(files.values())))
    if suffix not in LOADERS:
        raise InputError(f"{source}: not one of {', '.join(LOADERS)} (or .gz of one)")
    loader, options = LOADERS[suffix]
    return _load_dataset(source, loader, data_files=files, **options)


def _load_dataset(source: str, *args: Any, **options: Any) -> DatasetDict:
    try:
        return load_dataset(*args, **options)
    except ConnectionError as error:
        raise InputError(f"{source}: no such file or folder here, and the Hub can't be reached") from error
    except Exception as error:  # readers of damaged files raise errors of many families
        cause = error.__cause__ or error
        reason = (str(cause) or type(cause).__name__).strip().splitlines()[0]
        raise InputError(f"{source}: can't be loaded ({reason})") from error


def _suffix(file: str) -> str:
    return Path(file.removesuffix(".gz")).suffix


def _unpacked(archive: Path) -> Path:
    """Unpacks the data files of a zip, once, among what `datasets` unpacks; only their base names are used."""
    stat = archive.stat()
    key = sha256(f"{archive.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    folder = Path(config.EXTRACTED_DATASETS_PATH) / key
    if not folder.exists():
        with staged(folder) as temporary:
            try:
                with zipfile.ZipFile(archive) as members:
                    for member in members.namelist():
                        if Path(member).suffix in RELEASE_SUFFIXES and not member.startswith("__MACOSX"):
                            with members.open(member) as file, (temporary / Path(member).name).open("wb") as target:
                                shutil.copyfileobj(file, target)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
                raise InputError(f"{archive}: a damaged or encrypted zip ({error})") from error
    return folder


def _release(source: str, folder: Path) -> dict[str, str]:
    """The files `…_train`, `…_dev`, `…_test` of a Stanford release."""
    for suffix in RELEASE_SUFFIXES:
        found = {}
        for file in sorted(folder.rglob(f"*{suffix}")):
            if match := re.fullmatch(r"(?:.*_)?(train|dev|validation|test)", file.stem):
                found[SPLITS[match[1]]] = str(file)
        if found:
            return {split: found[split] for split in SPLITS.values() if split in found}
    raise InputError(
        f"{source}: no files named like snli_1.0_train.jsonl, snli_1.0_dev.jsonl or snli_1.0_test.jsonl (or .txt)"
    )


def _with_schema(split: Dataset, where: str) -> Dataset:
    columns = {}
    for column, candidates in COLUMNS.items():
        present = [name for name in candidates if name in split.column_names]
        if not present:
            raise InputError(f"{where}: no column for the {column} ({', '.join(candidates)}) in {split.column_names}")
        columns[column] = present[0]
    names = getattr(split.features[columns["label"]], "names", None)

    def convert(batch: dict[str, list], indices: list[int]) -> dict[str, list]:
        rows: dict[str, list] = {column: [] for column in columns}
        for index, *values in zip(indices, *(batch[name] for name in columns.values()), strict=True):
            try:
                row = _row(*values, names)
            except ValueError as error:
                raise InputError(f"{where}, row {index + 1}: {error}") from None
            if row:
                for column, value in row.items():
                    rows[column].append(value)
        return rows

    return split.map(
        convert, batched=True, with_indices=True, remove_columns=split.column_names, features=FEATURES, desc="Reading"
    )


def _row(premise: Any, hypothesis: Any, label: Any, names: list[str] | None) -> dict[str, Any] | None:
    """One row in our schema, None if it has no gold label; raises ValueError if it is not an NLI row."""
    for column, text in (("premise", premise), ("hypothesis", hypothesis)):
        if not isinstance(text, str):
            raise ValueError(f"the {column} is {text!r}, not a text")
    if label in ("-", -1):
        return None
    name = label
    if isinstance(label, int):
        if names is None:
            raise ValueError(
                f"the label is the number {label}, and data sets number labels differently: replace the numbers by "
                f"the names {', '.join(LABELS)}, or save the data with `datasets` and a ClassLabel feature"
            )
        name = names[label] if 0 <= label < len(names) else label
    if name not in LABEL2ID:
        raise ValueError(f"unknown label {name!r}; expected {', '.join(LABELS)}, or '-' for none")
    return {"premise": premise, "hypothesis": hypothesis, "label": LABEL2ID[name]}
