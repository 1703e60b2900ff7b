"""What is found out of two models on the same pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hf_nli.comparison.chance import Interval
from hf_nli.core.report import Report


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        run: The folder or model that was given.
        model: The model that was evaluated.
        model_sha256: Its weights.
        accuracy: The share of the pairs that it gets right.
    """

    run: str
    model: str
    model_sha256: str | None
    accuracy: Interval


@dataclass(frozen=True)
class LabelDifference:
    """How much better one label is told from the others: B's score minus A's, each from 0 to 1."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Disagreement:
    """A pair of which the two say different labels; the probabilities are those of its gold label."""

    premise: str
    hypothesis: str
    label: str
    prediction_a: str
    prediction_b: str
    probability_a: float
    probability_b: float


@dataclass(frozen=True, kw_only=True)
class CompareResults(Report):
    """What `compare` found out, as written to compare_results.json.

    Attributes:
        a: The first model.
        b: The second one.
        dataset: The data set on which both were evaluated.
        split: Its split, if something says so.
        examples: How many pairs it has.
        labels: The labels that are told apart.
        difference: B's accuracy minus A's.
        mcnemar_p_value: How probable a difference as large as this is, if both are right equally often.
        counts: Pairs that both get right, only A, only B, and neither of them.
        flows: Pairs by what is said of them: the rows are A's labels, the columns B's.
        per_label: How much better B tells each label from the others.
        disagreements: Of the pairs of which they say different labels, those whose gold label's probability changes
            most, the most changed first.
        other_conditions: Conditions of the two evaluations that differ, A's and B's.
        resamples: Samples of the bootstrap.
        seed: Its seed.
        methods: Where the figures come from.
    """

    a: Side
    b: Side
    dataset: str
    split: str | None
    examples: int
    labels: list[str]
    difference: Interval
    mcnemar_p_value: float
    counts: dict[str, int]
    flows: list[list[int]]
    per_label: dict[str, LabelDifference]
    disagreements: list[Disagreement]
    other_conditions: dict[str, list[Any]]
    resamples: int
    seed: int
    methods: dict[str, str]
