"""A recipe as `transformers.TrainingArguments`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from transformers import IntervalStrategy, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import SaveStrategy, get_last_checkpoint

from hf_nli.core.errors import InputError
from hf_nli.model.folder import refuse_other_model
from hf_nli.model.precision import resolve_precision
from hf_nli.settings.options import Forward, Truncation
from hf_nli.settings.ranges import COUNT, RATE, Range, check_number
from hf_nli.settings.recipe import Recipe
from hf_nli.training.compat import ACTIVATION_CHECKPOINTING

# What Trainer's own settings may be: parts of epochs as well, and of steps shares.
_TRAINERS_OWN = {"num_train_epochs": Range(1e-6, 10**9), "logging_steps": Range(1e-6, 10**9), "warmup_steps": RATE}
_TRAINERS_OWN |= {"max_steps": COUNT, "save_total_limit": COUNT}


def _of_recipe(name: str) -> Any:
    """A field with the default and the help of the recipe's."""
    own = next(each for each in dataclasses.fields(Recipe) if each.name == name)
    return field(default=own.default, metadata=own.metadata)


@dataclass
class NLITrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of our recipe, and with those of its settings that Trainer lacks."""

    learning_rate: float = _of_recipe("learning_rate")
    num_train_epochs: float = _of_recipe("num_train_epochs")
    per_device_train_batch_size: int = _of_recipe("per_device_train_batch_size")
    per_device_eval_batch_size: int = _of_recipe("per_device_eval_batch_size")
    weight_decay: float = _of_recipe("weight_decay")
    warmup_steps: float = field(
        default=Recipe.warmup_ratio, metadata={"help": "Steps to warm up, or less than 1 for a share of the steps."}
    )
    eval_strategy: IntervalStrategy | str = field(default="epoch", metadata={"help": "When to validate."})
    save_strategy: SaveStrategy | str = field(default="epoch", metadata={"help": "When to write a checkpoint."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints to keep, beside the best one."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Whether to end with the best checkpoint."})
    metric_for_best_model: str | None = field(default="accuracy", metadata={"help": "What makes it the best."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between two lines of the log."})
    report_to: None | str | list[str] = field(default="none", metadata={"help": "Where to report to."})
    embedding_lr_multiplier: float | None = _of_recipe("embedding_lr_multiplier")
    soften_attention: bool = _of_recipe("soften_attention")
    labels: str = _of_recipe("labels")
    loss_reduction: str = _of_recipe("loss_reduction")
    forward: Forward = _of_recipe("forward")
    group_by_length: bool = _of_recipe("group_by_length")
    dropout: float = _of_recipe("dropout")
    max_seq_length: int = _of_recipe("max_seq_length")
    truncation: Truncation = _of_recipe("truncation")
    overwrite_output_dir: bool = field(
        default=False,
        metadata={"help": "Whether to replace the model in output_dir, once there is a new one."},
    )

    def __post_init__(self) -> None:
        for name, allowed in _TRAINERS_OWN.items():
            value = getattr(self, name)
            if value is not None and (name, value) != ("max_steps", -1):
                check_number(name, value, whole=allowed is COUNT, allowed=allowed)
        # What Trainer takes, a recipe must take too, but for parts of epochs and more kinds of schedules.
        others = {"num_train_epochs", "lr_scheduler_type", "gradient_checkpointing"}
        names = {each.name for each in dataclasses.fields(self)} - others
        Recipe(**{each.name: getattr(self, each.name) for each in dataclasses.fields(Recipe) if each.name in names})
        super().__post_init__()

    @classmethod
    def from_recipe(cls, recipe: Recipe, output_dir: str | Path, **others: Any) -> NLITrainingArguments:
        """Says a recipe in Trainer's words.

        Args:
            recipe: The settings. Early stopping is a callback of Trainer's (`EarlyStoppingCallback`).
            output_dir: The folder for the model and its checkpoints.
            others: Any of Trainer's own arguments.

        Raises:
            InputError: If the recipe has a `tokens_per_batch`, which leaves Trainer without a number of steps, or a
                precision that the device lacks.
        """
        if recipe.tokens_per_batch:
            raise InputError("tokens_per_batch: Trainer needs batches of a fixed size; use the Accelerate loop")
        names = {each.name for each in dataclasses.fields(cls)}
        settings = {name: value for name, value in dataclasses.asdict(recipe).items() if name in names}
        settings |= {"warmup_steps": recipe.warmup_ratio, "max_steps": recipe.max_train_steps or -1}
        if recipe.lr_scheduler_type == "constant":
            settings["lr_scheduler_type"] = "constant_with_warmup"
        if settings.pop("gradient_checkpointing"):
            settings[ACTIVATION_CHECKPOINTING] = True
        use_cpu = others.get("use_cpu", False) or parse_flag_from_env("ACCELERATE_USE_CPU")
        device = PartialState(cpu=use_cpu).device.type
        precision = resolve_precision(recipe.mixed_precision, device)
        if precision != "no":
            settings |= {precision: True, "use_cpu": device == "cpu"}  # which it wants to be told
        return cls(str(output_dir), **settings | others)

    @property
    def folder(self) -> Path:
        """The folder for the model and its checkpoints."""
        return Path(cast(str, self.output_dir))

    def goes_on(self, checkpoint: str | Path | bool | None) -> bool:
        """Says whether a run goes on in its folder, and refuses, before the work, what it can't go on from or into.

        Args:
            checkpoint: What to go on from, as Trainer takes it: maybe another folder's.

        Raises:
            InputError: If there is no such checkpoint; or if `output_dir` can't become a model folder, or holds a
                model or checkpoints that aren't of this run, unless `overwrite_output_dir` is set.
        """
        named = None if checkpoint is None or isinstance(checkpoint, bool) else Path(checkpoint)
        if named is not None and not (named / TRAINER_STATE_NAME).is_file():
            raise InputError(f"--resume_from_checkpoint {checkpoint}: no checkpoint of Trainer's is there")
        here = checkpoint is True or named is not None and named.resolve().parent == self.folder.resolve()
        refuse_other_model(cast(str, self.output_dir), here or self.overwrite_output_dir)
        found = get_last_checkpoint(str(self.folder)) if self.folder.is_dir() else None
        if found and not here and not self.overwrite_output_dir:
            raise InputError(
                f"{found} is of an earlier run; go on from it with --resume_from_checkpoint {found}, choose another "
                "--output_dir, or replace what is there with --overwrite_output_dir"
            )
        return here
