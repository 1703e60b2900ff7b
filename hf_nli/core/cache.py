"""What is kept for later runs: folders named by what their content was made of, so that none is ever out of date."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow
from huggingface_hub import constants

from hf_nli.core.disk import make_folder
from hf_nli.core.files import staged

if TYPE_CHECKING:  # it takes a second, and files that can't be read are refused before
    from datasets import Dataset, Features

_ROWS = "rows.arrow"


def cache_folder() -> Path:
    """Gives the folder of all that is kept of data: `hf_nli` in HF_DATASETS_CACHE, by default HF_HOME/datasets."""
    caches = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets"
    return Path(caches).expanduser() / "hf_nli"


def content_key(*parts: object) -> str:
    """Computes the SHA-256 of what a result is made of, as 64 hexadecimal digits.

    Args:
        parts: Texts, numbers, lists and dictionaries of them: what JSON can hold. Among them should be the version of
            the code that makes the result.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def rows_key(rows: Dataset, columns: Sequence[str]) -> str:
    """Computes the SHA-256 of the values in some columns, wherever and in however many pieces they are stored.

    Args:
        rows: Any rows; they are read in parts, so that memory doesn't grow.
        columns: Which of their columns, in the order in which they count.
    """
    digest = hashlib.sha256()
    for table in rows.select_columns(list(columns)).with_format("arrow").iter(10_000):
        for batch in table.combine_chunks().to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()


def kept_folder(name: str, write: Callable[[Path], None]) -> Path:
    """Gives a folder that is kept, which is written if it isn't there.

    Of processes that write it at once, each may do the work, and all get a whole folder.

    Args:
        name: Its kind and what it is made of, as in "tokens-" and a `content_key`.
        write: Writes its files into the folder that it is given.

    Raises:
        InputError: If nothing can be written there, or as `write` does, after which nothing is left.
    """
    folder = cache_folder() / name
    if not folder.exists():
        remedy = "set HF_HOME or HF_DATASETS_CACHE to another folder for caches"
        make_folder(folder.parent, remedy)
        with staged(folder, remedy) as temporary:
            write(temporary)
    return folder


def write_rows(folder: Path, features: Features, batches: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows for `read_rows`, some at a time.

    Args:
        folder: The folder to write to.
        features: The columns and their types.
        batches: The values of each column: an Arrow array or a list.
    """
    schema = features.arrow_schema
    with pyarrow.OSFile(str(folder / _ROWS), "wb") as file, pyarrow.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_batch(pyarrow.record_batch(dict(batch), schema=schema))


def read_rows(folder: Path) -> Dataset:
    """Opens what `write_rows` wrote; the file is mapped into memory, not read."""
    from datasets import Dataset

    return Dataset.from_file(str(folder / _ROWS))
