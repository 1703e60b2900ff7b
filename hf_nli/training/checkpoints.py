"""Checkpoints of a run: folders that appear whole, tell when they are damaged, and belong to one run."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
from accelerate import Accelerator

from hf_nli.core.errors import InputError
from hf_nli.core.files import write_json

logger = logging.getLogger(__name__)

MANIFEST = "checkpoint.json"


@contextmanager
def writing(accelerator: Accelerator, output_dir: Path, step: int, identity: dict[str, Any]) -> Iterator[Path]:
    """Gives all processes a folder to write to, which becomes `checkpoint-<step>` when all of them have ended well.

    Args:
        accelerator: Of the run.
        output_dir: The folder of the run.
        step: The number of steps taken.
        identity: What a run must have in common with the one that goes on from here.
    """
    folder, temporary = output_dir / f"checkpoint-{step}", output_dir / f".checkpoint-{step}"
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    accelerator.wait_for_everyone()
    yield temporary
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        files = {str(file.relative_to(temporary)): _digest(file) for file in temporary.rglob("*") if file.is_file()}
        write_json(temporary / MANIFEST, {"step": step, "identity": identity, "sha256": files})
        shutil.rmtree(folder, ignore_errors=True)  # from before a run that goes on from an earlier one
        temporary.rename(folder)
    accelerator.wait_for_everyone()


def prune(output_dir: Path, limit: int | None) -> None:
    """Deletes all but the newest `limit` checkpoints.

    Args:
        output_dir: The folder of the run.
        limit: How many to keep; None for all.
    """
    for folder in _checkpoints(output_dir)[: -limit if limit else 0]:
        shutil.rmtree(folder)
    for folder in output_dir.glob(".checkpoint-*"):  # begun by a process that was killed
        shutil.rmtree(folder)


def find(output_dir: Path, wanted: str, identity: dict[str, Any]) -> Path:
    """Finds the checkpoint to go on from.

    Args:
        output_dir: The folder of the run.
        wanted: "latest" for the newest that is whole (others are logged), or the path of one.
        identity: What the run has to have in common with the one that wrote it.

    Returns:
        The checkpoint's folder.

    Raises:
        InputError: If there is none, it is damaged, or it is another run's.
    """
    candidates = _checkpoints(output_dir)[::-1] if wanted == "latest" else [Path(wanted)]
    if candidates and candidates[0].resolve().parent != output_dir.resolve():
        raise InputError(f"{wanted} is not in {output_dir}, where the run's best model is; give its --output_dir")
    for folder in candidates:
        reason = _damage(folder)
        if reason is None:
            _refuse_others(folder, identity)
            return folder
        if wanted != "latest":
            raise InputError(f"{folder}: {reason}")
        logger.warning("%s: %s; trying the one before", folder, reason)
    raise InputError(f"{output_dir}: no checkpoint to resume from; run without --resume_from_checkpoint")


def refuse_leftovers(output_dir: Path) -> None:
    """Raises `InputError` if there are checkpoints of an earlier run, with which a new one's would be mixed up."""
    if found := _checkpoints(output_dir):
        raise InputError(
            f"{output_dir} has {found[-1].name} of an earlier run; go on from it with --resume_from_checkpoint "
            "latest, or choose another --output_dir"
        )


def _checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints, from the oldest to the newest."""
    found = [folder for folder in output_dir.glob("checkpoint-*") if folder.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda folder: int(folder.name.removeprefix("checkpoint-")))


def _damage(folder: Path) -> str | None:
    if not folder.is_dir():
        return "no such checkpoint"
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        changed = [name for name, digest in files.items() if _digest(folder / name) != digest]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"a damaged checkpoint ({error})"
    return f"a damaged checkpoint ({', '.join(changed)} changed)" if changed else None


def _refuse_others(folder: Path, identity: dict[str, Any]) -> None:
    written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["identity"]
    now = json.loads(json.dumps(identity))
    differing = [
        f"{name} {written.get(name)!r} there, {now.get(name)!r} now"
        for name in dict.fromkeys([*written, *now])
        if written.get(name) != now.get(name)
    ]
    if differing:
        raise InputError(f"{folder}: a checkpoint of another run ({'; '.join(differing)})")


def _digest(file: Path) -> str:
    return pooch.file_hash(str(file), alg="sha256")
