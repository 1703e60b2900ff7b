"""Where data come from: the Hub, releases, files, archives, patterns, saved folders; a new kind is one of `_KINDS`."""

from __future__ import annotations

import glob
import os
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datasets import DatasetDict, load_dataset, load_from_disk
from datasets.exceptions import DatasetNotFoundError, DatasetsError

from hf_nli.core.cache import content_key, kept_folder
from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import DAMAGED_ZIP, is_zip
from hf_nli.data.forms import DAMAGED_FEATURES, FORMS, stem_and_suffix
from hf_nli.data.parts import FilePart, Part, TablePart, file_key, loading

CACHE_VERSION = 1  # of unpacked archives: to be raised when other files of them are taken

SPLITS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
# snli_1.0_dev.txt, train.csv, train-00000-of-00002.parquet
_SPLIT_NAME = re.compile(rf"(?:.*[_.-])?({'|'.join(SPLITS)})(?P<shard>[_.-]?\d+(?:-of-\d+)?)?")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves


@dataclass(frozen=True)
class Split:
    """One split of a source.

    Attributes:
        parts: Where its rows are.
        public_name: The name by which it is known; None if nothing says which split it is.
    """

    parts: tuple[Part, ...]
    public_name: str | None


def open_source(source: str, name: str | None = None, revision: str | None = None) -> dict[str, Split]:
    """Finds the splits of a data set; what isn't on the Hub is read later.

    Args:
        source: What `load.load_nli` takes.
        name: The configuration of a data set on the Hub.
        revision: The branch, tag or commit of a data set on the Hub.

    Returns:
        The splits. Rows that don't name their split, and those of a single file, are "train".

    Raises:
        InputError: If there is no such source, or it is of no kind that can be read.
    """
    if not (os.path.exists(source) or glob.has_magic(source) or stem_and_suffix(source)[1] in FORMS):
        if _HUB_NAME.fullmatch(source):
            return _hub(source, name, revision)
        raise InputError(f"{source}: no such file or folder")
    if name or revision:
        raise InputError(f"{source}: a configuration and a revision are for data sets on the Hub")
    return _local(source, Path(source))


def _local(source: str, path: Path) -> dict[str, Split]:
    for kind in _KINDS:
        if (splits := kind(source, path)) is not None:
            return splits
    raise InputError(f"{source}: no such file or folder")


def _zip(source: str, path: Path) -> dict[str, Split] | None:
    return _local(source, _unpacked(path)) if path.is_file() and is_zip(path) else None


def _saved(source: str, path: Path) -> dict[str, Split] | None:
    if not any((path / file).is_file() for file in _SAVED):
        return None
    with loading(source, *DAMAGED_FEATURES):
        saved = load_from_disk(str(path))
    if isinstance(saved, DatasetDict):
        return _tables(source, saved)
    return {"train": Split((TablePart(source, saved),), str(saved.split) if saved.split else None)}


def _folder(source: str, path: Path) -> dict[str, Split] | None:
    if not path.is_dir():
        return None
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    for suffix in FORMS:
        if splits := _by_split(source, [file for file in files if stem_and_suffix(file)[1] == suffix]):
            return splits
    raise InputError(
        f"{source}: no files named like snli_1.0_train.jsonl, snli_1.0_dev.txt or test.csv; "
        "give one file, or a pattern like 'folder/*.jsonl'"
    )


def _file(source: str, path: Path) -> dict[str, Split] | None:
    if not path.is_file():
        return None
    return {"train": Split(_parts(source, [path]), next(iter(_by_split(source, [path])), None))}


def _pattern(source: str, path: Path) -> dict[str, Split] | None:
    files = [Path(file) for file in sorted(glob.glob(source, recursive=True)) if os.path.isfile(file)]
    if not files:
        return None
    return _by_split(source, files) or {"train": Split(_parts(source, files), None)}


_KINDS = (_zip, _saved, _folder, _file, _pattern)


def _by_split(source: str, files: Sequence[Path]) -> dict[str, Split]:
    """Groups files by the splits in their names; the others are left out."""
    found: dict[str, list[Path]] = {}
    for file in files:
        if match := _SPLIT_NAME.fullmatch(stem_and_suffix(file)[0]):
            shards = found.setdefault(SPLITS[match[1]], [])
            shards.append(file)
            if len(shards) > 1 and not match["shard"]:
                raise InputError(f"{source}: both {shards[0]} and {file} are its split {SPLITS[match[1]]}; name one")
    names = [name for name in dict.fromkeys(SPLITS.values()) if name in found]
    return {name: Split(_parts(source, found[name]), name) for name in names}


def _parts(source: str, files: Sequence[Path]) -> tuple[FilePart, ...]:
    suffixes = {stem_and_suffix(file)[1] for file in files}
    if len(suffixes) > 1 or not suffixes <= FORMS.keys():
        raise InputError(f"{source}: not one of {', '.join(FORMS)} (or .gz of one)")
    for file in files:
        if not file.stat().st_size:
            raise InputError(f"{file}: the file is empty")
    return tuple(map(FilePart, files))


def _tables(source: str, tables: DatasetDict) -> dict[str, Split]:
    return {name: Split((TablePart(source, table),), name) for name, table in tables.items()}


def _hub(source: str, name: str | None, revision: str | None) -> dict[str, Split]:
    try:
        return _tables(source, load_dataset(source, name=name, revision=revision))
    except ConnectionError as error:
        raise InputError(f"{source}: no such file or folder here, and the Hub can't be reached") from error
    except DatasetNotFoundError as error:  # a private or gated one, a revision: it says what is missing
        raise InputError(f"{source}: no such file or folder here. {reason(error)}") from error
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:  # a configuration, a damaged file, a script
        raise InputError(f"{source}: can't be loaded ({reason(error.__cause__ or error)})") from error


def _unpacked(archive: Path) -> Path:
    """Unpacks the data files of a zip, once; no member can leave its folder."""

    def write(folder: Path) -> None:
        try:
            with zipfile.ZipFile(archive) as members:
                # `extract` takes ".." and a leading "/" out of names
                files = Counter(members.extract(member, folder) for member in members.infolist() if _is_data(member))
        except DAMAGED_ZIP as error:
            raise InputError(f"{archive}: a damaged or encrypted zip ({reason(error)})") from error
        except OSError as error:
            raise InputError(f"{archive}: can't be unpacked ({reason(error)})") from error
        for file, members_of_that_name in files.items():
            if members_of_that_name > 1:
                name = Path(file).relative_to(folder)
                raise InputError(f"{archive}: {members_of_that_name} files of it are unpacked as {name}; rename them")

    return kept_folder(f"unpacked-{content_key(file_key(archive), CACHE_VERSION)}", write)


def _is_data(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    return not member.is_dir() and stem_and_suffix(path)[1] in FORMS and "__MACOSX" not in path.parts
