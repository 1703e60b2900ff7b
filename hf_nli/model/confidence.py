"""How far a classifier's probabilities can be trusted: calibration, and what is gained by answering less often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike, NDArray

BINS = 15  # as Guo et al. (2017) have

Floats = NDArray[numpy.float64]


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy by bin, in the order of confidence; a bin without examples is left out.

    Attributes:
        confidence: The mean probability of the predicted labels, float64 (bins,).
        accuracy: The share of predictions that are right, float64 (bins,).
        count: The examples, integer (bins,).
    """

    confidence: Floats
    accuracy: Floats
    count: NDArray[numpy.int64]


@dataclass(frozen=True)
class RiskCoverage:
    """What answers cost if only those of at least a confidence are given, from the greatest confidence to the least.

    Attributes:
        threshold: Each confidence that there is, float64 (thresholds,).
        coverage: The share of the examples that are answered, float64 (thresholds,).
        error: The share of these answers that are wrong, float64 (thresholds,).
    """

    threshold: Floats
    coverage: Floats
    error: Floats


def reliability(probabilities: ArrayLike, references: ArrayLike, bins: int = BINS) -> Reliability:
    """Compares confidence with accuracy in bins of like many examples.

    The bins' edges are quantiles of the confidence, as those of scikit-learn's `calibration_curve`: examples of equal
    confidence are in one bin, so that the order of the examples doesn't matter.

    Args:
        probabilities: Float (examples, labels), of at least one example.
        references: The gold labels, integer (examples,).
        bins: How many bins.
    """
    confidence, right = _answers(probabilities, references)
    edges = numpy.quantile(confidence, numpy.linspace(0, 1, bins + 1))
    places = numpy.searchsorted(edges[1:-1], confidence)
    count = numpy.bincount(places, minlength=bins)
    there = count > 0
    sums = (numpy.bincount(places, weights=each, minlength=bins) for each in (confidence, right))
    mean_confidence, accuracy = (each[there] / count[there] for each in sums)
    return Reliability(mean_confidence, accuracy, count[there])


def expected_calibration_error(probabilities: ArrayLike, references: ArrayLike, bins: int = BINS) -> float:
    """Computes the expected calibration error: how far confidence is from accuracy, on average over the examples.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3: the mean of |accuracy - confidence| over
    bins, weighted by their examples; confidence is the probability of the predicted label. The bins have like many
    examples, as Nixon et al. (2019), "Measuring Calibration in Deep Learning", advise: of bins of equal width most
    are nearly empty.

    Args:
        probabilities: Float (examples, labels), of at least one example.
        references: The gold labels, integer (examples,).
        bins: How many bins.

    Returns:
        From 0, where confidence is accuracy in every bin, to 1.
    """
    found = reliability(probabilities, references, bins)
    return float(numpy.average(numpy.abs(found.accuracy - found.confidence), weights=found.count))


def brier_score(probabilities: ArrayLike, references: ArrayLike) -> float:
    """Computes the score of Brier (1950), "Verification of Forecasts Expressed in Terms of Probability".

    It is the mean over examples of the sum over labels of the squared differences between the probabilities and 1 for
    the gold label, 0 for the others.

    Args:
        probabilities: Float (examples, labels), of at least one example.
        references: The gold labels, integer (examples,).

    Returns:
        From 0, where each gold label has the probability 1, to 2.
    """
    given = numpy.asarray(probabilities, dtype=numpy.float64)
    wanted = numpy.eye(given.shape[1])[numpy.asarray(references)]
    return float(numpy.square(given - wanted).sum(1).mean())


def risk_coverage(probabilities: ArrayLike, references: ArrayLike) -> RiskCoverage:
    """Computes the error among the most confident answers, by how many are given.

    Geifman & El-Yaniv (2017), "Selective Classification for Deep Neural Networks", equations 1 and 2, for every
    threshold of the confidence, which is the probability of the predicted label.

    Args:
        probabilities: Float (examples, labels), of at least one example.
        references: The gold labels, integer (examples,).
    """
    confidence, right = _answers(probabilities, references)
    order = numpy.argsort(-confidence, kind="stable")
    confidence, wrong = confidence[order], numpy.cumsum(1 - right[order])
    # Of equal confidences all are given or none is.
    last = numpy.flatnonzero(numpy.diff(confidence, append=-1.0))
    given = last + 1
    return RiskCoverage(confidence[last], given / len(confidence), wrong[last] / given)


def _answers(probabilities: ArrayLike, references: ArrayLike) -> tuple[Floats, Floats]:
    """The probability of each predicted label, and 1 where it is right, else 0."""
    given = numpy.asarray(probabilities, dtype=numpy.float64)
    right = given.argmax(1) == numpy.asarray(references)
    return given.max(1), right.astype(numpy.float64)
