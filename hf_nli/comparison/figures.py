"""The picture of a comparison."""

from __future__ import annotations

from pathlib import Path

import numpy
from matplotlib.figure import Figure

from hf_nli.comparison.chance import Interval
from hf_nli.evaluation.figures import draw_counts


def comparison(a: Interval, b: Interval, labels: list[str], flows: list[list[int]], path: Path) -> None:
    """Draws the accuracies of two models with their intervals, and what they say of the same pairs.

    Args:
        a: The first model's accuracy.
        b: The second one's.
        labels: The labels.
        flows: How many pairs have which label of the first model's, in rows, and of the second one's, in columns.
        path: The .png to write.
    """
    figure = Figure(figsize=(8, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    figures = numpy.array([[each.estimate, each.estimate - each.low, each.high - each.estimate] for each in (a, b)])
    left.errorbar(["A", "B"], figures[:, 0], figures[:, 1:].T, fmt="o", capsize=6)
    left.set(xlim=(-0.5, 1.5), ylabel="accuracy, with 95 % intervals")
    draw_counts(right, labels, flows)
    right.set(xlabel="B's prediction", ylabel="A's prediction")
    figure.savefig(path, dpi=120)
