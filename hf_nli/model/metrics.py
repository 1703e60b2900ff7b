"""NLI scores as an `evaluate` metric that needs no network."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from hf_nli.core.labels import LABELS


class NLIMetric(evaluate.Metric):
    """Accuracy, scores by label, confusion matrix and the majority baseline.

    Args:
        labels: The names of the label ids.

    Example:
        >>> NLIMetric().compute(predictions=[0, 1, 2], references=[0, 1, 1])["accuracy"]
        0.6666666666666666
    """

    def __init__(self, labels: tuple[str, ...] = LABELS, **options: Any) -> None:
        self.labels = labels
        # In memory: evaluate would write the predictions to the user's cache and lock files there.
        super().__init__(keep_in_memory=True, **options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy, scores by label, confusion matrix and majority baseline of an NLI model.",
            citation="",
            features=datasets.Features(dict.fromkeys(("predictions", "references"), datasets.Value("int64"))),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, Any]:
        ids = list(range(len(self.labels)))
        scores = precision_recall_fscore_support(references, predictions, labels=ids, zero_division=0.0)
        matrix = confusion_matrix(references, predictions, labels=ids)
        names = ("precision", "recall", "f1", "support")
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "per_label": {
                label: {name: values[index].item() for name, values in zip(names, scores, strict=True)}
                for index, label in enumerate(self.labels)
            },
            # Rows are the gold labels, columns the predictions.
            "confusion_matrix": {"labels": list(self.labels), "matrix": matrix.tolist()},
            "baselines": {"majority": matrix.sum(axis=1).max().item() / matrix.sum().item()},
        }
