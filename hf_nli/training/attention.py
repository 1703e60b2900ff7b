"""Attention that can't learn, because it is saturated, and what training does about it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

# Standard deviations of a query's logits over the keys: above the first one attention counts as saturated, and is
# brought to the second one.
SATURATED, SOFT = 5.0, 1.0
EXAMPLES = 64


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Flushes denormal numbers to zero, as long as the block takes.

    Saturated attention has denormal gradients, with which matrix products take several times as long on many CPUs.
    """
    before = (torch.tensor([1e-40]) * 1).item() == 0
    # Starts torch's threads. They follow what is set later, but keep for good what is set when they start.
    torch.zeros(2**16 * torch.get_num_threads()).add_(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextmanager
def fast_attention(model: PreTrainedModel, device: torch.device) -> Iterator[None]:
    """Computes attention in the way that is fast in training, as long as the block takes.

    On a CPU, Transformers' default (one kernel, "sdpa") is slow backwards: it takes 45 % of a step. A model whose
    configuration asks for another implementation keeps it.

    Args:
        model: Any model.
        device: Where it will be trained.
    """
    before = model.config._attn_implementation  # there is a public way to set it, none to ask for it
    slow = device.type == "cpu" and before == "sdpa"
    if slow:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if slow:
            model.set_attn_implementation(before)


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
        The factor of each layer's queries, in the order in which they compute, 1.0 where nothing was done. Layers that
        share their weights, as ALBERT's do, are one.
    """
    mask = batch["attention_mask"].bool()
    factors: dict[nn.Linear, float] = {}

    def soften(query: nn.Linear, key: nn.Linear, size: int, hidden: Tensor) -> None:
        if query in factors:
            return
        spread = _spread(query, key, size, hidden, mask)
        factors[query] = SOFT / spread if spread > SATURATED else 1.0
        for parameter in query.parameters():
            parameter.mul_(factors[query])

    # What the linear layer gets is surely the hidden states; what its parent gets is each architecture's own affair.
    hooks = [
        query.register_forward_pre_hook(lambda query, inputs, key=key, size=size: soften(query, key, size, inputs[0]))
        for query, key, size in _self_attentions(model)
    ]
    training = model.training
    try:
        model.eval()(**batch)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if min(factors.values(), default=1.0) < 1:
        logger.info("Saturated attention: queries times %s", ", ".join(f"{each:.3f}" for each in factors.values()))
    return list(factors.values())


def _self_attentions(model: nn.Module) -> Iterator[tuple[nn.Linear, nn.Linear, int]]:
    """Finds what is laid out as BERT's self-attention: its linear layers of queries and of keys, and a head's size."""
    for module in model.modules():
        query, key = getattr(module, "query", None), getattr(module, "key", None)
        size = getattr(module, "attention_head_size", None)
        if isinstance(query, nn.Linear) and isinstance(key, nn.Linear) and isinstance(size, int):
            yield query, key, size


def _spread(query: nn.Linear, key: nn.Linear, size: int, hidden: Tensor, mask: Tensor) -> float:
    """The standard deviation of a query's logits over the keys, mean over queries and heads."""
    queries, keys = (
        nn.functional.linear(hidden, linear.weight, linear.bias).unflatten(-1, (-1, size)).transpose(1, 2)
        for linear in (query, key)
    )
    logits = queries @ keys.mT / math.sqrt(size)
    keys_seen = mask[:, None, None]
    count = keys_seen.sum(-1, keepdim=True)
    mean = (logits * keys_seen).sum(-1, keepdim=True) / count
    deviation = (((logits - mean) * keys_seen).square().sum(-1, keepdim=True) / count).sqrt()[..., 0]
    return (deviation * mask[:, None]).sum().item() / (mask.sum().item() * logits.shape[1])
