"""Forms of data files, by the ending of their names: a new form is a class and an entry in `FORMS`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet
from datasets import Features

from hf_nli.core.content import is_gzip, open_bytes
from hf_nli.core.errors import reason
from hf_nli.data.readers import Fields, Objects

# Columns by name, with the names that ids in them stand for, if the file says so.
Columns = dict[str, list[str] | None]
# The line that a row begins on, from 1, if rows have lines, and the values asked for.
Row = tuple[int | None, tuple[Any, ...]]
# What `datasets` raises for damaged JSON of its own, which describes columns.
DAMAGED_FEATURES = (ValueError, LookupError, TypeError, AttributeError)


class Form(Protocol):
    """How rows are kept in a file, which may be compressed by gzip."""

    def columns(self, file: Path) -> Columns:
        """Reads which columns a file has; raises `DamagedFile`."""

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[Row]:
        """Reads the rows one by one, of each the values in these columns; raises `DamagedFile`."""


class Parquet:
    """Parquet, whose schema may say what label ids mean, as that of `datasets` does."""

    def columns(self, file: Path) -> Columns:
        """Reads the schema."""
        with _parquet(file) as parquet:
            schema = parquet.schema_arrow
        try:
            return names_of_ids(Features.from_arrow_schema(schema))
        except DAMAGED_FEATURES as error:
            raise pyarrow.ArrowInvalid(f"the schema is damaged: {reason(error)}") from error

    def rows(self, file: Path, columns: Sequence[str]) -> Iterator[Row]:
        """Reads the rows, a batch at a time."""
        with _parquet(file) as parquet:
            for batch in parquet.iter_batches(1000, columns=list(dict.fromkeys(columns))):
                yield from rows_of(batch, columns)


FORMS: Mapping[str, Form] = {
    ".jsonl": Objects(),
    ".txt": Fields("\t", quoted=False),  # the Stanford release's sentences hold lone quotation marks
    ".json": Objects(),
    ".csv": Fields(",", quoted=True),
    ".tsv": Fields("\t", quoted=False),
    ".parquet": Parquet(),
}


def stem_and_suffix(file: str | PurePath) -> tuple[str, str]:
    """Splits the name of a file, compressed or not, into its beginning and the ending that tells its form.

    Args:
        file: The file's name or path.

    Returns:
        ("snli_1.0_dev", ".txt") for data/snli_1.0_dev.TXT.gz: the ending is in small letters, as in `FORMS`.
    """
    path = PurePath(file)
    if path.suffix.lower() == ".gz":
        path = PurePath(path.stem)
    return path.stem, path.suffix.lower()


def names_of_ids(features: Features) -> Columns:
    """Lists columns, and what the ids in those of class labels mean.

    Args:
        features: The columns and their types.
    """
    return {column: getattr(feature, "names", None) for column, feature in features.items()}


def rows_of(batch: pyarrow.RecordBatch | pyarrow.Table, columns: Sequence[str]) -> Iterator[Row]:
    """Gives the values in some columns, row by row.

    Args:
        batch: Rows that fit into memory.
        columns: The names of the columns.
    """
    return ((None, row) for row in zip(*(batch[name].to_pylist() for name in columns), strict=True))


@contextmanager
def _parquet(file: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    with tempfile.TemporaryFile() as plain, open_bytes(file) as content:
        packed = is_gzip(file)
        if packed:  # it is read from its end
            shutil.copyfileobj(content, plain)
        with pyarrow.parquet.ParquetFile(plain if packed else content) as parquet:
            yield parquet
