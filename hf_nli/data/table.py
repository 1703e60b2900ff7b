"""Encoded pairs as flat, memory-mapped arrays, and batches of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import pyarrow.compute
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_nli.core.cache import content_key, kept_folder, rows_key

CACHE_VERSION = 1  # to be raised when the files have other content or names

# What the width of a batch is a multiple of on a GPU: few shapes to compile or to capture, and full matrix units.
GPU_WIDTH = 8
_CHUNK = 2**22


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
        flat: Whether the rows of a batch lie one after the other, instead of being padded.
    """

    columns: dict[str, Tensor]
    padding: dict[str, int]
    offsets: Tensor
    labels: Tensor
    lengths: NDArray[numpy.int64]
    longest: int
    sha256: str
    multiple: int = 1
    flat: bool = False

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

    def to(self, device: torch.device, flat: bool = False) -> TokenTable:
        """Moves the arrays to a device, so that batches are made there: all of SNLI takes about 80 MB.

        Args:
            device: The device.
            flat: Whether to make flat batches, which models with `engine.attach.fast_forward` take.
        """
        columns = {name: values.to(device) for name, values in self.columns.items()}
        offsets, labels = self.offsets.to(device), self.labels.to(device)
        multiple = 1 if device.type == "cpu" else GPU_WIDTH
        return replace(self, columns=columns, offsets=offsets, labels=labels, multiple=multiple, flat=flat)

    def width(self, rows: NDArray[numpy.int64]) -> int:
        """The positions that each of these rows (examples,) takes in a batch of them."""
        wanted = -(-int(self.lengths[rows].max()) // self.multiple) * self.multiple
        return min(wanted, self.longest)  # a model may not have more positions

    def positions(self, rows: NDArray[numpy.int64]) -> int:
        """The positions, padding included, that a batch of these rows (examples,) has."""
        return int(self.lengths[rows].sum()) if self.flat else len(rows) * self.width(rows)

    def token_ids(self) -> NDArray[numpy.int64]:
        """The token ids that occur, sorted, and that of padding."""
        ids = self.columns["input_ids"].numpy()
        parts = [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
        return numpy.unique(numpy.concatenate([[self.padding["input_ids"]], *map(numpy.unique, parts)]))

    def first(self, examples: int) -> dict[str, Tensor]:
        """Makes a batch of the first rows, as `batch` does."""
        return replace(self, flat=False).batch(numpy.arange(min(examples, len(self))))

    def batch(self, rows: NDArray[numpy.int64]) -> dict[str, Tensor]:
        """Makes a batch: flat, or padded to its longest row, or to the next multiple of `multiple`.

        Args:
            rows: Which rows (examples,), at least one.

        Returns:
            The model's inputs, and `labels` (examples,), where the arrays are. Padded, the inputs are int64 (examples,
            width); flat, they are int64 (1, tokens), and with them is `cu_seq_lens_q`, where rows begin and end,
            int64 (examples + 1,).
        """
        indices = torch.from_numpy(rows).to(self.labels.device, non_blocking=True)
        return self._flat_batch(indices) if self.flat else self.padded(indices, self.width(rows))

    def _flat_batch(self, indices: Tensor) -> dict[str, Tensor]:
        starts, lengths = self.offsets[indices], self.offsets[indices + 1] - self.offsets[indices]
        ends = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
        tokens = torch.arange(int(ends[-1])) + (starts - ends[:-1]).repeat_interleave(lengths)
        inputs = {name: values[tokens].long()[None] for name, values in self.columns.items()}
        return inputs | {"cu_seq_lens_q": ends, "labels": self.labels[indices]}

    def padded(self, indices: Tensor, width: int) -> dict[str, Tensor]:
        """Makes a padded batch; nothing waits for the device.

        Args:
            indices: Which rows, int64 (examples,), where the arrays are.
            width: What to pad to: at least the tokens of each row.

        Returns:
            See `batch`.
        """
        starts, ends = self.offsets[indices, None], self.offsets[indices + 1, None]
        positions = starts + torch.arange(width, device=indices.device)
        mask = positions < ends
        positions = positions.clamp_(max=len(self.columns["input_ids"]) - 1)
        inputs = {
            name: torch.where(mask, values[positions].long(), self.padding[name])
            for name, values in self.columns.items()
        }
        return inputs | {"attention_mask": mask.long(), "labels": self.labels[indices]}


def _write(encoded: Dataset, columns: list[str], folder: Path) -> None:
    """Writes the arrays, without mapping them: of a mapped file on a full disk the process would die."""
    encoded = encoded.with_format("arrow")
    lengths, labels = [numpy.zeros(1, numpy.int64)], [numpy.zeros(0, numpy.int64)]
    for batch in encoded.iter(10_000):
        lengths.append(pyarrow.compute.list_value_length(batch["input_ids"]).to_numpy())
        labels.append(batch["labels"].to_numpy())
    offsets = numpy.concatenate(lengths).cumsum()
    numpy.save(folder / "offsets.npy", offsets)
    numpy.save(folder / "labels.npy", numpy.concatenate(labels))
    types = {"input_ids": "<i4", "token_type_ids": "|i1"}
    for name in columns:
        header = {"descr": types[name], "fortran_order": False, "shape": (int(offsets[-1]),)}
        with (folder / f"{name}.npy").open("wb") as file:
            numpy.lib.format.write_array_header_1_0(file, header)
            for batch in encoded.select_columns(name).iter(10_000):
                file.write(pyarrow.compute.list_flatten(batch[name]).to_numpy().astype(types[name]).tobytes())
