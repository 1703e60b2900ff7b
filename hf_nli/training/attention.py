"""Attention that can't learn, because it is saturated, and what is done about it before training."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hf_nli.data.table import TokenTable

logger = logging.getLogger(__name__)

# Standard deviations of a query's logits over the keys: above the first one attention counts as saturated, and is
# brought to the second one.
SATURATED, SOFT = 5.0, 1.0
EXAMPLES = 64

# Saturated attention has denormal gradients, with which a CPU's matrix products take several times as long. Set here,
# because torch's threads keep what was set when they started.
torch.set_flush_denormal(True)


def prepare_attention(model: PreTrainedModel, table: TokenTable, soften: bool, device: torch.device) -> None:
    """Readies a model's attention for training.

    Args:
        model: The model, not yet on the device.
        table: Real pairs, not yet on the device either.
        soften: Whether to do what `soften_attention` does.
        device: Where the model will be trained.
    """
    if device.type == "cpu":
        # Its kernel for attention in one piece is slow backwards: it takes 45 % of a step.
        model.set_attn_implementation("eager")
    if soften:
        soften_attention(model, table.first(EXAMPLES))


@torch.no_grad()
def soften_attention(model: PreTrainedModel, batch: dict[str, Tensor]) -> list[float]:
    """Scales down the queries of those layers whose attention is saturated.

    Where a softmax gives nearly everything to one key, almost no gradient passes it: such a layer looks where it
    happened to look. d2l's checkpoints are like that, as their embeddings are some thirty times those of BERT. This
    changes the function of the model. Like LSUV (Mishkin & Matas 2016, "All you need is a good init"), it goes from
    layer to layer with real data.

    Args:
        model: Any model; only layers with the attributes of BERT's self-attention are looked at.
        batch: The model's inputs, with `attention_mask` (examples, positions): `EXAMPLES` real pairs are enough.

    Returns:
        The factor of each layer's queries, 1.0 where nothing was done.
    """
    mask, factors = batch["attention_mask"].bool(), []

    def soften(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        spread = _spread(module, inputs[0], mask)
        factors.append(SOFT / spread if spread > SATURATED else 1.0)
        module.query.weight *= factors[-1]
        module.query.bias *= factors[-1]

    layers = [module for module in model.modules() if hasattr(module, "query") and hasattr(module, "key")]
    hooks = [layer.register_forward_pre_hook(soften) for layer in layers]
    training = model.training
    model.eval()(**batch)
    model.train(training)
    for hook in hooks:
        hook.remove()
    if min(factors, default=1.0) < 1:
        logger.info("Saturated attention: queries times %s", ", ".join(f"{factor:.3f}" for factor in factors))
    return factors


def _spread(layer: nn.Module, hidden: Tensor, mask: Tensor) -> float:
    """The standard deviation of a query's logits over the keys, mean over queries and heads."""
    size = layer.attention_head_size
    queries, keys = (linear(hidden).unflatten(-1, (-1, size)).transpose(1, 2) for linear in (layer.query, layer.key))
    logits = queries @ keys.mT / math.sqrt(size)
    keys_seen = mask[:, None, None]
    count = keys_seen.sum(-1, keepdim=True)
    mean = (logits * keys_seen).sum(-1, keepdim=True) / count
    deviation = (((logits - mean) * keys_seen).square().sum(-1, keepdim=True) / count).sqrt()[..., 0]
    return (deviation * mask[:, None]).sum().item() / (mask.sum().item() * logits.shape[1])
