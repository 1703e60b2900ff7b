"""The Accelerator of a run: devices and processes, and a tracker. The precision is our own (see `model.precision`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from accelerate import Accelerator, DistributedType
from accelerate.state import is_initialized
from accelerate.utils import GradScalerKwargs, is_tensorboard_available, is_trackio_available, is_wandb_available
from torch import nn

from hf_nli.core.environment import accelerate_starts
from hf_nli.core.errors import InputError
from hf_nli.model.precision import Precision, resolve_precision
from hf_nli.settings.recipe import Recipe

TRACKERS: dict[str, Callable[[], bool]] = {
    "tensorboard": is_tensorboard_available,
    "trackio": is_trackio_available,
    "wandb": is_wandb_available,
}
_UNSUPPORTED = {DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM, DistributedType.XLA}


def check_tracker(report_to: str) -> None:
    """Raises `InputError` if a tracker isn't installed."""
    if report_to != "none" and not TRACKERS[report_to]():
        raise InputError(f"--report_to {report_to}: it is not installed; pip install {report_to}")


def make_accelerator(output_dir: Path, report_to: str = "none") -> Accelerator:
    """Makes an Accelerator that leaves the precision to us, in a process that may have had others.

    Args:
        output_dir: The folder for what a tracker writes to files.
        report_to: The tracker.

    Raises:
        InputError: If the tracker isn't installed, or processes are to be started in a way that isn't supported, or
            with environment variables that Accelerate can't use.
    """
    check_tracker(report_to)
    with accelerate_starts():
        accelerator = Accelerator(
            mixed_precision=None if is_initialized() else "no",  # the first one's is that of the process
            kwargs_handlers=[GradScalerKwargs(enabled=False)],
            log_with=None if report_to == "none" else report_to,
            project_dir=output_dir,
        )
    if accelerator.distributed_type in _UNSUPPORTED:
        raise InputError(f"{accelerator.distributed_type.value} isn't supported; FSDP is, for models that need it")
    return accelerator


def choose_precision(accelerator: Accelerator, wanted: Literal["auto", "no", "bf16", "fp16"]) -> Precision:
    """Finds the precision of a run, and tells FSDP, which sends weights in it.

    Raises:
        InputError: If the machine lacks it.
    """
    precision = resolve_precision(wanted, accelerator.device.type)
    if accelerator.distributed_type == DistributedType.FSDP and precision != "no":
        if precision == "fp16":
            raise InputError("--mixed_precision fp16 doesn't go with FSDP; use bf16 or no")
        accelerator.state.fsdp_plugin.set_mixed_precision(precision, override=True)
    return precision


def prepare(accelerator: Accelerator, model: nn.Module, *others: Any) -> Any:
    """Prepares a model as `Accelerator.prepare` does, but without a precision that an earlier Accelerator was given.

    Args:
        accelerator: What `make_accelerator` gave.
        model: The model.
        others: Its optimizer, if it is to be trained.

    Returns:
        The prepared model, followed by the others.
    """
    forward = vars(model).get("forward")  # that of `engine.attach.fast_forward`
    prepared = accelerator.prepare(model, *others)
    wrapped = prepared[0] if others else prepared
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False, keep_torch_compile=False)
    if forward:
        model.forward = forward
    return prepared


def start_tracker(accelerator: Accelerator, folder: Path, recipe: Recipe) -> None:
    """Starts the tracker, if there is one.

    Args:
        accelerator: Of the run.
        folder: Where the tracker may write files.
        recipe: What to tell it.
    """
    if accelerator.log_with:
        accelerator.project_configuration.set_directories(str(folder))
        accelerator.init_trackers("hf_nli", config=dataclasses.asdict(recipe))
