"""Parts of a data set that a model may do better or worse on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy
from numpy.typing import NDArray

from hf_nli.evaluation.baselines import words
from hf_nli.model.metrics import wilson_interval

# As Gururangan et al. (2018) and Naik et al. (2018) look for: what annotators deny with.
_NEGATIONS = {"no", "not", "never", "nobody", "nothing", "none", "neither", "nor", "nowhere", "without", "cannot"}
_QUINTILES = ("lowest fifth", "second fifth", "third fifth", "fourth fifth", "highest fifth")
_MOST_VALUES = 20  # of a column by which rows are taken together

Right = NDArray[numpy.bool_]


class Slice(TypedDict):
    """Some of the pairs.

    `slice` says what they are told apart by, `value` which of them these are.
    """

    slice: str
    value: str
    examples: int
    accuracy: float
    accuracy_interval: list[float]


def slices_of(
    pairs: Sequence[tuple[str, str]],
    right: Right,
    unknown: NDArray[numpy.int64] | None,
    hypothesis_only: Right | None,
    columns: Mapping[str, Sequence[Any]],
) -> list[Slice]:
    """Takes pairs together by what they are like.

    Args:
        pairs: Premises and hypotheses.
        right: Bool (pairs,), whether the model gives the gold label.
        unknown: Integers (pairs,): how many words of each the model doesn't know, if that can be.
        hypothesis_only: Bool (pairs,), whether a classifier that sees the hypothesis alone gives the gold label, if
            there is one. Those that it gets wrong are "hard", as in SNLI-hard (Gururangan et al. 2018).
        columns: Other columns of the rows, by whose values they are taken together.

    Returns:
        The slices, one kind after the other; a kind of which all pairs are the same is left out.
    """
    found = [(set(words(premise)), words(hypothesis)) for premise, hypothesis in pairs]
    lengths = [len(words(premise)) + len(words(hypothesis)) for premise, hypothesis in pairs]
    overlaps = [sum(word in given for word in asked) / max(1, len(asked)) for given, asked in found]
    denied = [any(word in _NEGATIONS or word.endswith("n't") for word in asked) for _, asked in found]
    values: dict[str, Sequence[Any]] = {
        "words in the pair": _fifths(lengths, "{:.0f}"),
        "share of the hypothesis's words that the premise has": _fifths(overlaps, "{:.0%}"),
        "negation in the hypothesis": ["yes" if each else "no" for each in denied],
    }
    if unknown is not None:
        amounts = ("none", "one", "several")
        values["words that the model doesn't know"] = [amounts[min(count, 2)] for count in unknown.tolist()]
    if hypothesis_only is not None:
        values["hypothesis alone"] = ["easy" if each else "hard" for each in hypothesis_only]
    for name, column in columns.items():
        values[name] = _values(column)
    told_apart = {name: column for name, column in values.items() if len(set(column)) > 1}
    return [each for name, column in told_apart.items() for each in _slices(name, column, right)]


def annotator_slices(annotations: Sequence[Sequence[str]]) -> list[str]:
    """Says of each pair whether its annotators agreed.

    Args:
        annotations: The labels that single annotators gave each pair.

    Returns:
        "unanimous", "majority", or "one annotator".
    """
    return [
        "one annotator" if len(labels) < 2 else "unanimous" if len(set(labels)) == 1 else "majority"
        for labels in annotations
    ]


def _slices(name: str, values: Sequence[str], right: Right) -> Iterator[Slice]:
    """The slices in the order of their names; fifths in theirs."""
    column = numpy.asarray(values, dtype=object)
    order = {fifth: index for index, fifth in enumerate(_QUINTILES)}
    for value in sorted(set(values), key=lambda value: (order.get(value.partition(":")[0], 0), value)):
        own = right[column == value]
        interval = wilson_interval(int(own.sum()), len(own))
        yield Slice(slice=name, value=value, examples=len(own), accuracy=float(own.mean()), accuracy_interval=interval)


def _fifths(numbers: Sequence[float], shown: str) -> list[str]:
    """Which fifth of the pairs each is in, and from where to where it goes; equal numbers are in the same one."""
    values = numpy.asarray(numbers)
    edges = numpy.quantile(values, [0.2, 0.4, 0.6, 0.8])
    index = numpy.searchsorted(edges, values)
    names = {}
    for fifth in set(index.tolist()):
        own = values[index == fifth]
        low, high = shown.format(own.min()), shown.format(own.max())
        names[fifth] = f"{_QUINTILES[fifth]}: {low}" + (f" to {high}" if high != low else "")
    return [names[fifth] for fifth in index.tolist()]


def _values(column: Sequence[Any]) -> list[str]:
    """The values of a column as text; the rarest of very many are taken together."""
    texts = ["(none)" if value is None else str(value) for value in column]
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    kept = set(sorted(counts, key=lambda text: (-counts[text], text))[:_MOST_VALUES])
    return [text if text in kept else "(others)" for text in texts]
