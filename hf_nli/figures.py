"""Pictures for reports; drawn without a display."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from numpy.typing import NDArray


def length_histogram(histograms: dict[str, NDArray], max_seq_length: int, path: Path) -> None:
    """Draws how many pairs have how many tokens.

    Args:
        histograms: For each split, integers (longest + 1,): how many pairs have 0, 1, … tokens.
        max_seq_length: Marked with a line.
        path: The .png to write.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for split, counts in histograms.items():
        axes.stairs(counts / counts.sum(), label=f"{split} ({counts.sum():,} pairs)", linewidth=1.5)
    axes.axvline(max_seq_length, color="gray", linestyle="--", label=f"max_seq_length {max_seq_length}")
    axes.set(xlabel="tokens in a pair, special tokens included", ylabel="share of the pairs", xlim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


def training_curves(epochs: list[dict[str, float]], path: Path) -> None:
    """Draws loss and accuracies over the epochs, as the book's plots do.

    Args:
        epochs: Records of train_log.jsonl with `epoch`, `eval_accuracy` and, but for epoch 0, `train_loss` and
            `train_accuracy`; maybe `test_accuracy`.
        path: The .png to write.
    """
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    curves = {
        "train_loss": ("train loss", "-"),
        "train_accuracy": ("train acc", "--"),
        "eval_accuracy": ("val acc", "-."),
        "test_accuracy": ("test acc", ":"),
    }
    for name, (label, style) in curves.items():
        points = [(record["epoch"], record[name]) for record in epochs if name in record]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), style, label=label, marker="." if len(points) < 2 else None)
    axes.set(xlabel="epoch", xlim=(0, max(1, epochs[-1]["epoch"])), ylim=(0, None))
    axes.grid(alpha=0.5)
    axes.legend()
    figure.savefig(path, dpi=120)
