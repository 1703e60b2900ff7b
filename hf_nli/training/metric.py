"""The metrics of an NLI model as one of the library `evaluate`, whose import takes long."""

from __future__ import annotations

import dataclasses
from typing import Any

import datasets
import evaluate
import torch

from hf_nli.core.labels import LABELS
from hf_nli.model.metrics import Scores


class NLIMetric(evaluate.Metric):
    """The metrics that look at the predicted labels alone, as an `evaluate` metric that needs no network.

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
        certain = torch.nn.functional.one_hot(torch.as_tensor(predictions), len(self.labels))
        return {
            field.name: field.metadata["compute"](certain, torch.as_tensor(references), self.labels)
            for field in dataclasses.fields(Scores)
            if not field.metadata["probabilities"]
        }
