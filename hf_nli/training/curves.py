"""The picture of a training run."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure


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
