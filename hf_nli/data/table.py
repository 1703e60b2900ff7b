"""Encoded pairs as flat, memory-mapped arrays, and batches of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import pyarrow.compute
import torch
from datasets import Dataset
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_nli.core.cache import content_key, kept_folder, rows_key

CACHE_VERSION = 1  # to be raised when the files have other content or names

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
        longest: The most tokens of a row.
        sha256: The SHA-256 of tokens and labels, by which runs on other data are told apart.
        multiple: What the width of a batch is a multiple of.
    """

    columns: dict[str, Tensor]
    padding: dict[str, int]
    offsets: Tensor
    labels: Tensor
    lengths: NDArray[numpy.int64]
    longest: int
    sha256: str
    multiple: int = 1

    @classmethod
    def open(cls, encoded: Dataset, tokenizer: PreTrainedTokenizerBase) -> TokenTable:
        """Lays encoded pairs out flat, in files that are kept, and maps them: memory doesn't grow.

        Args:
            encoded: What `encoding.encode` gives.
            tokenizer: What it was encoded with.
        """
        values = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
        padding = {name: value for name, value in values.items() if name in encoded.column_names}
        sha256 = rows_key(encoded, (*padding, "labels"))
        key = content_key(sha256, list(padding), CACHE_VERSION)
        folder = kept_folder(f"tokens-{key}", lambda folder: _write(encoded, list(padding), folder))
        arrays = {
            name: torch.from_numpy(numpy.load(folder / f"{name}.npy", mmap_mode="c"))
            for name in (*padding, "offsets", "labels")
        }
        offsets, labels = arrays.pop("offsets"), arrays.pop("labels")
        lengths = numpy.diff(offsets.numpy())
        return cls(arrays, padding, offsets, labels, lengths, int(lengths.max(initial=0)), sha256)

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> TokenTable:
        """Moves the arrays to a device, so that batches are made there: all of SNLI takes about 80 MB."""
        columns = {name: values.to(device) for name, values in self.columns.items()}
        offsets, labels = self.offsets.to(device), self.labels.to(device)
        multiple = 1 if device.type == "cpu" else GPU_WIDTH
        return replace(self, columns=columns, offsets=offsets, labels=labels, multiple=multiple)

    def width(self, rows: NDArray[numpy.int64]) -> int:
        """The positions that each of these rows (examples,) takes in a batch of them."""
        wanted = -(-int(self.lengths[rows].max()) // self.multiple) * self.multiple
        return min(wanted, self.longest)  # a model may not have more positions

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
