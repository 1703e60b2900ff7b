"""The metric against hand-worked figures."""

import pytest

from hf_nli.model.metrics import NLIMetric


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
