"""The conditions of an evaluation: which pairs, how they were read and cut, and the precision."""

from __future__ import annotations

import glob
from pathlib import Path

from hf_nli.core.files import joint_sha256
from hf_nli.model.evaluations import Conditions
from hf_nli.model.precision import Precision
from hf_nli.settings.options import DataOptions, Truncation


def describe(
    dataset: str,
    options: DataOptions,
    split: str | None,
    max_seq_length: int,
    truncation: Truncation,
    precision: Precision,
) -> Conditions:
    """Describes an evaluation.

    Args:
        dataset: Any source that `data.load_nli` takes.
        options: How it was read.
        split: The public name of its split, if it has one.
        max_seq_length: Tokens a pair.
        truncation: How longer pairs were cut.
        precision: The precision of matrix products.
    """
    return Conditions(
        dataset=str(dataset),
        dataset_sha256=files_sha256(str(dataset)),
        dataset_config=options.dataset_config,
        dataset_revision=options.dataset_revision,
        split=split,
        text=options.text,
        premise_column=options.premise_column,
        hypothesis_column=options.hypothesis_column,
        label_column=options.label_column,
        label_names=options.label_names,
        label_map=options.label_map,
        max_seq_length=max_seq_length,
        truncation=truncation,
        mixed_precision=precision,
    )


def files_sha256(dataset: str) -> str | None:
    """Computes what identifies the content of a data set that is here, wherever it is.

    Args:
        dataset: A file, a folder or a pattern of files; or a data set on the Hub.

    Returns:
        What `core.files.joint_sha256` gives of the files, in the order of their paths; None of a data set on the Hub.
    """
    path = Path(dataset)
    if path.is_dir():
        files = sorted(path.rglob("*"))
    else:
        files = [path] if path.exists() else [Path(file) for file in sorted(glob.glob(dataset, recursive=True))]
    return joint_sha256([file for file in files if file.is_file() and not file.name.startswith(".")])
