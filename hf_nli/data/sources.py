"""Where data come from: Hub ids, releases, files, archives, globs, saved folders, as they are."""

from __future__ import annotations

import csv
import glob
import gzip
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import pandas
from datasets import DatasetDict, DownloadManager, config, load_dataset, load_from_disk
from datasets.exceptions import DatasetNotFoundError

from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import staged

# Tab-separated text is not quoted: the release's sentences hold lone quotation marks.
_TABS = {"sep": "\t", "quoting": csv.QUOTE_NONE}
# An empty field is an empty text, and only pandas' own engine tells it from a missing one.
_FIELDS = {"keep_default_na": False, "engine": "python"}
LOADERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jsonl": ("json", {}),
    ".txt": ("csv", _TABS | _FIELDS),
    ".json": ("json", {}),
    ".csv": ("csv", _FIELDS),
    ".tsv": ("csv", _TABS | _FIELDS),
    ".parquet": ("parquet", {}),
}
SPLITS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
# snli_1.0_dev.txt, train.csv, train-00000-of-00002.parquet
SPLIT_NAME = re.compile(rf"(?:.*[_.-])?({'|'.join(SPLITS)})(?P<shard>[_.-]?\d+(?:-of-\d+)?)?")
SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves


def load_source(
    source: str, name: str | None = None, revision: str | None = None
) -> tuple[DatasetDict, dict[str, list[str]]]:
    """Loads a data set as it is.

    Args:
        source: What `data.load_nli` takes.
        name: The configuration of a data set on the Hub.
        revision: The branch, tag or commit of a data set on the Hub.

    Returns:
        The splits, memory-mapped, and the local files that each was read from, if any.

    Raises:
        InputError: If there is no such source, or it is damaged or of no kind that can be read.
    """
    path = Path(source)
    if not (path.exists() or glob.has_magic(source) or suffix_of(source) in LOADERS):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source):
            return _load_dataset(source, source, name=name, revision=revision), {}
        raise InputError(f"{source}: no such file or folder")
    if name or revision:
        raise InputError(f"{source}: a configuration and a revision are for data sets on the Hub")
    if path.is_file() and zipfile.is_zipfile(path):
        path = _unpacked(path)
    if path.is_dir() and any((path / file).exists() for file in SAVED):
        return _saved(source, path), {}
    files = _files(source, path)
    suffixes = {suffix_of(file) for shards in files.values() for file in shards}
    if len(suffixes) > 1 or not suffixes <= LOADERS.keys():
        raise InputError(f"{source}: not one of {', '.join(LOADERS)} (or .gz of one)")
    loader, options = LOADERS[suffixes.pop()]
    for file in (file for shards in files.values() for file in shards):
        if not Path(file).stat().st_size:
            raise InputError(f"{file}: the file is empty")
    if loader == "csv":
        options = options | {"converters": dict.fromkeys(_header(source, files, options), _as_it_is)}
    # `datasets` takes names for patterns, and opens other files that are compressed by itself.
    plain = _extracted(source, files) if loader == "parquet" else files
    data_files = {split: [glob.escape(file) for file in shards] for split, shards in plain.items()}
    return _load_dataset(source, loader, data_files=data_files, **options), files


def lines(files: list[str]) -> Iterator[tuple[str, int]]:
    """Tells where each row of a split came from.

    Args:
        files: Files of lines (.jsonl, .csv, .tsv, .txt, .gz of one).

    Yields:
        The file and the line, from 1, of each row.
    """
    for file in files:
        suffix = suffix_of(file)
        with (gzip.open if file.endswith(".gz") else open)(
            file, "rt", encoding="utf-8", errors="replace", newline=""
        ) as text:
            if suffix == ".jsonl":
                yield from ((file, number) for number, line in enumerate(text, 1) if line.strip())
            elif LOADERS[suffix][0] == "csv":
                style = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if "sep" in LOADERS[suffix][1] else {}
                rows = csv.reader(text, **style)
                next(rows)
                yield from ((file, rows.line_num) for fields in rows if fields)


def _files(source: str, path: Path) -> dict[str, list[str]]:
    """The files of each split."""
    if path.is_file():
        return {"train": [str(path)]}
    if path.is_dir():
        files = [str(file) for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        for suffix in LOADERS:  # in this order: the release holds the same rows twice
            if found := _by_split(source, [file for file in files if suffix_of(file) == suffix]):
                return found
        raise InputError(
            f"{source}: no files named like snli_1.0_train.jsonl, snli_1.0_dev.txt or test.csv; "
            "give one file, or a pattern like 'folder/*.jsonl'"
        )
    files = sorted(file for file in glob.glob(source, recursive=True) if Path(file).is_file())
    if not files:
        raise InputError(f"{source}: no such file or folder")
    return _by_split(source, files) or {"train": files}


def _by_split(source: str, files: list[str]) -> dict[str, list[str]]:
    """Groups files by the splits in their names; the others are left out."""
    found: dict[str, list[str]] = {}
    for file in files:
        if match := SPLIT_NAME.fullmatch(Path(file.removesuffix(".gz")).stem):
            shards = found.setdefault(SPLITS[match[1]], [])
            shards.append(file)
            if len(shards) > 1 and not match["shard"]:
                raise InputError(f"{source}: both {shards[0]} and {file} are its split {SPLITS[match[1]]}; name one")
    return {split: found[split] for split in dict.fromkeys(SPLITS.values()) if split in found}


def _as_it_is(field: str) -> str:
    """Keeps pandas from guessing types: what it guesses from the first rows may not fit the later ones."""
    return field


def _header(source: str, files: dict[str, list[str]], options: dict[str, Any]) -> list[str]:
    first = next(iter(files.values()))[0]
    try:
        return list(pandas.read_csv(first, nrows=0, **options).columns)
    except Exception as error:  # of many families, as in _load_dataset
        raise InputError(f"{source}: can't be loaded ({_reason(error)})") from error


def _extracted(source: str, files: dict[str, list[str]]) -> dict[str, list[str]]:
    try:
        return DownloadManager().extract(files)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{source}: can't be loaded ({_reason(error)})") from error


def _load_dataset(source: str, *args: Any, **options: Any) -> DatasetDict:
    try:
        return load_dataset(*args, **options)
    except ConnectionError as error:
        raise InputError(f"{source}: no such file or folder here, and the Hub can't be reached") from error
    except DatasetNotFoundError as error:  # a private or gated one, a revision: it says what is missing
        raise InputError(f"{source}: no such file or folder here. {_reason(error)}") from error
    except Exception as error:  # readers of damaged files raise errors of many families
        raise InputError(f"{source}: can't be loaded ({_reason(error.__cause__ or error)})") from error


def _reason(error: BaseException) -> str:
    return reason(error) + ("; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else "")


def _saved(source: str, folder: Path) -> DatasetDict:
    try:
        saved = load_from_disk(str(folder))
    except Exception as error:  # of many families, as in _load_dataset
        raise InputError(f"{source}: can't be loaded ({_reason(error)})") from error
    return saved if isinstance(saved, DatasetDict) else DatasetDict(train=saved)


def suffix_of(file: str) -> str:
    """The ending that tells a file's kind, as in `LOADERS`, whether or not it is compressed."""
    return Path(file.removesuffix(".gz")).suffix


def _unpacked(archive: Path) -> Path:
    """Unpacks the data files of a zip, once, among what `datasets` unpacks, where no member can leave its folder."""
    stat = archive.stat()
    key = sha256(f"{archive.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    folder = Path(config.EXTRACTED_DATASETS_PATH) / key
    if not folder.exists():
        with staged(folder) as temporary:
            try:
                with zipfile.ZipFile(archive) as members:
                    for member in members.infolist():
                        place = PurePosixPath(member.filename)
                        if member.is_dir() or suffix_of(place.name) not in LOADERS or "__MACOSX" in place.parts:
                            continue
                        # One level, and folders in the name, so that files of the same name stay apart.
                        name = re.sub(r"[^\w.-]", "_", "_".join(place.parts)).lstrip(".")
                        with members.open(member) as file, (temporary / name).open("wb") as target:
                            shutil.copyfileobj(file, target)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
                raise InputError(f"{archive}: a damaged or encrypted zip ({error})") from error
    return folder
