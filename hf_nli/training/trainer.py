"""The same recipe as a `transformers.Trainer`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS, label_order
from hf_nli.data.batches import epoch_batches, share
from hf_nli.data.table import TokenTable
from hf_nli.model.load import input_length, load_model
from hf_nli.model.metrics import NLIMetric
from hf_nli.settings.recipe import Recipe
from hf_nli.text.encoding import encode
from hf_nli.text.tokenizer import save_tokenizer
from hf_nli.training.accelerator import fast_precision
from hf_nli.training.attention import prepare_attention
from hf_nli.training.optimization import embedding_rate, parameter_groups


def _recipes(name: str) -> Any:
    """A field of the recipe, as it is there."""
    own = Recipe.__dataclass_fields__[name]
    return field(default=own.default, metadata=own.metadata)


@dataclass
class NLITrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of our recipe, and with those of its settings that Trainer lacks."""

    learning_rate: float = _recipes("learning_rate")
    num_train_epochs: float = _recipes("num_train_epochs")
    per_device_train_batch_size: int = _recipes("per_device_train_batch_size")
    per_device_eval_batch_size: int = _recipes("per_device_eval_batch_size")
    weight_decay: float = _recipes("weight_decay")
    warmup_steps: float = field(
        default=Recipe.warmup_ratio, metadata={"help": "Steps to warm up, or less than 1 for a share of the steps."}
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to validate."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to write a checkpoint."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints to keep, beside the best one."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Whether to end with the best checkpoint."})
    metric_for_best_model: str | None = field(default="accuracy", metadata={"help": "What makes it the best."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between two lines of the log."})
    report_to: str | None = field(default="none", metadata={"help": "Where to report to."})
    embedding_lr_multiplier: float | None = _recipes("embedding_lr_multiplier")
    soften_attention: bool = _recipes("soften_attention")
    loss_reduction: str = _recipes("loss_reduction")
    group_by_length: bool = _recipes("group_by_length")
    dropout: float = _recipes("dropout")
    max_seq_length: int = _recipes("max_seq_length")
    truncation: str = _recipes("truncation")

    @classmethod
    def from_recipe(cls, recipe: Recipe, output_dir: str | Path, **others: Any) -> NLITrainingArguments:
        """Says a recipe in Trainer's words.

        Args:
            recipe: The settings. Early stopping is a callback of Trainer's (`EarlyStoppingCallback`).
            output_dir: The folder for the model and its checkpoints.
            others: Any of Trainer's own arguments.

        Raises:
            InputError: If the recipe has a `tokens_per_batch`, which leaves Trainer without a number of steps.
        """
        if recipe.tokens_per_batch:
            raise InputError("tokens_per_batch: Trainer needs batches of a fixed size; use the Accelerate loop")
        settings = {name: value for name, value in vars(recipe).items() if name in cls.__dataclass_fields__}
        if recipe.lr_scheduler_type == "constant":
            settings["lr_scheduler_type"] = "constant_with_warmup"
        settings |= {"warmup_steps": recipe.warmup_ratio, "max_steps": recipe.max_train_steps or -1}
        if settings.pop("gradient_checkpointing"):
            # Transformers is about to rename it.
            names = ("activation_checkpointing", "gradient_checkpointing")
            settings[next(name for name in names if name in cls.__dataclass_fields__)] = True
        arguments = cls(str(output_dir), **settings | others)
        precision = recipe.mixed_precision
        if precision == "auto":
            precision = fast_precision(arguments.device.type)
        if precision == "no":
            return arguments
        settings |= {precision: True, "use_cpu": arguments.device.type == "cpu"}  # which it wants to be told
        return cls(str(output_dir), **settings | others)


def make_trainer(
    model_name_or_path: str,
    train_pairs: Dataset,
    validation_pairs: Dataset,
    arguments: NLITrainingArguments,
    **options: Any,
) -> NLITrainer:
    """Builds a `transformers.Trainer` that takes the steps of the Accelerate loop.

    Args:
        model_name_or_path: A model folder or Hub id.
        train_pairs: Rows of premise, hypothesis, label, as `data.load_nli` gives them.
        validation_pairs: Such rows.
        arguments: The settings; `NLITrainingArguments.from_recipe` makes them of a recipe.
        options: Anything else that Trainer takes (callbacks, …).

    Raises:
        InputError: If the model can't be loaded.
    """
    set_seed(arguments.seed)
    model, tokenizer = load_model(model_name_or_path, new_head=True, dropout=arguments.dropout, seed=arguments.seed)
    order = label_order(model.config)
    length = input_length(model.config, tokenizer, arguments.max_seq_length)

    def prepare(pairs: Dataset) -> Dataset:
        encoded = encode(pairs, tokenizer, length, arguments.truncation)
        if order == sorted(order):
            return encoded
        return encoded.map(lambda label: {"labels": order[label]}, input_columns="labels")

    train_data = prepare(train_pairs)
    table = TokenTable.open(train_data, tokenizer)

    def make_model() -> PreTrainedModel:
        model, _ = load_model(model_name_or_path, new_head=True, dropout=arguments.dropout, seed=arguments.seed)
        prepare_attention(model, table, arguments.soften_attention, arguments.device)
        return model

    return NLITrainer(
        model_init=make_model,
        args=arguments,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=train_data,
        eval_dataset=prepare(validation_pairs),
        processing_class=tokenizer,
        compute_loss_func=_loss(arguments.loss_reduction),
        compute_metrics=_metrics(order),
        **options,
    )


class NLITrainer(Trainer):
    """Trainer with the batches and the parameter groups of the Accelerate loop."""

    args: NLITrainingArguments

    def get_train_dataloader(self) -> DataLoader:
        """Returns the training batches, in an order that depends on the seed and the epoch alone."""
        lengths = TokenTable.open(self.train_dataset, self.processing_class).lengths
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=StepSampler(lengths, self.args),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Makes the optimizer, with the embeddings' own learning rate."""
        if self.optimizer is None:
            model = model or self.model
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, model)
            rate = embedding_rate(model, self.args.learning_rate, self.args.embedding_lr_multiplier)
            self.optimizer = kind(parameter_groups(model, self.args.weight_decay, rate), **options)
        return self.optimizer

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        super()._save(output_dir, state_dict)
        save_tokenizer(self.processing_class, Path(output_dir or self.args.output_dir))


class StepSampler(Sampler[list[int]]):
    """The batches of an epoch: for each optimizer step, the parts of every process one after the other.

    That is how Accelerate deals batches out to processes.
    """

    def __init__(self, lengths: NDArray, arguments: NLITrainingArguments) -> None:
        self.lengths, self.arguments, self.epoch = lengths, arguments, 0
        self.processes, self.parts = arguments.world_size, arguments.gradient_accumulation_steps
        self.step_size = arguments.per_device_train_batch_size * self.processes * self.parts

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes, from 0; Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.step_size) * self.processes * self.parts

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self._steps():
            shares = [share(rows, process, self.processes, self.parts) for process in range(self.processes)]
            for parts in zip(*shares, strict=True):
                yield from (part.tolist() for part, _ in parts)

    def _steps(self) -> list[NDArray]:
        arguments = self.arguments
        return epoch_batches(self.lengths, self.step_size, arguments.seed, self.epoch + 1, arguments.group_by_length)


def _loss(reduction: str) -> Callable[..., Tensor]:
    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        total = nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="sum")
        return total if reduction == "sum" else total / (num_items_in_batch or len(labels))

    return loss


def _metrics(order: list[int]) -> Callable[[EvalPrediction], dict[str, float]]:
    def metrics(prediction: EvalPrediction) -> dict[str, float]:
        predictions = prediction.predictions[:, order].argmax(-1)
        references = [order.index(label) for label in prediction.label_ids]
        scores = NLIMetric().compute(predictions=predictions, references=references)
        return {"accuracy": scores["accuracy"]} | {f"f1_{label}": scores["per_label"][label]["f1"] for label in LABELS}

    return metrics
