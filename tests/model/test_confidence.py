"""Calibration figures against ones worked out by hand, and against scikit-learn's."""

import numpy
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, brier_score_loss

from hf_nli.model.confidence import brier_score, expected_calibration_error, reliability, risk_coverage

# The predicted labels are 0, 1, 2, 0, with confidence 0.9, 0.5, 0.6, 0.8; the second and the fourth are wrong.
PROBABILITIES = [[0.9, 0.1, 0.0], [0.3, 0.5, 0.2], [0.2, 0.2, 0.6], [0.8, 0.0, 0.2]]
REFERENCES = [0, 0, 2, 2]


def made_up(examples=400, labels=3, seed=0):
    """Probabilities, and gold labels that are right as often as half of the confidence says."""
    generator = numpy.random.default_rng(seed)
    probabilities = generator.dirichlet([0.6] * labels, examples)
    references = probabilities.argmax(1)
    others = generator.random(examples) > probabilities.max(1) / 2
    references[others] = generator.integers(0, labels, others.sum())
    return probabilities, references


def test_reliability_worked_by_hand():
    """Two bins of two: 0.5 (wrong) and 0.6, 0.8 (wrong) and 0.9."""
    found = reliability(PROBABILITIES, REFERENCES, bins=2)
    assert found.confidence == pytest.approx([0.55, 0.85])
    assert found.accuracy == pytest.approx([0.5, 0.5]) and found.count.tolist() == [2, 2]


@pytest.mark.parametrize(
    "bins, error",
    [
        (1, 0.7 - 0.5),  # the mean confidence is 0.7, half is right
        (2, (0.05 + 0.35) / 2),
        (15, (0.5 + 0.4 + 0.8 + 0.1) / 4),  # each example is a bin
    ],
)
def test_expected_calibration_error_worked_by_hand(bins, error):
    assert expected_calibration_error(PROBABILITIES, REFERENCES, bins) == pytest.approx(error)


def test_the_best_and_the_worst():
    certain = numpy.eye(3)
    assert expected_calibration_error(certain, [0, 1, 2]) == brier_score(certain, [0, 1, 2]) == 0
    assert expected_calibration_error(certain, [1, 2, 0]) == 1 and brier_score(certain, [1, 2, 0]) == 2
    uniform = numpy.full((6, 3), 1 / 3)
    assert brier_score(uniform, [0, 1, 2, 0, 1, 2]) == pytest.approx(2 / 3)


def test_brier_score_worked_by_hand():
    rows = [0.01 + 0.01, 0.49 + 0.25 + 0.04, 0.04 + 0.04 + 0.16, 0.64 + 0.64]
    assert brier_score(PROBABILITIES, REFERENCES) == pytest.approx(sum(rows) / 4)


@pytest.mark.parametrize("bins", [2, 10, 15])
def test_reliability_is_that_of_scikit_learn(bins):
    probabilities, references = made_up()
    right = probabilities.argmax(1) == references
    accuracy, confidence = calibration_curve(right, probabilities.max(1), n_bins=bins, strategy="quantile")
    found = reliability(torch.tensor(probabilities), torch.tensor(references), bins)
    assert found.accuracy == pytest.approx(accuracy) and found.confidence == pytest.approx(confidence)
    assert found.count.sum() == 400 and max(found.count) - min(found.count) <= 1


def test_brier_score_is_that_of_scikit_learn():
    """Which, of two labels, has half of Brier's."""
    probabilities, references = made_up(labels=2)
    assert brier_score(probabilities, references) / 2 == pytest.approx(
        brier_score_loss(references, probabilities[:, 1])
    )


def test_equal_confidences_share_a_bin_in_whatever_order():
    """Five at 0.6, three of them right, and one at 0.9, right: (5 * 0 + 0.1) / 6."""
    probabilities = numpy.array([[0.6, 0.4]] * 5 + [[0.9, 0.1]])
    references = numpy.array([0, 0, 0, 1, 1, 0])
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 4, 1, 2]):
        found = reliability(probabilities[order], references[order])
        assert found.confidence == pytest.approx([0.6, 0.9]) and found.count.tolist() == [5, 1]
        error = expected_calibration_error(probabilities[order], references[order])
        assert error == pytest.approx(0.1 / 6)


def test_risk_coverage_worked_by_hand():
    found = risk_coverage(PROBABILITIES, REFERENCES)
    assert found.threshold.tolist() == [0.9, 0.8, 0.6, 0.5]
    assert found.coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert found.error == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])


def test_of_equal_confidences_all_are_covered_or_none():
    found = risk_coverage([[0.6, 0.4], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6]], [0, 0, 1, 1])
    assert found.threshold.tolist() == [0.7, 0.6]
    assert found.coverage == pytest.approx([1 / 4, 1]) and found.error == pytest.approx([1, 2 / 4])


def test_risk_coverage_is_the_error_of_the_answers_above_each_threshold():
    probabilities, references = made_up(50)
    found = risk_coverage(probabilities, references)
    for threshold, coverage, error in zip(found.threshold, found.coverage, found.error, strict=True):
        given = probabilities.max(1) >= threshold
        right = accuracy_score(references[given], probabilities[given].argmax(1))
        assert (coverage, error) == (pytest.approx(given.mean()), pytest.approx(1 - right))
    assert len(found.threshold) == 50 and found.coverage[-1] == 1
