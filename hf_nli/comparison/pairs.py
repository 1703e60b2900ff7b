"""What two models say of the same pairs, by the same labels and in the same order."""

from __future__ import annotations

import reprlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache

import numpy
from numpy.typing import NDArray

from hf_nli.comparison.runs import PREDICTIONS, Run
from hf_nli.core.errors import InputError
from hf_nli.core.labels import label_id, label_set


@dataclass(frozen=True)
class Answers:
    """What a model says of pairs, by labels that another model has, too.

    Attributes:
        name: What to call them in errors.
        labels: The labels.
        pairs: Premise, hypothesis and gold label of each.
        gold: The gold labels, integers (pairs,).
        predicted: The predictions, integers (pairs,).
        probabilities: Float64 (pairs, labels).
    """

    name: str
    labels: tuple[str, ...]
    pairs: list[tuple[str, str, str]]
    gold: NDArray[numpy.int64]
    predicted: NDArray[numpy.int64]
    probabilities: NDArray[numpy.float64]


def match_runs(run_a: Run, run_b: Run) -> tuple[Answers, Answers]:
    """Brings two evaluations to the same labels and the same order of pairs.

    Where one of them tells two labels apart and the other one three, neutral and contradiction become not_entailment,
    their probabilities are added up, and the prediction is what is then the most probable, as `evaluate` does on
    two-way data.

    Args:
        run_a: An evaluation.
        run_b: Another one.

    Returns:
        What the two say, in the order of the first one.

    Raises:
        InputError: If they aren't of the same pairs, or it can't be told which pair of one is which of the other.
    """
    labels = label_set(name for run in (run_a, run_b) for row in run.rows[:1] for name in row["scores"])
    one, other = _by_labels(run_a, labels), _by_labels(run_b, labels)
    if one.pairs == other.pairs:
        return one, other
    _refuse_other_pairs(one, other)
    _refuse_ambiguous(one, other)
    size = range(len(one.pairs))
    order = numpy.empty(len(size), numpy.int64)
    order[sorted(size, key=one.pairs.__getitem__)] = sorted(size, key=other.pairs.__getitem__)
    return one, Answers(other.name, labels, one.pairs, one.gold, other.predicted[order], other.probabilities[order])


def _by_labels(run: Run, labels: tuple[str, ...]) -> Answers:
    @cache
    def known(name: str) -> int:
        index = label_id(name, labels)
        if index is None:
            raise InputError(f"{run.name}: the label {name!r} in {PREDICTIONS} is none of {', '.join(labels)}")
        return index

    probabilities = numpy.zeros((len(run.rows), len(labels)))
    gold, predicted = (numpy.zeros(len(run.rows), numpy.int64) for _ in range(2))
    for index, row in enumerate(run.rows):
        for name, score in row["scores"].items():
            probabilities[index, known(name)] += score
        merged = len(row["scores"]) > len(labels)
        gold[index] = known(row["label"])
        predicted[index] = probabilities[index].argmax() if merged else known(row["prediction"])
    names = (labels[label] for label in gold)
    pairs = [(row["premise"], row["hypothesis"], name) for row, name in zip(run.rows, names, strict=True)]
    return Answers(run.name, labels, pairs, gold, predicted, probabilities)


def _refuse_other_pairs(a: Answers, b: Answers) -> None:
    for one, other in ((a, b), (b, a)):
        left = Counter(other.pairs)
        for number, pair in enumerate(one.pairs, 1):
            left[pair] -= 1
            if left[pair] < 0:
                labels = {label for *texts, label in other.pairs if tuple(texts) == pair[:2]} - {pair[2]}
                how = "is less often" if pair in other.pairs else "isn't"
                how = f"is {' and '.join(sorted(labels))}" if labels else how
                raise InputError(
                    f"{a.name} and {b.name} aren't of the same data ({len(a.pairs)} and {len(b.pairs)} pairs): "
                    f"{_told(pair)}, line {number} in {one.name}, "
                    f"{how} in {other.name}"
                )


def _refuse_ambiguous(a: Answers, b: Answers) -> None:
    """Refuses pairs that are there repeatedly with several answers of both: which belongs to which nobody knows."""
    found: list[defaultdict[tuple[str, str, str], set[int]]] = [defaultdict(set), defaultdict(set)]
    for sets, answers in zip(found, (a, b), strict=True):
        for pair, predicted in zip(answers.pairs, answers.predicted.tolist(), strict=True):
            sets[pair].add(predicted)
    for pair in a.pairs:
        if all(len(sets[pair]) > 1 for sets in found):
            raise InputError(
                f"{a.name} and {b.name} have their pairs in different orders, and {_told(pair)} is there repeatedly "
                "with different predictions; run hf-nli evaluate on the same file for both"
            )


def _told(pair: tuple[str, str, str]) -> str:
    premise, hypothesis, label = pair
    return f"the pair {reprlib.repr(premise)}, {reprlib.repr(hypothesis)} ({label})"
