"""What a run must have in common with the checkpoint that it goes on from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hf_nli.model.precision import Precision
from hf_nli.settings.recipe import Recipe

# Settings that don't change what is learned from here on. The precision is compared as it was resolved, and the number
# of steps where the schedule depends on it.
_FREE = {"per_device_eval_batch_size", "early_stopping_patience", "test_each_epoch", "gradient_checkpointing"}
_FREE |= {"mixed_precision", "num_train_epochs", "max_train_steps"}


@dataclass(frozen=True)
class RunIdentity:
    """What makes a run the one that it is.

    Attributes:
        model: The SHA-256 of the model that it starts from, configuration and weights.
        train_data: That of the encoded training pairs.
        validation_data: That of the pairs that choose the best epoch.
        recipe: The settings.
        total_steps: The steps of the run.
        warmup_steps: The first steps, whose learning rate grows.
        num_processes: How many processes share the steps.
        mixed_precision: The precision of matrix products.
    """

    model: str
    train_data: str
    validation_data: str
    recipe: Recipe
    total_steps: int
    warmup_steps: int
    num_processes: int
    mixed_precision: Precision

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> RunIdentity:
        """Takes what `dataclasses.asdict` made of an identity.

        Raises:
            TypeError: If the fields are others, as another version's may be.
        """
        return cls(**content | {"recipe": Recipe(**content["recipe"])})

    def changes(self, now: RunIdentity) -> list[str]:
        """Says what keeps a run from going on.

        Args:
            now: The identity of the run that wants to go on from a checkpoint of this one.

        Returns:
            Each change, for people; nothing if it can go on.
        """
        texts = {"model": "the model to start from", "train_data": "the training data"}
        texts["validation_data"] = "the validation data"
        changes = [f"{text} changed" for name, text in texts.items() if getattr(self, name) != getattr(now, name)]
        for name in ("num_processes", "mixed_precision"):
            changes += _change(name, getattr(self, name), getattr(now, name))
        for each in dataclasses.fields(Recipe):
            if each.name not in _FREE:
                changes += _change(each.name, getattr(self.recipe, each.name), getattr(now.recipe, each.name))
        if self.recipe.lr_scheduler_type != "constant" and self.total_steps != now.total_steps:
            changes += self._changes_of_schedule(now)
        return changes

    def _changes_of_schedule(self, now: RunIdentity) -> Iterator[str]:
        for name in ("num_train_epochs", "max_train_steps"):
            there, here = getattr(self.recipe, name), getattr(now.recipe, name)
            for change in _change(name, there, here):
                remedy = f"without --{name}" if there is None else f"with --{name} {there}"
                schedule = self.recipe.lr_scheduler_type
                yield f"{change}: the {schedule} schedule of the learning rate depends on it; go on {remedy}"


def _change(name: str, there: object, now: object) -> list[str]:
    there, now = ("none" if value is None else value for value in (there, now))
    return [f"{name} {there} there, {now} now"] if there != now else []
