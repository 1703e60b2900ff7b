"""What a run tells: its log, its picture, a tracker, and lines beside the progress bar."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas
from accelerate import Accelerator
from tqdm.auto import tqdm

from hf_nli.core.files import staged
from hf_nli.model.folder import CURVES, LOG, read_epochs
from hf_nli.training.curves import training_curves


class Reporter:
    """Writes train_log.jsonl and training_curves.png on the main process; elsewhere it does nothing.

    The log has no times, so that a run that was interrupted and continued has the same one as a run that wasn't.
    """

    def __init__(self, accelerator: Accelerator, output_dir: Path, as_the_book: bool = False) -> None:
        self.accelerator, self.output_dir, self.as_the_book = accelerator, output_dir, as_the_book

    def start(self) -> None:
        """Starts an empty log."""
        if self.accelerator.is_main_process:
            with staged(self.output_dir) as folder:
                (folder / LOG).touch()

    def save(self, checkpoint: Path) -> None:
        """Copies the log to a checkpoint."""
        if self.accelerator.is_main_process:
            shutil.copyfile(self.output_dir / LOG, checkpoint / LOG)

    def restore(self, checkpoint: Path) -> None:
        """Makes the log what it was at a checkpoint."""
        if self.accelerator.is_main_process:
            with staged(self.output_dir) as folder:
                shutil.copyfile(checkpoint / LOG, folder / LOG)

    def record(self, **figures: Any) -> None:
        """Adds a line to the log, and to the tracker if there is one.

        Args:
            figures: `step` and what was measured there.
        """
        if not self.accelerator.is_main_process:
            return
        with (self.output_dir / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(figures) + "\n")
        self.accelerator.log({name: value for name, value in figures.items() if name != "step"}, step=figures["step"])

    def epoch(self, **figures: Any) -> None:
        """Like `record` for the end of an epoch: draws the curves and prints a line, too.

        Args:
            figures: `epoch`, `step`, `eval_loss`, `eval_accuracy`, `test_accuracy` if there are test pairs, and from
                the first epoch on `train_loss` and `train_accuracy`.
        """
        self.record(**figures)
        if not self.accelerator.is_main_process:
            return
        with staged(self.output_dir) as folder:
            training_curves(read_epochs(self.output_dir), folder / CURVES)
        if self.as_the_book and "train_loss" in figures:
            text = in_the_books_words(figures)
        else:
            text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if name not in ("epoch", "step"))
        tqdm.write(f"epoch {figures['epoch']}: {text}", file=sys.stderr)


def in_the_books_words(figures: dict[str, float]) -> str:
    """Says what d2l's `train_ch13` says of an epoch; where nothing was tested, what was validated takes its place.

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
