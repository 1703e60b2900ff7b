"""What this package keeps between runs: what there is, where, how much, and how to be rid of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from huggingface_hub import constants

from hf_nli.core.cache import cache_folder
from hf_nli.core.errors import InputError

# Of what is kept of data, the beginnings of the folders' names.
KINDS = {
    "unpacked": "files of a zip",
    "pairs": "a split that was read",
    "encoded": "its pairs as token ids",
    "tokens": "the same, as training reads them",
    "programs": "a model as a program for onnxruntime or OpenVINO",
    "predictions": "what a file of answers is of",
}


@dataclass(frozen=True)
class CacheEntry:
    """Something that is kept.

    Attributes:
        kind: "checkpoint" (a download from d2l), one of `KINDS`, "unfinished" (a run writes it now, or was killed) or
            "older" (of an earlier version).
        path: The file or folder.
        bytes: How much room it takes.
        when: When it was written.
    """

    kind: str
    path: Path
    bytes: int
    when: datetime


def cache_entries() -> list[CacheEntry]:
    """Lists what this package keeps; what `datasets` and `huggingface_hub` keep of the Hub isn't among it.

    Returns:
        The entries, by kind and time.
    """
    return sorted(_entries(), key=lambda entry: (entry.kind, entry.when, entry.path))


def clear_cache() -> list[CacheEntry]:
    """Deletes what this package keeps; what is needed again is made or downloaded again.

    No run should be preparing its data at that time. Runs that train already aren't disturbed.

    Returns:
        What was deleted.

    Raises:
        InputError: If something can't be deleted.
    """
    entries = cache_entries()
    for entry in entries:
        try:
            if entry.path.is_dir():
                shutil.rmtree(entry.path)
            else:
                entry.path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{entry.path}: can't be deleted ({error.strerror})") from error
    return entries


def _entries() -> Iterator[CacheEntry]:
    for path in Path(constants.HF_HOME, "hf_nli").glob("*"):
        if path.is_file():
            yield _entry("unfinished" if path.suffix == ".part" else "checkpoint", path)
    for path in cache_folder().glob("*"):
        kind = path.name.partition("-")[0]
        other = "unfinished" if path.name.startswith(".") else "older"
        yield _entry(kind if kind in KINDS else other, path)


def _entry(kind: str, path: Path) -> CacheEntry:
    files = [path, *path.rglob("*")]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return CacheEntry(kind, path, size, datetime.fromtimestamp(path.stat().st_mtime))
