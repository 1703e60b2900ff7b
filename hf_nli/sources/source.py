"""Where data come from: the Hub, releases, files, archives, patterns, saved folders."""

from __future__ import annotations

import glob
import logging
import os
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NoReturn

from hf_nli.core.cache import content_key, kept_folder
from hf_nli.core.errors import InputError, listed, reason
from hf_nli.core.files import DAMAGED_ZIP, is_zip, refuse_zip_bomb
from hf_nli.core.hub_ids import why_offline
from hf_nli.sources.forms import DAMAGED_FEATURES, FORMS, stem_and_suffix
from hf_nli.sources.parts import FilePart, Part, TablePart, called, file_key, loading

if TYPE_CHECKING:  # it takes a second, and files don't need it
    from datasets import DatasetDict

logger = logging.getLogger(__name__)

CACHE_VERSION = 2  # of unpacked archives: to be raised when other files of them are taken

SPLITS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
# What may follow a split's name and makes it another one: MultiNLI's genres, and the pairs of SNLI's test that aren't
# guessed from the hypothesis alone (Gururangan et al. 2018).
_VARIANTS = ("matched", "mismatched", "hard")
# By whose name alone a split is found, too, where none has it.
_MAIN_VARIANTS = {"validation": "validation_matched", "test": "test_hard"}
# snli_1.0_dev.txt, multinli_1.0_dev_matched.jsonl, snli_1.0_test_hard.jsonl, train.csv, train-00000-of-00002.parquet
_SPLIT_NAME = re.compile(
    rf"(?:.*[_.-])?(?P<split>{'|'.join(SPLITS)})(?P<variant>[_-](?:{'|'.join(_VARIANTS)}))?"
    r"(?P<shard>[_.-]?\d+(?:-of-\d+)?)?"
)
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
    if not source.strip():
        raise InputError("the name of the data set is empty; give a file, a folder, or a data set on the Hub")
    here = _is_here(source)
    if not here and _may_be_on_hub(source):
        return _hub(source, name, revision)
    splits = _local(source, Path(source)) if here else _pattern(source)
    if splits is None:
        raise InputError(f"{source}: no such file or folder")
    if name or revision:
        raise InputError(f"{source}: a configuration and a revision are for data sets on the Hub")
    return splits


def is_at_hand(source: str) -> bool:
    """Whether `open_source` takes no time: files are only listed, nothing is downloaded, unpacked or loaded.

    Args:
        source: What it takes.
    """
    if not _is_here(source):
        return not _may_be_on_hub(source)
    path = Path(source)
    return not any((path / file).is_file() for file in _SAVED) and not (path.is_file() and is_zip(path))


def find_splits(splits: Mapping[str, Split], name: str) -> list[str]:
    """Finds the splits that are known by a name.

    Where none is, "validation" is MultiNLI's "validation_matched", and "test" is "test_hard".

    Args:
        splits: What `open_source` gives.
        name: A name in it, or a public one.

    Returns:
        Which of `splits`.
    """
    found = [each for each, split in splits.items() if name in (each, split.public_name)]
    if not found and name in _MAIN_VARIANTS:
        return find_splits(splits, _MAIN_VARIANTS[name])
    return found


def _is_here(source: str) -> bool:
    """Says whether there is a file or folder of that name, which can be looked at."""
    try:
        os.stat(source)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(source):
            raise InputError(f"{source}: a link to {os.readlink(source)}, which isn't there") from None
        return False
    except (OSError, ValueError) as error:  # a name that is too long, or holds NUL; no permission
        raise InputError(f"{source[:300]}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    return True


def _may_be_on_hub(source: str) -> bool:
    """Says whether what isn't here could be a data set on the Hub."""
    is_file = glob.has_magic(source) or stem_and_suffix(source)[1] in FORMS
    return not is_file and _HUB_NAME.fullmatch(source) is not None


def _local(source: str, path: Path) -> dict[str, Split]:
    if not (path.is_dir() or path.is_file()):
        raise InputError(f"{source}: a pipe or a device, not a regular file; write the data to a file first")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise InputError(f"{source}: can't be read (no permission)")
    if path.is_dir():
        return _saved(source, path) or _folder(source, path)
    if is_zip(path):
        return _local(source, _unpacked(path))
    parts = _parts(source, [path], path.parent)
    return {"train": Split(parts, next(iter(_by_split(source, [path], path.parent)), None))}


def _saved(source: str, path: Path) -> dict[str, Split] | None:
    if not any((path / file).is_file() for file in _SAVED):
        return None
    from datasets import DatasetDict, load_from_disk

    with loading(source, *DAMAGED_FEATURES):
        saved = load_from_disk(str(path))
    if isinstance(saved, DatasetDict):
        return _tables(source, saved)
    return {"train": Split((TablePart(source, saved),), str(saved.split) if saved.split else None)}


def _folder(source: str, path: Path) -> dict[str, Split]:
    files = [file for file in _all_files(path) if not file.name.startswith(".")]
    if splits := _by_split(source, files, path):
        return splits
    raise InputError(
        f"{source}: no files named like snli_1.0_train.jsonl, snli_1.0_dev.txt or test.csv; "
        "give one file, or a pattern like 'folder/*.jsonl'"
    )


def _all_files(folder: Path) -> list[Path]:
    """Lists what is in a folder and the folders in it, which must be readable; links to folders aren't followed."""
    found: list[Path] = []

    def refuse(error: OSError) -> NoReturn:
        raise InputError(f"{error.filename}: can't be read ({error.strerror})") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        paths = [Path(place, name) for name in folders]
        found += [path for path in paths if path.is_symlink()] + [Path(place, name) for name in files]
    return sorted(found)


def _pattern(source: str) -> dict[str, Split] | None:
    files = [Path(file) for file in sorted(glob.glob(source, recursive=True)) if not os.path.isdir(file)]
    if not files:
        return None
    return _by_split(source, files, Path()) or {"train": Split(_parts(source, files, Path()), None)}


def _by_split(source: str, files: Sequence[Path], root: Path) -> dict[str, Split]:
    """Groups files by the splits in their names; the log names the others, if there are such files."""
    found: dict[str, list[Path]] = {}
    whole, left_out = set(), []
    as_jsonl = {(file.parent, stem_and_suffix(file)[0]) for file in files if stem_and_suffix(file)[1] == ".jsonl"}
    for file in files:
        stem, suffix = stem_and_suffix(file)
        match = _SPLIT_NAME.fullmatch(stem) if suffix in FORMS else None
        # The Stanford release has the same rows as .jsonl and as .txt.
        if not match or suffix == ".txt" and (file.parent, stem) in as_jsonl:
            left_out.append(file)
            continue
        name = SPLITS[match["split"]] + (match["variant"] or "").replace("-", "_")
        shards = found.setdefault(name, [])
        shards.append(file)
        if not match["shard"]:
            whole.add(name)
        if len(shards) > 1 and name in whole:
            both = " and ".join(_relative(file, root) for file in (shards[0], shards[-1]))
            raise InputError(f"{source}: both {both} are its split {name}; name one")
    if found and left_out:
        named = listed((_relative(file, root) for file in left_out), 20)
        logger.warning("%s: files left out, as no split's or the same in another form: %s", source, named)
    variants = ("", *(f"_{variant}" for variant in _VARIANTS))
    order = [split + variant for split in dict.fromkeys(SPLITS.values()) for variant in variants]
    return {name: Split(_parts(source, found[name], root), name) for name in order if name in found}


def _parts(source: str, files: Sequence[Path], root: Path) -> tuple[FilePart, ...]:
    suffixes = {stem_and_suffix(file)[1]: file for file in files}
    if others := suffixes.keys() - FORMS.keys():
        damaged = "; a damaged zip" if others == {".zip"} else ""
        named = called(source, _relative(suffixes[min(others)], root))
        raise InputError(f"{named}: not one of {', '.join(FORMS)} (or .gz of one){damaged}")
    if len(suffixes) > 1:
        raise InputError(f"{source}: some files are {' and some '.join(sorted(suffixes))}; name those of one form")
    parts = tuple(FilePart(file, _relative(file, root)) for file in files)
    for part in parts:
        if not part.path.is_file():
            kind = "no regular file" if part.path.exists() else "a link to what isn't there"
            raise InputError(f"{called(source, part.name)}: {kind}")
        if not part.path.stat().st_size:
            raise InputError(f"{called(source, part.name)}: the file is empty")
    return parts


def _relative(file: Path, root: Path) -> str:
    name = str(file.relative_to(root) if file.is_relative_to(root) else file)
    return name if name.isprintable() else repr(name)


def _tables(source: str, tables: DatasetDict) -> dict[str, Split]:
    return {name: Split((TablePart(source, table),), name) for name, table in tables.items()}


def _hub(source: str, name: str | None, revision: str | None) -> dict[str, Split]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        return _tables(source, load_dataset(source, name=name, revision=revision))
    except ConnectionError as error:
        line = f"{source}: no such file or folder here, and the Hub can't be reached{why_offline()}"
        raise InputError(line) from error
    except DatasetNotFoundError as error:  # a private or gated one, a revision: it says what is missing
        raise InputError(f"{source}: no such file or folder here. {reason(error)}") from error
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:  # a configuration, a damaged file, a script
        raise InputError(f"{source}: can't be loaded ({reason(error.__cause__ or error)})") from error


def _unpacked(archive: Path) -> Path:
    """Unpacks the files of a zip, once; no member can leave its folder."""

    def write(folder: Path) -> None:
        try:
            with zipfile.ZipFile(archive) as content:
                members = [member for member in content.infolist() if _is_file(member)]
                refuse_zip_bomb(str(archive), members, archive.stat().st_size)
                # `extract` takes ".." and a leading "/" out of names
                files = Counter(content.extract(member, folder) for member in members)
        except DAMAGED_ZIP as error:
            raise InputError(f"{archive}: a damaged or encrypted zip ({reason(error)})") from error
        except OSError as error:
            raise InputError(f"{archive}: can't be unpacked ({reason(error)})") from error
        for file, members_of_that_name in files.items():
            if members_of_that_name > 1:
                name = Path(file).relative_to(folder)
                raise InputError(f"{archive}: {members_of_that_name} files of it are unpacked as {name}; rename them")

    return kept_folder(f"unpacked-{content_key(file_key(archive), CACHE_VERSION)}", write)


def _is_file(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    return name != "" and not name.endswith("/") and "__MACOSX" not in PurePosixPath(name).parts
