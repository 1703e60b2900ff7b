"""Where a run is: what a checkpoint holds beside weights, optimizer, schedule and random numbers."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor

_PENDING = 50  # batches whose figures may wait on the device


@dataclass
class Sums:
    """What was counted of a number of batches; `broken_at` is the first step whose loss wasn't finite, if one was."""

    loss: float = 0.0
    right: int = 0
    examples: int = 0
    tokens: int = 0
    positions: int = 0
    broken_at: int | None = None

    def add(self, other: Sums) -> None:
        """Counts what another one counted, too."""
        self.loss += other.loss
        self.right += other.right
        self.examples += other.examples
        self.tokens += other.tokens
        self.positions += other.positions
        self.broken_at = min(filter(None, (self.broken_at, other.broken_at)), default=None)

    def over_processes(self) -> Sums:
        """Adds up what all processes counted; all have to call it."""
        total = Sums()
        for sums in gather_object([self]):
            total.add(sums)
        return total

    @property
    def mean_loss(self) -> float:
        """The loss of an example."""
        return self.loss / self.examples

    @property
    def accuracy(self) -> float:
        """The share of examples whose label was right."""
        return self.right / self.examples


@dataclass(frozen=True)
class EpochScores:
    """What was measured of an epoch, as train_log.jsonl has it; of epoch 0, before training, there is less."""

    epoch: int
    step: int
    train_loss: float | None
    train_accuracy: float | None
    eval_loss: float
    eval_accuracy: float
    test_accuracy: float | None = None

    def better_than(self, other: EpochScores | None) -> bool:
        """Compares accuracies on the validation pairs; of equal ones the lower loss is better, and NaN never is."""
        if not math.isfinite(self.eval_loss):
            return False
        return other is None or (self.eval_accuracy, -self.eval_loss) > (other.eval_accuracy, -other.eval_loss)


@dataclass
class LoopState:
    """The state of a run, for `Accelerator.register_for_checkpointing`.

    Attributes:
        epoch: The epoch that goes on, from 1.
        batch: How many of its steps were taken.
        step: How many steps were taken in all.
        seconds: What training took so far, without evaluating and saving.
        best: The best epoch so far.
        last: The last one that was ended.
        all_epochs: What this process counted since the start of the run.
        this_epoch: Likewise, since that of the epoch.
        recent: Likewise, since a loss was logged.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: EpochScores | None = None
    last: EpochScores | None = None
    all_epochs: Sums = field(default_factory=Sums)
    this_epoch: Sums = field(default_factory=Sums)
    recent: Sums = field(default_factory=Sums)
    _pending: list[tuple[Tensor, Sums, int]] = field(default_factory=list, init=False, repr=False)
    _started: float | None = field(default=None, init=False, repr=False)

    def count(self, figures: Tensor, batch: Sums) -> None:
        """Counts a batch. Its figures stay on the device for some steps, so that no step waits for them.

        Args:
            figures: The sum of its losses, and its right answers, float32 (2,).
            batch: The rest.
        """
        self._pending.append((figures, batch, self.step + 1))
        if len(self._pending) >= _PENDING:
            self.add_up()

    def add_up(self) -> None:
        """Adds up what waits: on the host in float64, which not every device has, and in the order it came in."""
        if not self._pending:
            return
        rows = torch.stack([figures for figures, *_ in self._pending]).tolist()
        for (loss, right), (_, batch, step) in zip(rows, self._pending, strict=True):
            batch.loss, batch.right = loss, int(right)
            batch.broken_at = None if math.isfinite(loss) else step
            for sums in (self.all_epochs, self.this_epoch, self.recent):
                sums.add(batch)
        self._pending.clear()

    def start_clock(self) -> None:
        """Starts to count seconds."""
        self._started = time.perf_counter()

    def stop_clock(self) -> None:
        """Stops it, when the device has done what it was given."""
        self.add_up()
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
        self._started = None

    def end_epoch(self, scores: EpochScores) -> bool:
        """Goes on to the next epoch.

        Args:
            scores: What was measured of this one.

        Returns:
            Whether it is the best so far.
        """
        better = scores.better_than(self.best)
        self.last, self.best = scores, scores if better else self.best
        self.epoch, self.batch, self.this_epoch = self.epoch + 1, 0, Sums()
        return better

    def out_of_patience(self, patience: int | None) -> bool:
        """Says whether so many epochs in a row weren't the best so far; never if `patience` is None."""
        return patience is not None and self.best is not None and self.epoch - 1 - self.best.epoch >= patience

    def state_dict(self) -> dict[str, Any]:
        """Gives everything as plain values, with the sums of all processes; all have to call it."""
        self.add_up()
        state = {name: getattr(self, name) for name in ("epoch", "batch", "step", "seconds")}
        for name in ("best", "last"):
            scores = getattr(self, name)
            state[name] = scores and dataclasses.asdict(scores)
        sums = ("all_epochs", "this_epoch", "recent")
        return state | {"sums": gather_object([{name: dict(vars(getattr(self, name))) for name in sums}])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict` gave, and of the sums those of this process."""
        for name in ("epoch", "batch", "step", "seconds"):
            setattr(self, name, state[name])
        for name in ("best", "last"):
            setattr(self, name, state[name] and EpochScores(**state[name]))
        for name, sums in state["sums"][PartialState().process_index].items():
            setattr(self, name, Sums(**sums))
        self._pending.clear()
