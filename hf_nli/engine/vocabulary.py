"""Word embeddings that train the rows of those tokens alone that the training data have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel


class UsedEmbedding(nn.Embedding):
    """The rows of an embedding that are trained, as parameters, under their old ids; the others stay as they are.

    A row whose token doesn't occur in training gets no gradient, and Adam without weight decay leaves it as it is. So
    training the others alone gives the same weights, and spares the optimizer most of a large vocabulary: SNLI has
    some 20,000 of the 60,005 words of d2l's published checkpoints.

    Attributes:
        trained: The ids of its rows, sorted, int64 (rows,).
        row_of: The row of each id, or 0, int64 (vocabulary,).
        is_trained: Whether each id has a row, bool (vocabulary,).
        whole: The weight that it was made from, (vocabulary, width).
    """

    def __init__(self, whole: nn.Embedding, trained: Tensor) -> None:
        weight, padding = whole.weight.detach(), whole.padding_idx
        row_of = torch.zeros(len(weight), dtype=torch.long, device=weight.device)
        row_of[trained] = torch.arange(len(trained), device=weight.device)
        row = None if padding is None else int(row_of[padding])
        super().__init__(len(trained), weight.shape[1], padding_idx=row, _weight=weight[trained])
        # Not buffers, which DDP would send to all processes at each step.
        self.trained, self.row_of, self.whole = trained, row_of, weight
        self.is_trained = torch.zeros_like(row_of, dtype=torch.bool).index_fill(0, trained, True)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> UsedEmbedding:
        for name in ("trained", "row_of", "whole", "is_trained"):
            setattr(self, name, fn(getattr(self, name)))
        return super()._apply(fn, recurse)

    def forward(self, input: Tensor) -> Tensor:
        """See `torch.nn.Embedding`; in training, only trained ids may be asked for."""
        rows = super().forward(self.row_of[input])
        if self.training:
            return rows
        return torch.where(self.is_trained[input][..., None], rows, nn.functional.embedding(input, self.whole))

    def merged(self, weight: Tensor) -> Tensor:
        """The weight of the whole embedding (vocabulary, width), with these values of the trained rows."""
        return self.whole.to(weight, copy=True).index_copy_(0, self.trained.to(weight.device), weight)


def train_rows(model: PreTrainedModel, ids: NDArray[numpy.int64]) -> None:
    """Makes a model, which isn't wrapped yet, train the word embeddings of these ids alone.

    Args:
        model: Any sequence classifier; in training it must not get other ids from now on.
        ids: Ids, sorted and each once; that of padding is one of them.
    """
    embeddings = cast(nn.Embedding, model.get_input_embeddings())
    model.set_input_embeddings(UsedEmbedding(embeddings, torch.from_numpy(ids).to(embeddings.weight.device)))


def whole_state(model: nn.Module, state: dict[str, Any]) -> dict[str, Any]:
    """Completes the word embeddings of a state dict.

    Args:
        model: The model, not wrapped.
        state: Its tensors, by the names of its own.
    """
    for name, module in model.named_modules():
        if isinstance(module, UsedEmbedding) and f"{name}.weight" in state:
            state = state | {f"{name}.weight": module.merged(state[f"{name}.weight"])}
    return state
