"""What a library might set for a whole process."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import warnings

import torch
from huggingface_hub.utils import are_progress_bars_disabled
from transformers.utils.logging import is_progress_bar_enabled

LIBRARIES = ("hf_nli", "datasets", "transformers", "torch.onnx", "accelerate", "huggingface_hub")


def process_state() -> dict[str, object]:
    """Reads it, under names to tell a difference by; random numbers, which a command may draw, are left out."""
    loggers = [logging.root, *map(logging.getLogger, LIBRARIES)]
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "denormals are flushed": (torch.tensor([1e-40]) * 1).item() == 0,
        "torch": (torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled()),
        "loggers": [(each.name, each.level, each.propagate, list(each.handlers)) for each in loggers],
        "progress bars": (is_progress_bar_enabled(), are_progress_bars_disabled()),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "streams": (sys.stdout, sys.stderr, sys.excepthook),
    }


def random_state() -> list[object]:
    """The states of random number generators."""
    return [random.getstate(), torch.get_rng_state().tolist()]
