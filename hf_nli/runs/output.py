"""The folder of a run: where the run works, the best model in it, and how it takes the place of an older model."""

from __future__ import annotations

import logging
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.sole_run import sole_run
from hf_nli.core.staging import link
from hf_nli.engine.vocabulary import whole_state
from hf_nli.model.folder import CURVES, LOG, MODEL, TOKENIZER, holds_model, model_folder, refuse_other_model
from hf_nli.runs.checkpoints import find, list_checkpoints
from hf_nli.text.tokenizer import save_tokenizer

logger = logging.getLogger(__name__)

BEST = "best"  # the folder in a checkpoint
_UNFINISHED = ".best"  # in the folder of a run, until the run is complete


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what.

    Attributes:
        output: The folder that the model shall be in.
        checkpoints: Its folder; all is in it.
        model: The best model so far. It is out of sight: until the run is complete, nobody shall take it for one.
        log: The log and the curves; beside an earlier model's that the run goes on from, out of sight, too.
        resumed: The checkpoint that it goes on from, if it does.
    """

    output: Path
    checkpoints: Path
    model: Path
    log: Path
    resumed: Path | None = None

    @property
    def beside(self) -> bool:
        """Whether all of it is beside the folder that the model shall be in."""
        return self.checkpoints != self.output


@contextmanager
def run_folder(output_dir: str | Path, resume: str | None, overwrite: bool) -> Iterator[RunFolder]:
    """Gives a run its folder for the time of the block, and keeps other runs out of it; on the main process.

    Nothing in it is changed before the run has `begun`.

    Args:
        output_dir: The folder that the model shall be in, as it was given.
        resume: The checkpoint to go on from: a path, "latest" or None.
        overwrite: Whether a model in `output_dir` may be replaced.

    Raises:
        InputError: If another run writes it, it can't be written, what is there may not be replaced, or there is
            nothing to go on from.
    """
    with sole_run(output_dir):
        output = Path(output_dir)
        folder = working_folder(output, resume, overwrite)
        model = folder if folder != output else folder / _UNFINISHED
        log = model if holds_model(folder) else folder
        yield RunFolder(output, folder, model, log, find(folder, resume) if resume else None)


@contextmanager
def begun(run: RunFolder) -> Iterator[None]:
    """Begins a run; if the block fails, checkpoints stay, by which the run can go on, and nothing else of it.

    Args:
        run: Where it works; what a run that was killed left there is dropped, unless this one goes on from it.
    """
    existed = run.checkpoints.exists()
    if not run.beside:
        shutil.rmtree(run.model, ignore_errors=True)  # a checkpoint has it, too
    elif not run.resumed:
        if existed:
            logger.warning("%s: an unfinished run is dropped", run.checkpoints)
            shutil.rmtree(run.checkpoints)
        logger.info(
            "%s stays as it was until the new model is complete; the run works in %s", run.output, run.checkpoints
        )
    try:
        yield
    except BaseException:
        if not list_checkpoints(run.checkpoints):
            _drop(run, existed)
        raise
    finally:
        if not run.beside:
            shutil.rmtree(run.model, ignore_errors=True)


def drop_interrupted(output_dir: Path) -> None:
    """Deletes what a run left that was interrupted and could go on, but not a complete model."""
    replacement = _replacement(output_dir)
    if replacement.exists():
        shutil.rmtree(replacement.parent)
    elif not holds_model(output_dir):
        for checkpoint in list_checkpoints(output_dir):
            shutil.rmtree(checkpoint)
        _drop(RunFolder(output_dir, output_dir, output_dir / _UNFINISHED, output_dir), existed=False)


def _drop(run: RunFolder, existed: bool) -> None:
    if run.beside:
        shutil.rmtree(run.checkpoints.parent, ignore_errors=True)
        return
    shutil.rmtree(run.model, ignore_errors=True)
    if run.log == run.checkpoints:
        for name in (LOG, CURVES):
            (run.log / name).unlink(missing_ok=True)
    if not existed:
        with suppress(OSError):  # a tracker has left something there
            run.checkpoints.rmdir()


def working_folder(output_dir: Path, resume: str | None, overwrite: bool) -> Path:
    """Decides where a run works.

    That is `output_dir`; but a run that replaces what is there works in a hidden folder beside it until it is
    complete, so that a run that is killed leaves the old model and its reports as they were.

    Args:
        output_dir: The folder that the model shall be in.
        resume: The checkpoint to go on from: a path, "latest" or None.
        overwrite: Whether a model in `output_dir` may be replaced.

    Returns:
        `output_dir`, or the hidden folder; its name is always the same, so that a run that goes on finds it.

    Raises:
        InputError: If `output_dir` can't become a model folder, or holds a model or checkpoints, which may not be
            replaced.
    """
    replacement, found = _replacement(output_dir), list_checkpoints(output_dir)
    if found and not overwrite and not resume:
        raise InputError(
            f"{output_dir} has {found[-1].name} of an earlier run; go on from it with --resume_from_checkpoint "
            "latest, choose another --output_dir, or replace it with --overwrite_output_dir"
        )
    refuse_other_model(output_dir, overwrite or bool(resume))
    if resume:
        return replacement if overwrite and replacement.exists() else output_dir
    return replacement if found or holds_model(output_dir) else output_dir


def refuse_unseen(folder: Path) -> None:
    """Raises `InputError` if the folder that the main process has made isn't there, on another machine's disk."""
    if not folder.is_dir():
        raise InputError(f"{folder}: not seen by all machines; give an --output_dir on a disk that they share")


def put_in_place(folder: Path, output_dir: Path) -> None:
    """Makes a complete run the content of `output_dir`, if it worked beside it."""
    if folder != output_dir:
        with model_folder(output_dir, overwrite=True) as new:
            shutil.copytree(folder, new, copy_function=link, dirs_exist_ok=True)
        shutil.rmtree(folder.parent)


def _replacement(output_dir: Path) -> Path:
    """The hidden folder; its last part is the model's name, which the card takes."""
    output_dir = output_dir.resolve()
    return output_dir.parent / f".{output_dir.name}.training" / output_dir.name


def key_groups(model: PreTrainedModel) -> list[set[str]]:
    """Lists the keys of a model's weights, before anything wraps it; those that share a tensor are one group."""
    groups = defaultdict(set)
    for name, tensor in model.state_dict().items():
        groups[tensor.data_ptr(), tensor.shape].add(name)
    return list(groups.values())


def save_model(
    accelerator: Accelerator,
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    keys: list[set[str]],
) -> None:
    """Saves a model as if nothing had wrapped it; all processes have to call it.

    Args:
        accelerator: What prepared the model.
        model: The model, wrapped by DDP, FSDP, `torch.compile` or several of them.
        tokenizer: Its tokenizer.
        folder: The folder of the run.
        keys: What `key_groups` gave before.

    Raises:
        RuntimeError: If what was saved isn't the model's.
    """
    state = plain_keys(accelerator.get_state_dict(model, unwrap=False))  # all processes gather its shards
    if accelerator.is_main_process:
        inner = accelerator.unwrap_model(model, keep_torch_compile=False)
        with staged(folder) as temporary:
            inner.save_pretrained(temporary, state_dict=whole_state(inner, state))
            check_keys(temporary, keys)
            save_tokenizer(tokenizer, temporary)
    accelerator.wait_for_everyone()


def plain_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Takes off the keys what wrappers put there: `torch.compile` on any module, DDP on the outermost one."""
    return {name.replace("_orig_mod.", "").removeprefix("module."): tensor for name, tensor in state.items()}


def check_keys(folder: Path, keys: Iterable[set[str]]) -> None:
    """Reads back which weights were saved, which takes the files' headers alone.

    Raises:
        RuntimeError: If they aren't one of each group, and nothing else.
    """
    saved = set()
    for file in folder.glob("model*.safetensors"):
        with safe_open(file, "pt") as content:
            saved.update(content.keys())
    missing = [min(group) for group in keys if not group & saved]
    surplus = saved.difference(*keys)
    if missing or surplus:
        raise RuntimeError(
            f"weights that were not saved: {', '.join(missing) or 'none'}; that aren't the model's: "
            f"{', '.join(sorted(surplus)) or 'none'}; please report how it was trained"
        )


def keep_best(folder: Path, checkpoint: Path) -> None:
    """Puts the best model so far into a checkpoint that is being written, where it takes no room of its own."""
    (checkpoint / BEST).mkdir()
    copy_model(folder, checkpoint / BEST)


def copy_model(folder: Path, new: Path) -> None:
    """Puts a model's files into another folder, too, where they take no room of their own."""
    for file in folder.iterdir():
        if any(fnmatch(file.name, pattern) for pattern in (*MODEL, *TOKENIZER)):
            link(file, new / file.name)


def restore_best(checkpoint: Path, folder: Path) -> None:
    """Makes the model in a run's folder what it was at a checkpoint: later epochs may have replaced it."""
    kept = checkpoint / BEST
    if not kept.exists():  # the first epoch hadn't ended
        for file in folder.glob("model*.safetensors"):
            file.unlink()
        return
    with staged(folder) as temporary:
        for file in kept.iterdir():
            link(file, temporary / file.name)
