"""What chance leaves open: how far the accuracies of two models on the same pairs may be from what they seem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from scipy.stats import binomtest

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure, and the ends of its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


def accuracy_interval(right: int, pairs: int) -> Interval:
    """Computes an accuracy with the score interval of a binomial share.

    Source: Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference, JASA 22.

    Args:
        right: The pairs that a model gets right.
        pairs: All pairs, at least one.
    """
    interval = binomtest(right, pairs).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(right / pairs, float(interval.low), float(interval.high))


def difference_interval(only_a: int, only_b: int, pairs: int, resamples: int, seed: int) -> Interval:
    """Computes the difference of two accuracies on the same pairs, B's minus A's, with a paired bootstrap's interval.

    A resample draws as many pairs as there are, with replacement, each with the answers of both models. All that
    counts of it is how many pairs only A and only B gets right, and these numbers have a multinomial distribution. So
    they are drawn, which gives the same as drawing pairs, in a time that doesn't grow with them.

    Sources: Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13 (the percentile interval); Koehn
    (2004), Statistical Significance Tests for Machine Translation Evaluation, EMNLP (of pairs).

    Args:
        only_a: The pairs that A alone gets right.
        only_b: The pairs that B alone gets right.
        pairs: All pairs, at least one.
        resamples: How many samples to draw.
        seed: The seed of their numbers.
    """
    shares = numpy.array([only_a, only_b, pairs - only_a - only_b]) / pairs
    drawn = numpy.random.default_rng(seed).multinomial(pairs, shares, size=resamples)
    differences = (drawn[:, 1] - drawn[:, 0]) / pairs
    low, high = numpy.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval((only_b - only_a) / pairs, float(low), float(high))


def mcnemar(only_a: int, only_b: int) -> float:
    """Computes the exact two-sided p-value of two models being right equally often.

    If they are, each pair that one of them alone gets right is as likely A's as B's.

    Source: McNemar (1947), Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages,
    Psychometrika 12.

    Args:
        only_a: The pairs that A alone gets right.
        only_b: The pairs that B alone gets right.

    Returns:
        The p-value; 1 if there are no such pairs.
    """
    return float(binomtest(only_b, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
