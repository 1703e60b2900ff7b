"""Forms of data files, by the ending of their names: a new form is a class and an entry in `FORMS`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

import pyarrow
import pyarrow.parquet

from hf_nli.core.content import Errors, check_unpacked, is_gzip, open_bytes
from hf_nli.core.errors import reason
from hf_nli.sources.readers import Fields, Objects, Record

if TYPE_CHECKING:  # it takes a second, and most files don't need it
    from datasets import Features

# Columns by name, with the names that ids in them stand for, if the file says so.
Columns = dict[str, list[str] | None]
# What `datasets` raises for damaged JSON of its own, which describes columns.
DAMAGED_FEATURES = (ValueError, LookupError, TypeError, AttributeError)


class Form(Protocol):
    """How rows are kept in a file, which may be compressed by gzip."""

    def columns(self, file: Path, errors: Errors) -> Columns:
        """Reads which columns a file has; raises `DamagedFile`."""

    def schema(self, file: Path) -> pyarrow.Schema | None:
        """Reads the columns and their types; None where each row may have other ones."""

    def records(self, file: Path, columns: Sequence[str] | None, errors: Errors) -> Iterator[Record]:
        """Reads the rows one by one; `columns` are those that are needed, None for all; raises `DamagedFile`.

        Of `errors` see `core.content.open_text`. What is wrong with one row alone is given in its place.
        """


class Parquet:
    """Parquet, whose schema may say what label ids mean, as that of `datasets` does."""

    def columns(self, file: Path, errors: Errors) -> Columns:
        """Reads the schema."""
        from datasets import Features

        with _parquet(file) as parquet:
            schema = parquet.schema_arrow
        try:
            return names_of_ids(Features.from_arrow_schema(schema))
        except DAMAGED_FEATURES as error:
            raise pyarrow.ArrowInvalid(f"the schema is damaged: {reason(error)}") from error

    def schema(self, file: Path) -> pyarrow.Schema:
        """Reads the schema."""
        with _parquet(file) as parquet:
            return parquet.schema_arrow

    def records(self, file: Path, columns: Sequence[str] | None, errors: Errors) -> Iterator[Record]:
        """Reads the rows, a batch at a time."""
        with _parquet(file) as parquet:
            for batch in parquet.iter_batches(1000, columns=None if columns is None else list(columns)):
                yield from records_of(batch)


FORMS: Mapping[str, Form] = {
    ".jsonl": Objects(),
    ".txt": Fields("\t", quoted=False),  # the Stanford release's sentences hold lone quotation marks
    ".json": Objects(),
    ".csv": Fields(",", quoted=True),
    ".tsv": Fields("\t", quoted=None),  # GLUE's aren't quoted, those of counterfactually augmented SNLI are
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


def records_of(batch: pyarrow.RecordBatch | pyarrow.Table) -> Iterator[Record]:
    """Gives rows one by one.

    Args:
        batch: Rows that fit into memory.
    """
    return ((None, record) for record in batch.to_pylist())


@contextmanager
def _parquet(file: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    with tempfile.TemporaryFile() as plain, open_bytes(file) as content:
        packed = is_gzip(file)
        if packed:  # it is read from its end
            shutil.copyfileobj(content, plain)
        with pyarrow.parquet.ParquetFile(plain if packed else content) as parquet:
            groups = map(parquet.metadata.row_group, range(parquet.metadata.num_row_groups))
            check_unpacked(sum(group.total_byte_size for group in groups), file.stat().st_size)
            yield parquet
