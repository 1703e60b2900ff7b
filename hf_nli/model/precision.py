"""The precision of matrix products: which one is fast on a device, and how to compute in it.

Accelerate keeps one precision for the life of a process: a second `Accelerator` with another one raises, and one that
doesn't name any inherits the first one's without a word. So Accelerate isn't told ours. Autocast and the scaling of
float16's gradients are PyTorch's own, around each forward pass, and hold for that pass alone.
"""

from __future__ import annotations

from typing import Literal

import torch

from hf_nli.core.errors import InputError

Precision = Literal["no", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def fast_precision(device: str) -> Precision:
    """The precision to choose on a kind of device: bf16 where matrix products are made for it, fp16 on older GPUs."""
    if device == "cuda":
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"
    if device == "cpu":
        able = torch.cpu.get_capabilities()
        return "bf16" if able.get("amx_tile") or able.get("avx512_bf16") else "no"
    return "no"


def resolve_precision(wanted: Literal["auto", "no", "bf16", "fp16"], device: str) -> Precision:
    """Finds the precision to compute in.

    Args:
        wanted: What was asked for; auto for the fast one.
        device: The kind of device ("cpu", "cuda", …).

    Raises:
        InputError: If the device lacks it.
    """
    if wanted == "auto":
        return fast_precision(device)
    if wanted == "fp16" and device == "cpu":
        raise InputError("--mixed_precision fp16 needs a GPU; on a CPU use bf16 or no")
    return wanted


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Makes a context in which matrix products are computed in a precision, whatever the contexts around it say.

    Args:
        device: Where the model is.
        precision: "no" for float32.
    """
    return torch.autocast(device.type, dtype=_DTYPES.get(precision), enabled=precision != "no")
