"""The files of a model folder: their names, who may replace them, and which weights a report is about."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError

from hf_nli.core.disk import check_output, disk_errors
from hf_nli.core.errors import InputError
from hf_nli.core.files import joint_sha256, locked
from hf_nli.core.hub_ids import hub_id
from hf_nli.core.staging import staging

logger = logging.getLogger(__name__)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD = "README.md"
CONVERSION = "conversion_report.json"
TRAINING, RESULTS = "training.json", "all_results.json"
LOG, CURVES = "train_log.jsonl", "training_curves.png"
CALIBRATION = "calibration_report.json"
EVALUATIONS, CONFUSION = "evaluations.json", "confusion_matrix-*.png"

MODEL = (CONFIG, "model*.safetensors", "model.safetensors.index.json")
TOKENIZER: tuple[str, ...] = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TOKENIZER += ("added_tokens.json", "vocab.*", "merges.txt", "tokenizer.model")
# How the weights came to be; what they score is another thing.
HISTORY = (CONVERSION, TRAINING, RESULTS, LOG, CURVES, CALIBRATION)
REPORTS = (*HISTORY, EVALUATIONS, CONFUSION)
PUBLISHED = (*MODEL, *TOKENIZER, CARD, *REPORTS)
# What else our commands leave in a model folder: it goes with the model.
_OURS = (
    *PUBLISHED,
    *("checkpoint-*", ".checkpoint-*", "training_args.bin", "trainer_state.json", "train_results.json"),
    *("eval_results.json", "confusion_matrix.png", "predictions.jsonl"),
    *("model.onnx*", "export.json", "export_report.json"),
)
_FILES = (WEIGHTS, "model.onnx", *(name for name in _OURS if "*" not in name))
_UNFINISHED = ("checkpoint-*", ".checkpoint-*", LOG, CURVES)
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
_HOLDS_MODEL = ("*.safetensors", "pytorch_model*.bin", "*.onnx")

SHA256 = "model_sha256"  # the key by which a report names the weights that it is about


def weights_sha256(folder: str | Path) -> str | None:
    """Computes what identifies the weights in a model folder.

    Args:
        folder: The model folder.

    Returns:
        The SHA-256 of model.safetensors; of weights in several files what `core.files.joint_sha256` gives of them, in
        the order of their names; None if there are none.
    """
    found = (sorted(Path(folder).glob(pattern)) for pattern in _WEIGHTS)
    return joint_sha256(next(filter(None, found), []))


def local_folder(model_name_or_path: str, revision: str | None = None) -> Path | None:
    """Finds where the files of a model are that has been loaded.

    Args:
        model_name_or_path: A model folder or Hub id.
        revision: The branch, tag or commit of a model on the Hub.

    Returns:
        The folder, or of a model on the Hub the one in Hugging Face's cache; None if there is none.
    """
    if not hub_id(model_name_or_path):
        return Path(model_name_or_path)
    try:
        return Path(hf_hub_download(model_name_or_path, CONFIG, revision=revision, local_files_only=True)).parent
    except LocalEntryNotFoundError:
        return None


def holds_model(folder: str | Path) -> bool:
    """Says whether a folder holds a model's weights, in any of the usual files."""
    folder = Path(folder)
    return folder.is_dir() and any(_matches(file.name, _HOLDS_MODEL) for file in folder.iterdir() if file.is_file())


def refuse_other_model(output_dir: str | Path, overwrite: bool = False) -> Path:
    """Refuses a folder that can't become a model folder; to be called before the work.

    Args:
        output_dir: The folder to be written to, as it was given.
        overwrite: Whether a model in it may be replaced.

    Returns:
        Where the folder is, or will be.

    Raises:
        InputError: If it can't be written to; if it has a name that tokenizers and safetensors can't open, or folders
            where a model has files; if it holds a model that may not be replaced; or if it is the current folder:
            folders are replaced as a whole, and shells and notebooks that are in one would be left in its deleted
            copy.
    """
    target = check_output(output_dir, files=_FILES)
    try:
        str(target).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{output_dir}: the name isn't UTF-8, which a model's folder has to have, for tokenizers and safetensors; "
            "choose another --output_dir"
        ) from None
    if not overwrite and holds_model(output_dir):
        raise InputError(
            f"{output_dir} holds a model already; choose another --output_dir, or replace it with "
            "--overwrite_output_dir"
        )
    if os.path.isdir(output_dir) and os.path.samefile(output_dir, os.curdir):
        raise InputError(f"{output_dir} is the current folder, which can't be replaced; choose another --output_dir")
    return target


@contextmanager
def model_folder(output_dir: str | Path, overwrite: bool = False, keep: Sequence[str] = ()) -> Iterator[Path]:
    """Gives a temporary folder that becomes the model folder `output_dir`, as a whole, when the block ends well.

    Until then, and if the block fails or the process dies, what was there before stays untouched. Of an earlier model
    nothing is left afterwards, reports included; files that no command of ours writes are kept.

    Args:
        output_dir: The folder to write.
        overwrite: Whether a model in `output_dir`, which may have come there meanwhile, may be replaced.
        keep: Patterns of names of an earlier model's files that stay, too.

    Raises:
        InputError: If `output_dir` can't become a model folder (see `refuse_other_model`), or can't be written to.
    """
    target = refuse_other_model(output_dir, overwrite)  # a link stays a link
    with disk_errors(output_dir), staging(target, whole=True) as stage:
        yield stage.new
        with locked(target):
            refuse_other_model(output_dir, overwrite)
            stage.install(_stale(target, overwrite, keep) if target.exists() else ())


def _stale(folder: Path, overwrite: bool, keep: Sequence[str]) -> list[str]:
    """Names what goes with the model in a folder, or with a run that didn't get as far as one."""
    patterns = _OURS if holds_model(folder) else _UNFINISHED if overwrite else ()
    names = [path.name for path in folder.iterdir() if not path.is_dir() or fnmatch(path.name, "*checkpoint-*")]
    return [name for name in names if _matches(name, patterns) and not _matches(name, keep)]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def read_report(folder: str | Path, name: str) -> dict[str, Any] | None:
    """Reads a report of a model folder, whatever weights it is about.

    Args:
        folder: The model folder.
        name: The file's name.

    Returns:
        Its content; None if there is none, or it is damaged, which is logged.
    """
    content = read_json(folder, name)
    if content is not None and not isinstance(content, dict):
        logger.warning("%s is left out: it holds a %s, not an object", Path(folder) / name, type(content).__name__)
        return None
    return content


def read_json(folder: str | Path, name: str) -> Any:
    """Reads a JSON file of a model folder.

    Args:
        folder: The model folder.
        name: The file's name.

    Returns:
        What it holds; None if there is none, or it is damaged, which is logged.
    """
    path = Path(folder) / name
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s is left out: it can't be read (%s)", path, error)
        return None


def read_epochs(folder: str | Path) -> list[dict[str, Any]]:
    """Reads what the log of a run says of its epochs, maybe from epoch 0, before training, on.

    Args:
        folder: The folder of the run.
    """
    lines = (Path(folder) / LOG).read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if "eval_accuracy" in record]


def speaks_of(path: Path) -> str | None:
    """Finds which weights a report is about.

    Args:
        path: A .json report, a log of JSON lines (whose last line says it), or a .png picture (whose metadata do).

    Returns:
        The SHA-256 of the weights; None if the file doesn't say it or can't be read.
    """
    try:
        if path.suffix == ".png":
            from PIL import Image

            with Image.open(path) as image:
                return image.info.get(SHA256)
        text = path.read_text(encoding="utf-8")
        content = json.loads(text.strip().rpartition("\n")[2] if path.suffix == ".jsonl" else text)
        return content.get(SHA256) if isinstance(content, dict) else None
    except (OSError, ValueError, RecursionError):
        return None
