"""Batches of pairs of like length, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

# Batches whose pairs are sorted together: at most so many, and at most that share of an epoch, so that a small data
# set doesn't have the same batches in every epoch, and not only pairs of one label in a batch.
POOL, POOL_SHARE = 64, 1 / 8


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
            batches += fill(rows, lengths, tokens_per_batch)
        else:
            batches += [rows[first : first + size] for first in range(0, len(rows), size)]
    if not group_by_length:
        batches = [rows[numpy.argsort(-lengths[rows], kind="stable")] for rows in batches]
    return [batches[index] for index in generator.permutation(len(batches))]


def fill(rows: NDArray[numpy.int64], lengths: NDArray[numpy.int64], tokens: int) -> list[NDArray[numpy.int64]]:
    """Cuts rows where one more would make rows times longest exceed `tokens`; a row that does alone stays alone.

    Args:
        rows: Rows (examples,), at least one.
        lengths: Tokens of each row (rows,).
        tokens: The most tokens of a batch, padding included.
    """
    batches, first, longest = [], 0, 0
    for index, length in enumerate(lengths[rows]):
        longest = max(longest, int(length))
        if index > first and (index - first + 1) * longest > tokens:
            batches.append(rows[first:index])
            first, longest = index, int(length)
    return [*batches, rows[first:]]


@dataclass(frozen=True)
class Part:
    """What a process takes at once of a batch.

    Attributes:
        rows: Rows (examples,), at least one.
        counts: False for a row that only keeps a process in step with the others, which have one more: it is another
            part's, and must change neither gradients nor figures.
    """

    rows: NDArray[numpy.int64]
    counts: bool


def share(batch: NDArray[numpy.int64], process: int, processes: int, parts: int = 1) -> list[Part]:
    """Finds a process's share of a batch: every process gets rows of all lengths, every row goes to one of them.

    Args:
        batch: Rows (examples,), at least one.
        process: The process, from 0.
        processes: How many there are.
        parts: In how many parts each process takes its rows, one after the other (gradient accumulation).

    Returns:
        As many parts, because all processes have to take the same number of steps: where there are too few rows, a
        part that doesn't count.
    """
    mine = [rows[process::processes] for rows in numpy.array_split(batch, parts)]
    return [Part(rows, True) if len(rows) else Part(batch[:1], False) for rows in mine]
