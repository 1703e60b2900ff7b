"""How the tokens of a batch lie in memory, and attention over them: one after the other, or padded."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F


def spare_tokens(tokens: int) -> int:
    """How many tokens of no sequence to add to a flat batch for products of low precision on a CPU.

    oneDNN generates code for each shape that it meets, which takes several times as long as one product of that shape.
    With at most eight numbers of tokens between a power of two and the next, all of them have been met soon.

    Args:
        tokens: How many tokens there are.
    """
    return -tokens % (1 << max(0, tokens.bit_length() - 4))


@dataclass(frozen=True)
class Flat:
    """Sequences one after the other, without padding: hidden states are (tokens, width).

    Attention is computed in products of neighbours of the same length. On a CPU this is faster than padding them, most
    of all where batches are made of pairs of like length. Its products are small and of many shapes, so they are of
    float32, also where autocast asks for less: see `spare_tokens`.

    Attributes:
        offsets: Integers (sequences + 1,): sequence i has the tokens from `offsets[i]` to `offsets[i + 1]`. Tokens
            after those of the last one are nobody's.
    """

    offsets: Tensor

    @functools.cached_property
    def _groups(self) -> list[tuple[int, int]]:
        """Neighbours of the same length: how many sequences, and their length."""
        return [(len(list(group)), length) for length, group in groupby(self.offsets.diff().tolist())]

    def _split(self, tokens: Tensor) -> list[Tensor]:
        """Splits (tokens, …) into (sequences, length, …), one for each length, of float32 or more."""
        if tokens.dtype.itemsize < 4:
            tokens = tokens.float()
        sizes = [count * length for count, length in self._groups]
        parts = tokens.split([*sizes, len(tokens) - sum(sizes)])
        return [part.unflatten(0, group) for part, group in zip(parts, self._groups, strict=False)]

    def positions(self) -> Tensor:
        """The place of each token in its sequence, from 0, int64 (tokens,)."""
        starts = self.offsets[:-1].repeat_interleave(self.offsets.diff())
        return torch.arange(len(starts), device=starts.device) - starts

    def first(self, hidden: Tensor) -> Tensor:
        """The first hidden state of each sequence, (sequences, width)."""
        return hidden.index_select(0, self.offsets[:-1])

    def attend(self, query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
        """Attention of all tokens to all tokens of their sequences.

        Args:
            query: Float (tokens, heads, size), scaled; so are `key` and `value`.
            dropout: The dropout of attention probabilities.

        Returns:
            Float (tokens, heads, size).
        """
        outputs = []
        with torch.autocast(query.device.type, enabled=False):
            for parts in zip(self._split(query), self._split(key), self._split(value), strict=True):
                q, k, v = (part.transpose(1, 2) for part in parts)
                weights = F.dropout(torch.softmax(q @ k.mT, -1), dropout)
                outputs.append((weights @ v).transpose(1, 2).flatten(0, 1))
        outputs.append(outputs[0].new_zeros(len(query) - sum(map(len, outputs)), *query.shape[1:]))
        return torch.cat(outputs).to(query.dtype)

    def pool(self, hidden: Tensor, query: Tensor, bias: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
        """Adds up the hidden states of each sequence, with attention's weights.

        Args:
            hidden: Float (tokens, width).
            query: What hidden states are multiplied with, float (sequences, heads, width).
            bias: What is added to the products, float (sequences, heads).
            dropout: The dropout of attention probabilities.

        Returns:
            The weighted sums (sequences, heads, width), and the sums of the weights (sequences, heads).
        """
        counts = [count for count, _ in self._groups]
        sums, totals = [], []
        states = self._split(hidden)
        queries, biases = (each.to(states[0].dtype).split(counts) for each in (query, bias))
        with torch.autocast(hidden.device.type, enabled=False):
            for x, q, b in zip(states, queries, biases, strict=True):
                weights = F.dropout(torch.softmax(q @ x.mT + b[..., None], -1), dropout)
                sums.append(weights @ x)
                totals.append(weights.sum(-1))
        return torch.cat(sums).to(query.dtype), torch.cat(totals).to(query.dtype)


@dataclass(frozen=True)
class Padded:
    """Sequences padded to the same length: hidden states are (sequences, length, width).

    Shapes are few, so that what computes them can be compiled or captured; what GPUs are fast with.

    Attributes:
        mask: Whether there is a token, bool (sequences, length).
    """

    mask: Tensor

    def first(self, hidden: Tensor) -> Tensor:
        """See `Flat.first`."""
        return hidden[:, 0]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
        """See `Flat.attend`; all are (sequences, length, heads, size)."""
        q, k, v = (each.transpose(1, 2) for each in (query, key, value))
        mask = self.mask[:, None, None]
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=1.0).transpose(1, 2)

    def pool(self, hidden: Tensor, query: Tensor, bias: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
        """See `Flat.pool`; `hidden` is (sequences, length, width)."""
        logits = (query @ hidden.mT + bias[..., None]).masked_fill(~self.mask[:, None], -torch.inf)
        weights = F.dropout(torch.softmax(logits, -1), dropout)
        return weights @ hidden, weights.sum(-1)
