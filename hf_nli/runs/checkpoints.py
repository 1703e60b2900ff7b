"""Checkpoints of a run: folders that appear whole, tell when they are damaged, and belong to one run."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator

from hf_nli.core.disk import disk_errors
from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import sha256, write_json
from hf_nli.core.staging import usual_permissions
from hf_nli.runs.identity import RunIdentity

logger = logging.getLogger(__name__)

MANIFEST = "checkpoint.json"
# What `Accelerator.register_for_checkpointing` leaves; Accelerate would run code that is in it.
_STATES = "custom_checkpoint_*.pkl"


@contextmanager
def writing(accelerator: Accelerator, folder: Path, step: int, identity: RunIdentity) -> Iterator[Path]:
    """Gives all processes a folder to write to, which becomes `checkpoint-<step>` when all of them have ended well.

    Args:
        accelerator: Of the run.
        folder: The folder of the run.
        step: The number of steps taken.
        identity: What a run must have in common with the one that goes on from here.

    Raises:
        InputError: If it can't be written; nothing of it is left then.
    """
    checkpoint, temporary = folder / f"checkpoint-{step}", folder / f".checkpoint-{step}"
    with disk_errors(checkpoint), ExitStack() as undo:
        if accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            undo.callback(shutil.rmtree, temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        accelerator.wait_for_everyone()
        yield temporary
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            _complete(temporary, checkpoint, step, identity)
        accelerator.wait_for_everyone()


def _complete(temporary: Path, checkpoint: Path, step: int, identity: RunIdentity) -> None:
    files = {str(file.relative_to(temporary)): sha256(file) for file in temporary.rglob("*") if file.is_file()}
    content = {"step": step, "identity": dataclasses.asdict(identity), "sha256": files}
    write_json(temporary / MANIFEST, content)
    usual_permissions(temporary)
    shutil.rmtree(checkpoint, ignore_errors=True)  # from before a run that goes on from an earlier one
    temporary.rename(checkpoint)


def prune(folder: Path, limit: int | None) -> None:
    """Deletes all but the newest `limit` checkpoints.

    Args:
        folder: The folder of the run.
        limit: How many to keep; None for all.
    """
    for checkpoint in list_checkpoints(folder)[: -limit if limit else 0]:
        shutil.rmtree(checkpoint)
    for unfinished in folder.glob(".checkpoint-*"):  # begun by a process that was killed
        shutil.rmtree(unfinished)


def list_checkpoints(folder: Path) -> list[Path]:
    """Lists the checkpoints of a run, from the oldest to the newest."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def find(folder: Path, wanted: str) -> Path:
    """Finds the checkpoint to go on from.

    Args:
        folder: The folder of the run.
        wanted: "latest" for the newest that is whole (others are logged), or the path of one.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    candidates = list_checkpoints(folder)[::-1] if wanted == "latest" else [Path(wanted)]
    if candidates and candidates[0].resolve().parent != folder.resolve():
        raise InputError(f"{wanted} is not in {folder}, where the run's best model is; give its --output_dir")
    for checkpoint in candidates:
        reason = _damage(checkpoint)
        if reason is None:
            return checkpoint
        if wanted != "latest":
            raise InputError(f"{checkpoint}: {reason}")
        logger.warning("%s: %s; trying the one before", checkpoint, reason)
    raise InputError(f"{folder}: no checkpoint to resume from; run without --resume_from_checkpoint")


def _damage(checkpoint: Path) -> str | None:
    if not checkpoint.is_dir():
        return "no such checkpoint"
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"a damaged checkpoint, or not one of hf_nli: it has no {MANIFEST}"
    except (OSError, ValueError, RecursionError) as error:
        return f"a damaged checkpoint ({MANIFEST}: {reason(error)})"
    files = manifest.get("sha256") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not isinstance(manifest.get("identity"), dict):
        return f"a damaged checkpoint ({MANIFEST} doesn't have the objects sha256 and identity)"
    try:
        if changed := [name for name, digest in files.items() if sha256(checkpoint / name) != digest]:
            return f"a damaged checkpoint ({', '.join(changed)} changed)"
        for state in checkpoint.glob(_STATES):
            torch.load(state, weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        return f"a damaged checkpoint ({reason(error)})"
    return None


def check_run(checkpoint: Path, identity: RunIdentity) -> RunIdentity:
    """Refuses to go on from another run's checkpoint.

    Args:
        checkpoint: What `find` gave.
        identity: What the run has to have in common with the one that wrote it.

    Returns:
        The identity that it was written with.

    Raises:
        InputError: If it is another run's.
    """
    content = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))["identity"]
    try:
        written = RunIdentity.from_dict(content)
        changes = written.changes(identity)
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{checkpoint}: written by another version of hf_nli; start anew") from error
    if changes:
        raise InputError(
            f"{checkpoint}: a checkpoint of another run ({'; '.join(changes)}); or start anew in another --output_dir"
        )
    return written
