"""The Accelerator of a run: device, precision, tracker."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import accelerate.utils
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env

from hf_nli.core.errors import InputError
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe

logger = logging.getLogger(__name__)


def make_accelerator(recipe: Recipe, options: RunOptions, output_dir: Path) -> Accelerator:
    """Makes the Accelerator of a run, with its precision and its tracker.

    Args:
        recipe: The settings.
        options: Where to report to.
        output_dir: The folder for what is reported to a file.

    Raises:
        InputError: If the machine lacks the precision, or the tracker isn't installed.
    """
    # As Accelerator will do it, which needs to be told the precision.
    device = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).device.type
    precision = recipe.mixed_precision
    if precision == "auto":
        precision = fast_precision(device)
        logger.info("mixed_precision auto: %s on %s", precision, device)
    # Asked first, because an Accelerator that fails on it leaves its settings to the next one.
    if precision == "fp16" and device == "cpu":
        raise InputError("--mixed_precision fp16 needs a GPU; on a CPU use bf16 or no")
    tracker = None if options.report_to == "none" else options.report_to
    if tracker and not getattr(accelerate.utils, f"is_{tracker}_available")():
        raise InputError(f"--report_to {tracker}: it is not installed; pip install {tracker}")
    accelerator = Accelerator(mixed_precision=precision, log_with=tracker, project_dir=output_dir)
    if tracker:
        accelerator.init_trackers("hf_nli", config=dataclasses.asdict(recipe))
    return accelerator


def fast_precision(device: str) -> str:
    """The precision to choose on a kind of device: bf16 where matrix products are made for it, fp16 on older GPUs."""
    if device == "cuda":
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"
    if device == "cpu":
        return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "no"
    return "no"
