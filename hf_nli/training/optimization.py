"""What a recipe makes of the parameters of a model: an optimizer, its schedule, and steps."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, get_scheduler

from hf_nli.core.labels import label_order
from hf_nli.data.batches import share
from hf_nli.data.table import TokenTable
from hf_nli.model.precision import Precision, autocast
from hf_nli.runs.state import LoopState, Sums
from hf_nli.settings.recipe import Recipe
from hf_nli.training.accelerator import prepare
from hf_nli.training.compat import checkpoint_activations
from hf_nli.training.plan import Plan, Rows

logger = logging.getLogger(__name__)


def make_optimizer(model: PreTrainedModel, recipe: Recipe) -> AdamW:
    """Makes the optimizer of a recipe; without weight decay it is Adam.

    Args:
        model: The model, on its device.
        recipe: The settings.
    """
    rate = embedding_rate(model, recipe.learning_rate, recipe.embedding_lr_multiplier)
    return AdamW(parameter_groups(model, recipe.weight_decay, rate), lr=recipe.learning_rate, fused=True)


def embedding_rate(model: PreTrainedModel, learning_rate: float, multiplier: float | None) -> float:
    """The learning rate of the embeddings.

    Args:
        model: The model.
        learning_rate: That of the rest.
        multiplier: How many times that; None for `embedding_scale`.
    """
    if multiplier is None:
        multiplier = embedding_scale(model)
        logger.info("Learning rate of the embeddings: %.1f times that of the rest", multiplier)
    return multiplier * learning_rate


def embedding_scale(model: PreTrainedModel) -> float:
    """How much larger than BERT's initial ones a model's word embeddings are, if they are much larger.

    Adam's steps are of the size of the learning rate whatever the parameters' is. BERT's word embeddings start with
    standard deviations of 0.02 and stay below 0.1, d2l's start with 1.

    Args:
        model: Any model.

    Returns:
        The factor for Adam's steps in them, 1 for embeddings like BERT's.
    """
    weight = cast(nn.Embedding, model.get_input_embeddings()).weight.detach()
    # From the median, which the constants that converted models hold there don't change (see `lift`).
    deviation = weight.abs().median().item() / 0.6745
    return deviation / 0.02 if deviation > 0.1 else 1.0


def make_schedule(optimizer: AdamW, plan: Plan) -> LRScheduler:
    """Makes the schedule of a run.

    Args:
        optimizer: What it sets the learning rates of, not prepared: a prepared schedule would step once for every
            process.
        plan: The steps of the run.
    """
    kind = plan.recipe.lr_scheduler_type
    name = {"constant": "constant_with_warmup"}.get(kind, kind)
    return get_scheduler(name, optimizer, plan.warmup_steps, plan.total_steps)


def parameter_groups(model: nn.Module, weight_decay: float, embedding_learning_rate: float) -> list[dict[str, Any]]:
    """Groups parameters for AdamW: only the matrices of linear layers decay.

    Biases and norms never do. Neither do embeddings: a rare token's row would shrink at every step without being
    trained at it, and converted models hold constants there (see `lift`). They hold constants in linear layers, too,
    which decay like the rest: by the learning rate times the decay, 2e-6 a step at our defaults. Those are trained at
    every step, so that they can make up for it.

    Args:
        model: Any model.
        weight_decay: The decay of the matrices.
        embedding_learning_rate: The learning rate of the embeddings.
    """
    matrices = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    embeddings = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    known = {id(parameter) for parameter in (*matrices, *embeddings)}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
        {"params": embeddings, "weight_decay": 0.0, "lr": embedding_learning_rate},
    ]


def make_learner(accelerator: Accelerator, precision: Precision, model: PreTrainedModel, plan: Plan) -> Learner:
    """Prepares a model for training, which wraps it.

    Args:
        accelerator: What the processes share.
        precision: The precision of matrix products.
        model: The model, not prepared yet.
        plan: The steps of the run, with its recipe.
    """
    order = label_order(model.config)
    if plan.recipe.gradient_checkpointing:
        checkpoint_activations(model)
    optimizer = make_optimizer(model, plan.recipe)
    wrapped, _ = prepare(accelerator, model, optimizer)
    scheduler = make_schedule(optimizer, plan)
    scaler = torch.amp.GradScaler(accelerator.device.type, enabled=precision == "fp16")
    return Learner(accelerator, wrapped, order, optimizer, scheduler, scaler, precision, plan.recipe)


@dataclass
class Learner:
    """A model with what changes it.

    Attributes:
        accelerator: What prepared the model.
        model: The model, as it was prepared.
        order: The model's output for each of `LABELS`.
        optimizer: The optimizer, not prepared.
        scheduler: Its schedule.
        scaler: Scales float16's gradients; disabled for other precisions.
        precision: The precision of matrix products.
        recipe: The settings.
    """

    accelerator: Accelerator
    model: nn.Module
    order: list[int]
    optimizer: AdamW
    scheduler: LRScheduler
    scaler: torch.amp.GradScaler
    precision: Precision
    recipe: Recipe

    def take_step(self, table: TokenTable, rows: Rows, state: LoopState) -> None:
        """Takes one optimizer step.

        Args:
            table: The training pairs, on the model's device.
            rows: The rows of the step (examples,), of which this process takes its share.
            state: What counts them.
        """
        accelerator, recipe = self.accelerator, self.recipe
        parts = share(rows, accelerator.process_index, accelerator.num_processes, recipe.gradient_accumulation_steps)
        # Processes' gradients are averaged; what counts is each row's share of the whole batch.
        scale = accelerator.num_processes / (len(rows) if recipe.loss_reduction == "mean" else 1)
        for index, part in enumerate(parts):
            batch = table.batch(part.rows)
            labels = batch.pop("labels")
            with nullcontext() if index == len(parts) - 1 else accelerator.no_sync(self.model):
                with autocast(accelerator.device, self.precision):
                    outputs = self.model(**batch).logits
                logits = outputs[:, self.order].float()
                loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
                self.scaler.scale(loss * (scale if part.counts else 0.0)).backward()
            if part.counts:
                right = (logits.detach().argmax(1) == labels).sum()
                lengths = table.lengths[part.rows]
                sums = Sums(examples=len(lengths), tokens=int(lengths.sum()))
                sums.positions = len(lengths) * table.width(part.rows)
                state.count(torch.stack([loss.detach(), right]), sums)
        self._update()

    def _update(self) -> None:
        if self.recipe.max_grad_norm:
            self.scaler.unscale_(self.optimizer)
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.scaler.get_scale() >= scale:  # else gradients were infinite, and the optimizer took no step
            self.scheduler.step()
