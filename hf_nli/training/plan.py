"""What a run will do, known before it starts: how many steps, in how many epochs, and on which rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from hf_nli.data.batches import epoch_batches
from hf_nli.settings.recipe import Recipe

Rows = NDArray[numpy.int64]


@dataclass(frozen=True)
class Plan:
    """The steps of a run.

    Attributes:
        lengths: Tokens of each training row (rows,).
        recipe: The settings.
        parts: The parts of a step: processes times batches to accumulate.
        total_steps: The optimizer steps of the run.
        epochs: The epochs that they take; the last one may be cut short.
        warmup_steps: The first steps, whose learning rate grows.
        counted: The batches of the first epochs, where they had to be made to be counted: 8 bytes a row and epoch.
    """

    lengths: Rows
    recipe: Recipe
    parts: int
    total_steps: int
    epochs: int
    warmup_steps: int
    counted: tuple[list[Rows], ...] = ()

    def batches(self, epoch: int) -> list[Rows]:
        """Gives the rows of each step of an epoch, over all processes.

        Args:
            epoch: The epoch, from 1.

        Returns:
            An array (examples,) for each step, those that a cut epoch leaves out included.
        """
        if epoch <= len(self.counted):
            return self.counted[epoch - 1]
        return _batches(self.lengths, self.recipe, self.parts, epoch)


def make_plan(lengths: Rows, recipe: Recipe, processes: int) -> Plan:
    """Plans a run.

    Args:
        lengths: Tokens of each training row (rows,).
        recipe: The settings.
        processes: How many processes share the steps.
    """
    parts = processes * recipe.gradient_accumulation_steps
    limit = recipe.max_train_steps
    counted: list[list[Rows]] = []
    if recipe.tokens_per_batch:  # epochs differ in their number of steps
        total, epochs = 0, 0
        while total < limit if limit else epochs < recipe.num_train_epochs:
            epochs += 1
            counted.append(_batches(lengths, recipe, parts, epochs))
            total += len(counted[-1])
    else:
        steps = math.ceil(len(lengths) / (recipe.per_device_train_batch_size * parts))
        epochs = math.ceil(limit / steps) if limit else recipe.num_train_epochs
        total = steps * epochs
    total = min(total, limit or total)
    return Plan(lengths, recipe, parts, total, epochs, math.ceil(recipe.warmup_ratio * total), tuple(counted))


def _batches(lengths: Rows, recipe: Recipe, parts: int, epoch: int) -> list[Rows]:
    return epoch_batches(
        lengths,
        recipe.per_device_train_batch_size * parts,
        recipe.seed,
        epoch,
        recipe.group_by_length,
        recipe.tokens_per_batch and recipe.tokens_per_batch * parts,
    )
