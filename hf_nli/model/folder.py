"""The files of a model folder: their names, who may replace them, and whose weights the reports speak of."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from hf_nli.core.errors import InputError
from hf_nli.core.files import replaced, sha256, temporary_folder, usual_permissions

logger = logging.getLogger(__name__)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD = "README.md"
CONVERSION = "conversion_report.json"
TRAINING, RESULTS = "training.json", "all_results.json"
LOG, CURVES = "train_log.jsonl", "training_curves.png"
EVALUATIONS, CONFUSION = "evaluations.json", "confusion_matrix-*.png"

MODEL = (CONFIG, "model*.safetensors", "model.safetensors.index.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
TOKENIZER += ("vocab.*", "merges.txt", "tokenizer.model")
REPORTS = (CONVERSION, TRAINING, RESULTS, LOG, CURVES, EVALUATIONS, CONFUSION)
PUBLISHED = (*MODEL, *TOKENIZER, CARD, *REPORTS)
# What else the commands leave there: they replace it with the model.
_OURS = (*PUBLISHED, "checkpoint-*", ".checkpoint-*", "model.onnx*", "export.json", "export_report.json")
_OURS += ("eval_results.json", "confusion_matrix.png", "predictions.jsonl")
_OURS += ("training_args.bin", "trainer_state.json", "train_results.json")
_HOLDS_MODEL = ("*.safetensors", "pytorch_model*.bin", "*.onnx")

SHA256 = "model_sha256"  # the key by which a report names the weights that it speaks of


def weights_sha256(folder: str | Path) -> str | None:
    """Computes what identifies the weights in a model folder.

    Args:
        folder: The model folder.

    Returns:
        The SHA-256 of model.safetensors; of weights in several files, that of their SHA-256s in the order of their
        names; None if there are none.
    """
    files = sorted(Path(folder).glob("model*.safetensors"))
    digests = [sha256(file) for file in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest() if files else None
    )


def holds_model(folder: str | Path) -> bool:
    """Says whether a folder holds a model's weights, in any of the usual files."""
    folder = Path(folder)
    return folder.is_dir() and any(fnmatch(file.name, each) for file in folder.iterdir() for each in _HOLDS_MODEL)


def refuse_other_model(output_dir: str | Path, overwrite: bool = False) -> None:
    """Raises `InputError` if a folder holds a model that may not be overwritten; to be called before the work.

    Args:
        output_dir: The folder to be written to.
        overwrite: Whether its model may be replaced.
    """
    if not overwrite and holds_model(output_dir):
        raise InputError(
            f"{output_dir} holds a model already; choose another --output_dir, or replace it with "
            "--overwrite_output_dir"
        )


@contextmanager
def model_folder(output_dir: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary folder that becomes the model folder `output_dir`, as a whole, when the block ends well.

    Until then, and if the block fails or the process dies, what was there before stays untouched. Files of an earlier
    model and the reports on it are gone afterwards; files that no command of ours writes are kept.

    Args:
        output_dir: The folder to write.
        overwrite: Whether a model in `output_dir` may be replaced.

    Raises:
        InputError: If `output_dir` holds a model and `overwrite` is false, or can't be written to.
    """
    refuse_other_model(output_dir, overwrite)
    temporary = temporary_folder(Path(output_dir))
    try:
        yield temporary
        replace_model_folder(temporary, Path(output_dir))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_model_folder(new: Path, output_dir: Path) -> None:
    """Puts a complete model folder in the place of `output_dir`, and keeps there what isn't a model's.

    Args:
        new: The complete folder, beside `output_dir`.
        output_dir: The folder to replace, or to make.
    """
    usual_permissions(new)
    output_dir = output_dir.resolve()  # a link stays a link
    old = replaced(new, output_dir)
    if old is None:
        return
    for path in old.iterdir():
        if not any(fnmatch(path.name, pattern) for pattern in _OURS) and not (output_dir / path.name).exists():
            path.rename(output_dir / path.name)
    shutil.rmtree(old)


def read_report(folder: str | Path, name: str) -> dict[str, Any] | None:
    """Reads a report of a model folder, whatever weights it speaks of.

    Args:
        folder: The model folder.
        name: The file's name.

    Returns:
        Its content; None if there is none, or it is damaged, which is logged.
    """
    path = Path(folder) / name
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"expected an object, not {type(content).__name__}")
    except (OSError, ValueError) as error:
        logger.warning("%s is left out: it can't be read (%s)", path, error)
        return None
    return content


def read_epochs(folder: str | Path) -> list[dict[str, Any]]:
    """Reads what the log of a run says of its epochs, from epoch 0, before training, on.

    Args:
        folder: The folder of the run.
    """
    lines = (Path(folder) / LOG).read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if "eval_accuracy" in record]


def speaks_of(path: Path) -> str | None:
    """Finds which weights a report speaks of.

    Args:
        path: A .json report, a log of JSON lines (whose last line says it), or a .png picture (whose metadata do).

    Returns:
        The SHA-256 of the weights; None if the file doesn't say it or can't be read.
    """
    try:
        if path.suffix == ".png":
            with Image.open(path) as image:
                return image.info.get(SHA256)
        text = path.read_text(encoding="utf-8")
        content = json.loads(text.strip().rpartition("\n")[2] if path.suffix == ".jsonl" else text)
        return content.get(SHA256) if isinstance(content, dict) else None
    except (OSError, ValueError, UnidentifiedImageError):
        return None
