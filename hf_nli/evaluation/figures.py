"""Pictures for reports; drawn without a display."""

from __future__ import annotations

from pathlib import Path

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from hf_nli.model.confidence import reliability, risk_coverage
from hf_nli.model.folder import SHA256
from hf_nli.model.metrics import ConfusionMatrix

_BLUE = "#0072B2"  # Okabe and Ito's, which colour-blind people tell from the others
_STAIRS = 400  # of a histogram, at most: the picture is 840 pixels wide


def length_histogram(histograms: dict[str, NDArray[numpy.int64]], max_seq_length: int, path: Path) -> None:
    """Draws how many pairs have how many tokens; lengths are taken together where there are very many.

    Args:
        histograms: For each split, integers (longest + 1,): how many pairs have 0, 1, … tokens.
        max_seq_length: Marked with a line.
        path: The .png to write.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    step = -(-max(map(len, histograms.values())) // _STAIRS)
    for split, counts in histograms.items():
        edges = numpy.arange(0, len(counts), step)
        shares = numpy.add.reduceat(counts, edges) / counts.sum()
        axes.stairs(shares, [*edges, edges[-1] + step], label=f"{split} ({counts.sum():,} pairs)", linewidth=1.5)
    axes.axvline(max_seq_length, color="gray", linestyle="--", label=f"max_seq_length {max_seq_length}")
    shown = "share of the pairs" + (f", by {step} tokens" if step > 1 else "")
    axes.set(xlabel="tokens in a pair, special tokens included", ylabel=shown, xlim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


def reliability_diagram(probabilities: Tensor, references: Tensor, path: Path, model_sha256: str | None) -> None:
    """Draws how often predictions are right, by how probable the model says they are.

    Args:
        probabilities: Float (pairs, labels).
        references: The gold labels, integers (pairs,).
        path: The .png to write.
        model_sha256: The weights that it is about, for the picture's metadata.
    """
    bins = reliability(probabilities, references)
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", label="as probable as right")
    axes.plot(bins.confidence, bins.accuracy, color=_BLUE, marker="o", label="the model, in 15 equal parts")
    axes.set(xlabel="probability of the predicted label", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    _save(figure, path, model_sha256)


def risk_coverage_curve(probabilities: Tensor, references: Tensor, path: Path, model_sha256: str | None) -> None:
    """Draws the share of mistakes if only the most probable predictions are taken.

    Args:
        probabilities: Float (pairs, labels).
        references: The gold labels, integers (pairs,).
        path: The .png to write.
        model_sha256: The weights that it is about, for the picture's metadata.
    """
    curve = risk_coverage(probabilities, references)
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.coverage, curve.error, color=_BLUE)
    axes.set(xlabel="share of the pairs that are answered, the most probable first", ylabel="share of mistakes")
    axes.set(xlim=(0, 1), ylim=(0, None))
    _save(figure, path, model_sha256)


def _save(figure: Figure, path: Path, model_sha256: str | None) -> None:
    figure.savefig(path, dpi=120, metadata={SHA256: model_sha256} if model_sha256 else None)


def confusion_matrix(counts: ConfusionMatrix, path: Path, model_sha256: str | None) -> None:
    """Draws a confusion matrix; colors show the share of each gold label's pairs.

    Args:
        counts: How many pairs of each gold label got which prediction.
        path: The .png to write.
        model_sha256: The weights that it is about, for the picture's metadata.
    """
    figure = Figure(figsize=(4.8, 4), layout="constrained")
    axes = figure.subplots()
    draw_counts(axes, counts["labels"], counts["matrix"])
    axes.set(xlabel="prediction", ylabel="gold label")
    _save(figure, path, model_sha256)


def draw_counts(axes: Axes, labels: list[str], counts: list[list[int]]) -> None:
    """Draws a matrix of counts; colors show the shares in each row.

    Args:
        axes: Where to draw it.
        labels: What rows and columns stand for.
        counts: The counts.
    """
    matrix = numpy.array(counts)
    shares = matrix / numpy.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in numpy.ndindex(matrix.shape):
        color = "white" if shares[row, column] > 0.5 else "black"
        text = f"{matrix[row, column]:,}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=color)
    ticks = range(len(labels))
    axes.set(xticks=ticks, yticks=ticks, xticklabels=labels)
    axes.set_yticklabels(labels, rotation=90, va="center")
