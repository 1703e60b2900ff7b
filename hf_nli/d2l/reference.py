"""d2l's function, evaluated from its definition: what conversions are compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hf_nli.d2l.checkpoint import Checkpoint

SEED = 0


@dataclass(frozen=True)
class Probe:
    """A batch to compare models on: int64 `input_ids` and `token_type_ids` (rows, length), `valid_lens` (rows,)."""

    input_ids: Tensor
    token_type_ids: Tensor
    valid_lens: Tensor

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The batch in a stock model's words, with an int64 `attention_mask` (rows, length) of the valid lengths."""
        mask = (torch.arange(self.input_ids.shape[1]) < self.valid_lens[:, None]).long()
        return {"input_ids": self.input_ids, "token_type_ids": self.token_type_ids, "attention_mask": mask}


def d2l_outputs(checkpoint: Checkpoint, probe: Probe, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Evaluates d2l's BERT classifier from its definition (d2l sections "BERT" and "Fine-Tuning BERT"), in eval mode.

    This is the reference that conversions are checked against: it shares no code with the lift.

    Args:
        checkpoint: A d2l checkpoint with a head.
        probe: The batch.
        dtype: The precision to compute in.

    Returns:
        Pooled outputs (rows, num_hiddens) and logits (rows, labels).
    """
    sizes = checkpoint.sizes

    def parameter(name: str) -> Tensor:
        return checkpoint.tensors[name].to(dtype)

    def linear(x: Tensor, name: str) -> Tensor:
        return nn.functional.linear(x, parameter(f"{name}.weight"), parameter(f"{name}.bias"))

    def norm(x: Tensor, name: str) -> Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:], parameter(f"{name}.weight"), parameter(f"{name}.bias"))

    rows, length = probe.input_ids.shape
    x = checkpoint.tensors["encoder.token_embedding.weight"][probe.input_ids].to(dtype)
    x = x + parameter("encoder.segment_embedding.weight")[probe.token_type_ids]
    x = x + parameter("encoder.pos_embedding")[:, :length]
    masked = torch.arange(length) >= probe.valid_lens[:, None, None, None]
    for block in range(sizes.num_blks):
        prefix = f"encoder.blks.{block}."
        queries, keys, values = (
            linear(x, f"{prefix}attention.W_{letter}").view(rows, length, sizes.num_heads, -1).transpose(1, 2)
            for letter in "qkv"
        )
        scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[-1])
        attended = scores.masked_fill(masked, -1e6).softmax(-1) @ values
        attended = linear(attended.transpose(1, 2).reshape(x.shape), f"{prefix}attention.W_o")
        x = norm(x + attended, f"{prefix}addnorm1.ln")
        x = norm(x + linear(linear(x, f"{prefix}ffn.dense1").relu(), f"{prefix}ffn.dense2"), f"{prefix}addnorm2.ln")
    pooled = linear(x[:, 0], "hidden.0").tanh()
    return pooled, linear(pooled, "output")


def probes(checkpoint: Checkpoint) -> list[Probe]:
    """Makes the batches that conversions are checked on: a full-length row, and padded ones of many lengths.

    Args:
        checkpoint: The checkpoint, for its number of tokens and positions.

    Returns:
        Two batches of random tokens in two segments.
    """
    generator = torch.Generator().manual_seed(SEED)
    max_len, vocab_size = checkpoint.sizes.max_len, checkpoint.sizes.vocab_size
    batches = []
    for rows, length, shortest in ((1, max_len, max_len), (23, min(max_len, 32), 3)):
        valid_lens = torch.randint(min(shortest, length), length + 1, (rows,), generator=generator)
        valid_lens[0] = length
        positions = torch.arange(length)
        valid = positions < valid_lens[:, None]
        input_ids = torch.randint(vocab_size, (rows, length), generator=generator)
        input_ids[~valid] = checkpoint.pad_token_id
        second = positions >= (valid_lens * torch.rand(rows, generator=generator)).long()[:, None]
        batches.append(Probe(input_ids, (second & valid).long(), valid_lens))
    return batches
