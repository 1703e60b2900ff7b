"""Sums over the batches of a run, on all processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor


@dataclass
class Meter:
    """Sums over this process's batches; what the model gives stays on the device, so that no step waits for it."""

    sums: Tensor  # float64 (2,): losses, right answers
    tokens: int = 0
    examples: int = 0
    positions: int = 0

    @classmethod
    def on(cls, device: torch.device, state: dict[str, Any] | None = None) -> Meter:
        """An empty meter, or one as it was."""
        state = state or {"sums": [0.0, 0.0]}
        return cls(**state | {"sums": torch.tensor(state["sums"], dtype=torch.float64, device=device)})

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {**vars(self), "sums": self.sums.tolist()}

    def add(self, sums: Tensor, lengths: NDArray, width: int) -> None:
        """Counts a batch.

        Args:
            sums: The sum of its losses, and its right answers (2,).
            lengths: The tokens of its rows (examples,).
            width: The positions of each row.
        """
        self.sums += sums
        self.tokens += int(lengths.sum())
        self.examples += len(lengths)
        self.positions += len(lengths) * width

    def totals(self, accelerator: Accelerator) -> dict[str, float]:
        """The sums over all processes, with the mean loss and the accuracy."""
        counts = torch.tensor([self.tokens, self.examples, self.positions], device=accelerator.device)
        tokens, examples, positions = accelerator.reduce(counts).tolist()
        loss, right = (accelerator.reduce(self.sums.clone()) / examples).tolist()
        return {"loss": loss, "accuracy": right, "tokens": tokens, "examples": examples, "positions": positions}
