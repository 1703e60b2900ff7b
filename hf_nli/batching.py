"""Batches of pairs of like length, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy
import pyarrow.compute
import torch
from datasets import Dataset, config
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_nli.files import staged

# Batches whose pairs are sorted together: at most so many, and at most that share of an epoch, so that a small data
# set doesn't have the same batches in every epoch, and not only pairs of one label in a batch.
POOL, POOL_SHARE = 64, 1 / 8
# What the width of a batch is a multiple of on a GPU: few shapes to compile or to capture, and full matrix units.
GPU_WIDTH = 8


@dataclass(frozen=True)
class TokenTable:
    """Encoded pairs as flat arrays: the tokens of row i are those from `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        columns: What the model takes beside the attention mask (input_ids, token_type_ids), integers (tokens,).
        padding: What each column is padded with.
        offsets: Int64 (rows + 1,).
        labels: Int64 (rows,).
        lengths: Int64 (rows,), in memory of the host.
        multiple: What the width of a batch is a multiple of.
    """

    columns: dict[str, Tensor]
    padding: dict[str, int]
    offsets: Tensor
    labels: Tensor
    lengths: NDArray[numpy.int64]
    multiple: int = 1

    @classmethod
    def open(cls, encoded: Dataset, tokenizer: PreTrainedTokenizerBase) -> TokenTable:
        """Lays encoded pairs out flat, in files among the caches of `datasets`, and maps them: memory doesn't grow.

        Args:
            encoded: What `encoding.encode` gives.
            tokenizer: What it was encoded with.
        """
        values = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
        padding = {name: value for name, value in values.items() if name in encoded.column_names}
        folder = Path(config.HF_DATASETS_CACHE) / "hf_nli" / f"{encoded._fingerprint}-tokens"
        if not folder.exists():
            with staged(folder) as temporary:
                _write(encoded, list(padding), temporary)
        arrays = {
            name: torch.from_numpy(numpy.load(folder / f"{name}.npy", mmap_mode="c"))
            for name in (*padding, "offsets", "labels")
        }
        offsets, labels = arrays.pop("offsets"), arrays.pop("labels")
        return cls(arrays, padding, offsets, labels, numpy.diff(offsets.numpy()))

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> TokenTable:
        """Moves the arrays to a device, so that batches are made there: all of SNLI takes about 80 MB."""
        columns = {name: values.to(device) for name, values in self.columns.items()}
        arrays = {"columns": columns, "offsets": self.offsets.to(device), "labels": self.labels.to(device)}
        return replace(self, **arrays, multiple=1 if device.type == "cpu" else GPU_WIDTH)

    def width(self, rows: NDArray[numpy.int64]) -> int:
        """The positions that each of these rows (examples,) takes in a batch of them."""
        wanted = -(-int(self.lengths[rows].max()) // self.multiple) * self.multiple
        return min(wanted, self._longest)  # a model may not have more positions

    @cached_property
    def _longest(self) -> int:
        return int(self.lengths.max())

    def first(self, examples: int) -> dict[str, Tensor]:
        """Makes a batch of the first rows, as `batch` does."""
        return self.batch(numpy.arange(min(examples, len(self))))

    def batch(self, rows: NDArray[numpy.int64]) -> dict[str, Tensor]:
        """Makes a batch, padded to its longest row, or to the next multiple of `multiple`.

        Args:
            rows: Which rows (examples,), at least one.

        Returns:
            The model's inputs, int64 (examples, width), and `labels` (examples,), where the arrays are.
        """
        device = self.labels.device
        indices = torch.from_numpy(rows).to(device, non_blocking=True)
        starts, ends = self.offsets[indices, None], self.offsets[indices + 1, None]
        positions = starts + torch.arange(self.width(rows), device=device)
        mask = positions < ends
        positions = positions.clamp_(max=len(self.columns["input_ids"]) - 1)
        inputs = {
            name: torch.where(mask, values[positions].long(), self.padding[name])
            for name, values in self.columns.items()
        }
        return inputs | {"attention_mask": mask.long(), "labels": self.labels[indices]}


def _write(encoded: Dataset, columns: list[str], folder: Path) -> None:
    encoded = encoded.with_format("arrow")
    labels = open_memmap(folder / "labels.npy", "w+", numpy.int64, (len(encoded),))
    offsets = open_memmap(folder / "offsets.npy", "w+", numpy.int64, (len(encoded) + 1,))
    row = 0
    for batch in encoded.iter(10_000):
        lengths = pyarrow.compute.list_value_length(batch["input_ids"]).to_numpy()
        labels[row : row + len(lengths)] = batch["labels"].to_numpy()
        offsets[row + 1 : row + 1 + len(lengths)] = offsets[row] + numpy.cumsum(lengths)
        row += len(lengths)
    types = {"input_ids": numpy.int32, "token_type_ids": numpy.int8}
    for name in columns:
        flat, start = open_memmap(folder / f"{name}.npy", "w+", types[name], (int(offsets[-1]),)), 0
        for batch in encoded.select_columns(name).iter(10_000):
            values = pyarrow.compute.list_flatten(batch[name]).to_numpy()
            flat[start : start + len(values)] = values
            start += len(values)


def epoch_batches(
    lengths: NDArray[numpy.int64],
    batch_size: int,
    seed: int,
    epoch: int,
    group_by_length: bool = True,
    tokens_per_batch: int | None = None,
) -> list[NDArray[numpy.int64]]:
    """Puts each row into one batch, as a pure function of its arguments: so any place in an epoch can be returned to.

    The rows are shuffled, those of some batches at a time sorted by length and cut into batches, and the batches
    shuffled.

    Args:
        lengths: Tokens of each row (rows,).
        batch_size: Rows a batch; the last one may have fewer.
        seed: The seed of the run.
        epoch: The epoch.
        group_by_length: Whether to sort; without, batches are random.
        tokens_per_batch: Instead of so many rows, as many as fit into so many tokens, padding included.

    Returns:
        The rows of each batch, from the longest to the shortest.
    """
    generator = numpy.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    size = batch_size
    if tokens_per_batch:
        size = max(1, round(tokens_per_batch / lengths.mean()))
    batches: list[NDArray[numpy.int64]] = []
    pool = max(1, min(POOL, int(POOL_SHARE * len(order) / size))) * size if group_by_length else len(order)
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        if group_by_length:
            rows = rows[numpy.argsort(-lengths[rows], kind="stable")]
        if tokens_per_batch:
            batches += _fill(rows, lengths, tokens_per_batch)
        else:
            batches += [rows[first : first + size] for first in range(0, len(rows), size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def _fill(rows: NDArray[numpy.int64], lengths: NDArray[numpy.int64], tokens: int) -> list[NDArray[numpy.int64]]:
    """Cuts rows where one more would make rows times longest exceed `tokens`; a row that does alone stays alone."""
    batches, first, longest = [], 0, 0
    for index, length in enumerate(lengths[rows]):
        longest = max(longest, int(length))
        if index > first and (index - first + 1) * longest > tokens:
            batches.append(rows[first:index])
            first, longest = index, int(length)
    return [*batches, rows[first:]]


def share(
    batch: NDArray[numpy.int64], process: int, processes: int, parts: int = 1
) -> list[tuple[NDArray[numpy.int64], bool]]:
    """Finds a process's part of a batch: every process gets rows of all lengths, every row goes to one of them.

    Args:
        batch: Rows (examples,), at least one.
        process: The process, from 0.
        processes: How many there are.
        parts: In how many parts each process takes its rows, one after the other (gradient accumulation).

    Returns:
        The rows of each part, and whether they count: where there are too few rows, a process gets one that doesn't,
        because all processes have to take the same number of steps.
    """
    mine = [part[process::processes] for part in numpy.array_split(batch, parts)]
    return [(rows, True) if len(rows) else (batch[:1], False) for rows in mine]
