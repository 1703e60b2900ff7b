"""An untrained d2l checkpoint."""

from __future__ import annotations

import math

import torch

from hf_nli.d2l.checkpoint import Sizes, key_shapes


def initial_state(sizes: Sizes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Makes the state dict of an untrained d2l `BERTModel`, with the initial values of PyTorch's layers.

    Args:
        sizes: The net's sizes.
        seed: Seed of the values.

    Returns:
        Float32 tensors by d2l's names.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = key_shapes(sizes)
    state = {}
    for name, shape in shapes.items():
        if "embedding" in name:
            state[name] = torch.randn(shape, generator=generator)
        elif ".ln." in name or name.startswith("mlm.mlp.2."):
            state[name] = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
        else:
            bound = 1 / math.sqrt(shapes[name.removesuffix("bias").removesuffix("weight") + "weight"][1])
            state[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return state
