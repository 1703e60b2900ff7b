"""The forward pass.

A sequence classifier of BERT's kind reads one hidden state, the last layer's at position 0. So the last layer's query,
attention output and feed-forward are computed at that position alone. Nor are its keys and values needed: with the
query q of a head at position 0 and the hidden states x of its sequence,

    logits = q (W_k x + b_k) = (W_k' q) x + q b_k,    output = sum a (W_v x + b_v) = W_v (sum a x) + b_v sum a,

where W_k' q and sum a x are one vector a head and sequence. What remains to be computed at every position is 2 heads x
width products instead of 2 width^2: a layer of a net costs nothing any more. The function is the same, up to rounding.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from hf_nli.engine.layout import Flat, Padded


def classify(model: PreTrainedModel, layout: Flat | Padded, **inputs: Tensor) -> Tensor:
    """Computes the logits of a model that `attach.recognised` takes.

    Args:
        model: The model.
        layout: How the tokens lie.
        inputs: What its embeddings take, integers (1, tokens) or (sequences, length).

    Returns:
        Float (sequences, labels).
    """
    base: Any = model.base_model
    head: Any = model  # whose parts PyTorch can't say the types of
    hidden = base.embeddings(**inputs)
    if hasattr(base, "embeddings_project"):  # ELECTRA's
        hidden = base.embeddings_project(hidden)
    if isinstance(layout, Flat):
        hidden = hidden[0]
    *layers, last = base.encoder.layer
    for layer in layers:
        hidden = _checkpointed(layer, partial(_full, layer, layout), hidden)
    hidden = _checkpointed(last, partial(_last, last, layout), hidden)
    features = hidden[:, None]
    if getattr(base, "pooler", None) is None:
        return head.classifier(features)
    return head.classifier(head.dropout(base.pooler(features)))


def _checkpointed(layer: Any, compute: partial[Tensor], hidden: Tensor) -> Tensor:
    if layer.gradient_checkpointing and layer.training:
        return layer._gradient_checkpointing_func(compute, hidden)
    return compute(hidden)


def _full(layer: Any, layout: Flat | Padded, hidden: Tensor) -> Tensor:
    """A layer at every position."""
    attention = layer.attention.self
    projections = (attention.query, attention.key, attention.value)
    weight = torch.cat([each.weight for each in projections])
    bias = torch.cat([each.bias for each in projections])
    query, key, value = F.linear(hidden, weight, bias).unflatten(-1, (3, -1, attention.attention_head_size)).unbind(-3)
    dropout = attention.dropout.p if attention.training else 0.0
    context = layout.attend(query * attention.scaling, key, value, dropout).flatten(-2)
    return _rest(layer, context, hidden)


def _last(layer: Any, layout: Flat | Padded, hidden: Tensor) -> Tensor:
    """A layer at the first position, (sequences, width)."""
    attention = layer.attention.self
    heads = (attention.num_attention_heads, attention.attention_head_size)
    first = layout.first(hidden)
    query = attention.query(first).unflatten(-1, heads) * attention.scaling
    (key_weight, key_bias), (value_weight, value_bias) = (
        (each.weight.unflatten(0, heads), each.bias.unflatten(0, heads)) for each in (attention.key, attention.value)
    )
    queries = torch.einsum("shd,hdw->shw", query, key_weight)
    bias = (query * key_bias).sum(-1)
    dropout = attention.dropout.p if attention.training else 0.0
    sums, totals = layout.pool(hidden, queries, bias, dropout)
    context = torch.einsum("shw,hdw->shd", sums, value_weight) + totals[..., None] * value_bias
    return _rest(layer, context.flatten(-2), first)


def _rest(layer: Any, context: Tensor, hidden: Tensor) -> Tensor:
    """What a layer does after attention, its residuals included."""
    attended = layer.attention.output(context, hidden)
    return layer.output(layer.intermediate(attended), attended)
