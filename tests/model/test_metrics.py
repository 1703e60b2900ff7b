"""The metric against hand-worked figures."""

import dataclasses
import math

import pytest
import torch

from hf_nli.core.labels import LABELS
from hf_nli.model.evaluations import Evaluation
from hf_nli.model.metrics import Scores
from hf_nli.model.score import score
from hf_nli.training.metric import NLIMetric


def test_hand_worked_case():
    references = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
    predictions = [0, 0, 1, 2, 1, 1, 2, 2, 2, 0]
    scores = NLIMetric().compute(predictions=predictions, references=references)
    assert scores["accuracy"] == pytest.approx(7 / 10)
    assert scores["confusion_matrix"]["matrix"] == [[2, 1, 1], [0, 2, 0], [1, 0, 3]]
    assert scores["per_label"]["entailment"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 4, "f1": 4 / 7, "support": 4}
    )
    assert scores["per_label"]["neutral"] == pytest.approx(
        {"precision": 2 / 3, "recall": 1, "f1": 4 / 5, "support": 2}
    )
    assert scores["baselines"]["majority"] == pytest.approx(4 / 10)


def test_label_that_never_occurs_scores_zero_and_keeps_its_place():
    scores = NLIMetric().compute(predictions=[0, 0], references=[0, 2])
    assert scores["per_label"]["neutral"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert scores["confusion_matrix"]["matrix"] == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_batches_add_up():
    metric = NLIMetric()
    metric.add_batch(predictions=[0, 1], references=[0, 1])
    metric.add_batch(predictions=[2], references=[1])
    assert metric.compute()["accuracy"] == pytest.approx(2 / 3)


def test_all_scores_of_logits():
    """Worked by hand: softmax of (log 3, 0, 0) is 3/5, 1/5, 1/5."""
    logits = torch.tensor([[math.log(3), 0, 0], [0, 0, math.log(3)]])
    scores = score(logits, torch.tensor([0, 1]))
    assert scores.loss == pytest.approx((-math.log(3 / 5) - math.log(1 / 5)) / 2)
    assert scores.accuracy == 0.5 and scores.baselines == {"majority": 0.5}
    assert scores.confusion_matrix == {"labels": list(LABELS), "matrix": [[1, 0, 0], [0, 0, 1], [0, 0, 0]]}
    assert scores.per_label["entailment"] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}


def test_figures_of_confidence():
    """Twice a confidence of 3/5, once right: one bin, 3/5 from 1/2, and squares of 6/25 and 26/25."""
    scores = score(torch.tensor([[math.log(3), 0, 0]] * 2), torch.tensor([0, 1]))
    assert scores.expected_calibration_error == pytest.approx(3 / 5 - 1 / 2)
    assert scores.brier_score == pytest.approx((6 / 25 + 26 / 25) / 2)


def test_a_metric_is_a_field():
    """What is registered is computed, reported and shown, with nothing said of it anywhere else."""
    scores = score(torch.eye(3), torch.tensor([0, 1, 2]))
    names = [field.name for field in dataclasses.fields(Scores)]
    assert list(vars(scores)) == names and set(names) <= {field.name for field in dataclasses.fields(Evaluation)}
    confidence = {"loss": scores.loss, "expected calibration error": scores.expected_calibration_error}
    assert scores.figures == {"accuracy": 1.0} | confidence | {"Brier score": scores.brier_score, "macro F1": 1.0}
    by_predictions = NLIMetric().compute(predictions=[0, 1, 2], references=[0, 1, 2])
    others = ("loss", "expected_calibration_error", "brier_score")
    assert by_predictions == {name: value for name, value in vars(scores).items() if name not in others}
