"""The metrics of an NLI model: the fields of `Scores`, which is their registry and the schema of what is reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from torch import Tensor

from hf_nli.model.confidence import brier_score, expected_calibration_error

# Logits, float (examples, labels); gold labels, integer (examples,); the names of the labels.
Compute = Callable[[Tensor, Tensor, tuple[str, ...]], Any]


class LabelScores(TypedDict):
    """How well one label is told from the others."""

    precision: float
    recall: float
    f1: float
    support: int


class ConfusionMatrix(TypedDict):
    """Counts of pairs; rows are the gold labels, columns the predictions."""

    labels: list[str]
    matrix: list[list[int]]


def _accuracy(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> float:
    return float(accuracy_score(references, logits.argmax(-1)))


def _accuracy_interval(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> list[float]:
    return wilson_interval(int((logits.argmax(-1) == references).sum()), len(references))


def wilson_interval(right: int, examples: int) -> list[float]:
    """Computes the 95 % interval of a share (Wilson 1927), which is one in [0, 1] also for few examples.

    Args:
        right: How many are counted.
        examples: Of how many.

    Returns:
        The lower and the upper end.
    """
    interval = binomtest(right, examples).proportion_ci(confidence_level=0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def _macro_f1(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> float:
    """The mean over the labels that the data have."""
    ids = sorted(set(references.tolist()))
    return float(f1_score(references, logits.argmax(-1), labels=ids, average="macro", zero_division=0.0))


def _cross_entropy(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> float:
    # In float64 that of finite logits is finite.
    return torch.nn.functional.cross_entropy(logits.double(), references).item()


def _expected_calibration_error(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> float:
    return expected_calibration_error(logits.double().softmax(-1), references)


def _brier_score(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> float:
    return brier_score(logits.double().softmax(-1), references)


def _per_label(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> dict[str, LabelScores]:
    ids = list(range(len(labels)))
    scores = precision_recall_fscore_support(references, logits.argmax(-1), labels=ids, zero_division=0.0)
    return {
        label: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
        for label, precision, recall, f1, support in zip(labels, *scores, strict=True)
    }


def _confusion_matrix(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> ConfusionMatrix:
    matrix = confusion_matrix(references, logits.argmax(-1), labels=list(range(len(labels))))
    return {"labels": list(labels), "matrix": matrix.tolist()}


def _baselines(logits: Tensor, references: Tensor, labels: tuple[str, ...]) -> dict[str, float]:
    return {"majority": references.bincount().max().item() / len(references)}


def _metric(compute: Compute, title: str | None = None, probabilities: bool = False, **options: Any) -> Any:
    """A field of `Scores`: its function, how reports call it if it is one number, and what it looks at."""
    metadata = {"compute": compute, "title": title, "probabilities": probabilities}
    return dataclasses.field(metadata=metadata, **options)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model scores on pairs with gold labels. A new metric is a function and a field here.

    Those that are None by default are missing in what earlier versions wrote. `baselines` are accuracies of answers
    that need no model: `majority` always gives the most frequent label.
    """

    accuracy: float = _metric(_accuracy, "accuracy")
    accuracy_interval: list[float] | None = _metric(_accuracy_interval, default=None)  # 95 %, Wilson's
    loss: float = _metric(_cross_entropy, "loss", probabilities=True)  # the mean cross-entropy, in nats
    expected_calibration_error: float | None = _metric(
        _expected_calibration_error, "expected calibration error", probabilities=True, default=None
    )
    brier_score: float | None = _metric(_brier_score, "Brier score", probabilities=True, default=None)
    macro_f1: float | None = _metric(_macro_f1, "macro F1", default=None)
    per_label: dict[str, LabelScores] = _metric(_per_label)
    confusion_matrix: ConfusionMatrix = _metric(_confusion_matrix)
    baselines: dict[str, float] = _metric(_baselines)

    @property
    def figures(self) -> dict[str, float]:
        """The metrics that are one number, as far as they are known, by the names that reports give them."""
        titles = {field.name: field.metadata["title"] for field in dataclasses.fields(Scores)}
        values = {title: getattr(self, name) for name, title in titles.items() if title}
        return {title: value for title, value in values.items() if value is not None}
