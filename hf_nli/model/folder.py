"""The files of a model folder: their names, who may replace them, and which weights a report is about."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image, UnidentifiedImageError

from hf_nli.core.errors import InputError
from hf_nli.core.files import joint_sha256, locked, replaced, temporary_folder, usual_permissions
from hf_nli.core.hub_ids import hub_id

logger = logging.getLogger(__name__)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD = "README.md"
CONVERSION = "conversion_report.json"
TRAINING, RESULTS = "training.json", "all_results.json"
LOG, CURVES = "train_log.jsonl", "training_curves.png"
EVALUATIONS, CONFUSION = "evaluations.json", "confusion_matrix-*.png"

MODEL = (CONFIG, "model*.safetensors", "model.safetensors.index.json")
TOKENIZER: tuple[str, ...] = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TOKENIZER += ("added_tokens.json", "vocab.*", "merges.txt", "tokenizer.model")
REPORTS = (CONVERSION, TRAINING, RESULTS, LOG, CURVES, EVALUATIONS, CONFUSION)
PUBLISHED = (*MODEL, *TOKENIZER, CARD, *REPORTS)
# What else our commands leave in a model folder: it goes with the model.
_OURS = (
    *PUBLISHED,
    *("checkpoint-*", ".checkpoint-*", "training_args.bin", "trainer_state.json", "train_results.json"),
    *("eval_results.json", "confusion_matrix.png", "predictions.jsonl"),
    *("model.onnx*", "export.json", "export_report.json"),
)
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
    return folder.is_dir() and any(fnmatch(file.name, each) for file in folder.iterdir() for each in _HOLDS_MODEL)


def refuse_other_model(output_dir: str | Path, overwrite: bool = False) -> None:
    """Refuses a folder that can't become a model folder; to be called before the work.

    Args:
        output_dir: The folder to be written to.
        overwrite: Whether a model in it may be replaced.

    Raises:
        InputError: If it holds a model that may not be replaced, or is the current folder: folders are replaced as a
            whole, and shells and notebooks that are in one would be left in its deleted copy.
    """
    if not overwrite and holds_model(output_dir):
        raise InputError(
            f"{output_dir} holds a model already; choose another --output_dir, or replace it with "
            "--overwrite_output_dir"
        )
    if Path(output_dir).resolve() == Path.cwd():
        raise InputError(f"{output_dir} is the current folder, which can't be replaced; choose another --output_dir")


@contextmanager
def model_folder(output_dir: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary folder that becomes the model folder `output_dir`, as a whole, when the block ends well.

    Until then, and if the block fails or the process dies, what was there before stays untouched. Of an earlier model
    nothing is left afterwards, reports included; files that no command of ours writes are kept.

    Args:
        output_dir: The folder to write.
        overwrite: Whether a model in `output_dir` may be replaced.

    Raises:
        InputError: If `output_dir` holds a model and `overwrite` is false, is the current folder, or can't be
            written to.
    """
    refuse_other_model(output_dir, overwrite)
    temporary = temporary_folder(Path(output_dir).resolve())  # a link stays a link
    try:
        yield temporary
        replace_model_folder(temporary, Path(output_dir), overwrite)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_model_folder(new: Path, output_dir: Path, overwrite: bool = True) -> None:
    """Puts a complete model folder in the place of `output_dir`, and keeps there what isn't an earlier model's.

    Args:
        new: The complete folder, beside `output_dir` (if that is a link, beside what it points to).
        output_dir: The folder to replace, or to make.
        overwrite: Whether a model in `output_dir`, which may have come there meanwhile, may be replaced.

    Raises:
        InputError: If `output_dir` holds a model and `overwrite` is false, or can't be replaced.
    """
    usual_permissions(new)
    with locked(output_dir):
        refuse_other_model(output_dir, overwrite)
        output_dir = output_dir.resolve()
        try:
            old = replaced(new, output_dir)
        except OSError as error:
            reason = f"{output_dir}: can't be replaced ({error.strerror}); choose another --output_dir"
            raise InputError(reason) from error
        if old is None:
            return
        stale = _OURS if holds_model(old) else ()
        for path in old.iterdir():
            if not any(fnmatch(path.name, pattern) for pattern in stale) and not (output_dir / path.name).exists():
                path.rename(output_dir / path.name)
        shutil.rmtree(old)


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
    """Reads what the log of a run says of its epochs, from epoch 0, before training, on.

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
            with Image.open(path) as image:
                return image.info.get(SHA256)
        text = path.read_text(encoding="utf-8")
        content = json.loads(text.strip().rpartition("\n")[2] if path.suffix == ".jsonl" else text)
        return content.get(SHA256) if isinstance(content, dict) else None
    except (OSError, ValueError, RecursionError, UnidentifiedImageError):
        return None
