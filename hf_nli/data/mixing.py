"""The pairs of several sources as the training pairs of one run: all of them, or in given proportions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy
from datasets import Dataset, concatenate_datasets
from numpy.typing import NDArray


class SourceCounts(TypedDict):
    """What a run trains on of a source.

    Attributes:
        dataset: Its public name, in the form in which it was given.
        pairs: The pairs that it has to train on.
        drawn: How many pairs of it an epoch has; more than it has where some come more than once.
        dropped: Its rows without a gold label.
    """

    dataset: str
    pairs: int
    drawn: int
    dropped: int


def mix(sources: Sequence[Dataset], weights: Sequence[float] | None, seed: int) -> tuple[Dataset, list[int]]:
    """Makes the training pairs of a run; which they are is decided once, so that every epoch has the same ones.

    Without weights they are all pairs of all sources. With weights they are about as many: of the total, each source
    gets its weight's share, rounded. It has each of its pairs as often as they fit in as a whole, and for the rest
    some that are drawn, none of them twice.

    Args:
        sources: The pairs of each, with the same columns.
        weights: A positive number a source, or None.
        seed: What is drawn depends on it, the weights and the sizes alone.

    Returns:
        The pairs, source after source, and how many there are of each.
    """
    sizes = [len(pairs) for pairs in sources]
    if weights is None:
        return (sources[0] if len(sources) == 1 else concatenate_datasets(list(sources))), sizes
    wanted = [max(1, round(sum(sizes) * weight / sum(weights))) for weight in weights]
    generator = numpy.random.default_rng([seed, 0])  # epochs, which take [seed, epoch], count from 1
    rows = [_draw(size, count, generator) for size, count in zip(sizes, wanted, strict=True)]
    starts = numpy.cumsum([0, *sizes[:-1]])
    taken = numpy.concatenate([start + each for start, each in zip(starts, rows, strict=True)])
    return concatenate_datasets(list(sources)).select(taken), wanted


def _draw(size: int, count: int, generator: numpy.random.Generator) -> NDArray[numpy.int64]:
    """So many rows of a source, in order, each as often as the others or once more."""
    times, rest = divmod(count, size)
    some = numpy.sort(generator.choice(size, rest, replace=False))
    return numpy.concatenate([numpy.tile(numpy.arange(size), times), some])
