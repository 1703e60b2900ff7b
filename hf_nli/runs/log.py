"""What a run tells while it goes on: its log, its picture, a tracker, and lines beside the progress bar."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas
from accelerate import Accelerator
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from hf_nli.core.disk import disk_errors
from hf_nli.core.files import staged
from hf_nli.model.folder import CURVES, LOG, SHA256, read_epochs
from hf_nli.runs.state import EpochScores


class RunLog:
    """Writes train_log.jsonl and training_curves.png on the main process; elsewhere it does nothing.

    The log has no times, so that a run that was interrupted and continued has the same one as a run that wasn't.

    Args:
        accelerator: Of the run; its tracker is told, too.
        folder: The folder of the run.
        as_d2l: Whether to print of an epoch what d2l prints.
    """

    def __init__(self, accelerator: Accelerator, folder: Path, as_d2l: bool = False) -> None:
        self.accelerator, self.folder, self.as_d2l = accelerator, folder, as_d2l

    def start(self) -> None:
        """Starts an empty log."""
        if self.accelerator.is_main_process:
            with staged(self.folder) as temporary:
                (temporary / LOG).touch()

    def save(self, checkpoint: Path) -> None:
        """Copies the log to a checkpoint."""
        if self.accelerator.is_main_process:
            shutil.copyfile(self.folder / LOG, checkpoint / LOG)

    def restore(self, checkpoint: Path) -> None:
        """Makes the log what it was at a checkpoint."""
        if self.accelerator.is_main_process:
            with staged(self.folder) as temporary:
                shutil.copyfile(checkpoint / LOG, temporary / LOG)

    def record(self, step: int, **figures: Any) -> None:
        """Adds a line to the log, and to the tracker if there is one.

        Args:
            step: The steps taken.
            figures: What was measured there.
        """
        if self.accelerator.is_main_process:
            with disk_errors(self.folder), (self.folder / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": step, **figures}) + "\n")
            self.accelerator.log(figures, step=step)

    def epoch(self, scores: EpochScores) -> None:
        """Adds an epoch: its line, the curves, and a line on the screen."""
        if not self.accelerator.is_main_process:
            return
        figures = {name: value for name, value in dataclasses.asdict(scores).items() if value is not None}
        self.record(figures.pop("step"), **figures)
        with staged(self.folder) as temporary:
            training_curves(read_epochs(self.folder), temporary / CURVES)
        if self.as_d2l and scores.train_loss is not None:
            text = d2l_line(figures)
        else:
            text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if name != "epoch")
        tqdm.write(f"epoch {scores.epoch}: {text}", file=sys.stderr)

    def close(self, sha256: str, folder: Path) -> None:
        """Writes the log and the picture of a complete run, which say whose training this was.

        Args:
            sha256: The SHA-256 of the model's weights.
            folder: The folder to write to.
        """
        shutil.copyfile(self.folder / LOG, folder / LOG)
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps({SHA256: sha256}) + "\n")
        training_curves(read_epochs(folder), folder / CURVES, {SHA256: sha256})


def training_curves(epochs: list[dict[str, float]], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Draws loss and accuracies over the epochs, as the book's plots do.

    Args:
        epochs: Records of train_log.jsonl with `epoch`, `eval_accuracy` and, but for epoch 0, `train_loss` and
            `train_accuracy`; maybe `test_accuracy`.
        path: The .png to write.
        metadata: Texts to keep in it.
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
    figure.savefig(path, dpi=120, metadata=metadata)


def d2l_line(figures: dict[str, Any]) -> str:
    """Lays figures of an epoch out as d2l's `train_ch13` does; validation stands in where nothing was tested.

    Args:
        figures: `train_loss`, `train_accuracy`, and `test_accuracy` or `eval_accuracy`.
    """
    tested = figures.get("test_accuracy", figures["eval_accuracy"])
    return f"loss {figures['train_loss']:.3f}, train acc {figures['train_accuracy']:.3f}, test acc {tested:.3f}"


def closing_table(output_dir: str | Path, best_epoch: int) -> str:
    """Lays the epochs of a run out as a table, with the best one marked.

    Args:
        output_dir: The folder of the run.
        best_epoch: The epoch to mark.
    """
    table = pandas.DataFrame(read_epochs(output_dir)).drop(columns="step")
    table.insert(1, "", table["epoch"].map({best_epoch: "best"}))
    table.columns = table.columns.str.replace("_", " ")
    return table.to_string(index=False, na_rep="", float_format="{:.4f}".format)
