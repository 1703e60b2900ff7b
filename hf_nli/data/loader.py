"""Training batches as PyTorch's DataLoader takes them, for any number of processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import itemgetter

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hf_nli.data.batches import Part, epoch_batches, share
from hf_nli.data.table import TokenTable

# The label that neither `torch.nn.functional.cross_entropy` nor Trainer's number of items counts.
NOT_COUNTED = -100


class StepSampler(Sampler[list[Part]]):
    """The batches of an epoch: for each optimizer step, the parts of every process one after the other.

    That is how Accelerate deals batches out to processes.

    Args:
        lengths: Tokens of each row (rows,).
        batch_size: Rows a part.
        processes: How many processes there are.
        parts: In how many parts each process takes its rows of a step (gradient accumulation).
        seed: The seed of the run.
        group_by_length: Whether a step's rows are of like length.
    """

    def __init__(
        self,
        lengths: NDArray[numpy.int64],
        batch_size: int,
        processes: int,
        parts: int,
        seed: int,
        group_by_length: bool,
    ) -> None:
        self.lengths, self.processes, self.parts = lengths, processes, parts
        self.step_size = batch_size * processes * parts
        self.seed, self.group_by_length, self.epoch = seed, group_by_length, 0

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes, from 0; Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.step_size) * self.processes * self.parts

    def __iter__(self) -> Iterator[list[Part]]:
        for rows in epoch_batches(self.lengths, self.step_size, self.seed, self.epoch + 1, self.group_by_length):
            shares = [share(rows, process, self.processes, self.parts) for process in range(self.processes)]
            for parts in zip(*shares, strict=True):
                yield from ([part] for part in parts)


class PartDataset(Dataset[dict[str, Tensor]]):
    """Encoded pairs whose items are whole parts of batches.

    Args:
        table: The pairs.
    """

    def __init__(self, table: TokenTable) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, part: Part) -> dict[str, Tensor]:
        """Makes the model's inputs, int64 (examples, width), and `labels` (examples,): `NOT_COUNTED` in some parts."""
        batch = self.table.batch(part.rows)
        return batch if part.counts else batch | {"labels": torch.full_like(batch["labels"], NOT_COUNTED)}


def part_loader(
    table: TokenTable, sampler: StepSampler, num_workers: int, pin_memory: bool
) -> DataLoader[dict[str, Tensor]]:
    """Makes the DataLoader of a table's parts.

    Args:
        table: The encoded pairs.
        sampler: Says which rows each part has.
        num_workers: As `DataLoader`'s.
        pin_memory: As `DataLoader`'s.
    """
    return DataLoader(
        PartDataset(table),
        batch_sampler=sampler,
        collate_fn=itemgetter(0),  # a part is a whole batch
        num_workers=num_workers,
        pin_memory=pin_memory,
    )
