"""A model with what changes it, and steps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import DynamoBackend
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from hf_nli.core.labels import label_order, model_labels
from hf_nli.data.batches import Part, share
from hf_nli.data.table import TokenTable
from hf_nli.engine.graphs import CapturedSteps
from hf_nli.engine.vocabulary import train_rows
from hf_nli.model.precision import Precision, autocast
from hf_nli.runs.state import LoopState, Sums
from hf_nli.settings.recipe import Recipe
from hf_nli.training.accelerator import prepare
from hf_nli.training.compat import checkpoint_activations
from hf_nli.training.optimization import capturable, make_optimizer, make_schedule
from hf_nli.training.plan import Plan, Rows


def make_learner(
    accelerator: Accelerator, precision: Precision, model: PreTrainedModel, plan: Plan, trained_ids: Rows | None = None
) -> Learner:
    """Prepares a model for training, which wraps it.

    Args:
        accelerator: What the processes share.
        precision: The precision of matrix products.
        model: The model, not prepared yet.
        plan: The steps of the run, with its recipe.
        trained_ids: The token ids of the training data, sorted; None to train all word embeddings.
    """
    order, recipe = label_order(model.config), plan.recipe
    if recipe.gradient_checkpointing:
        checkpoint_activations(model)
    if trained_ids is not None:
        train_rows(model, trained_ids)
    optimizer = make_optimizer(model, recipe)
    wrapped, _ = prepare(accelerator, model, optimizer)
    captured = captures(accelerator, precision, model)
    if captured:
        capturable(optimizer, accelerator.device)
    scheduler = make_schedule(optimizer, plan)
    scaler = torch.amp.GradScaler(accelerator.device.type, enabled=precision == "fp16")
    outputs, labels = torch.tensor(order, device=accelerator.device), model_labels(model.config)
    return Learner(accelerator, wrapped, labels, outputs, optimizer, scheduler, scaler, precision, recipe, captured)


def captures(accelerator: Accelerator, precision: Precision, model: PreTrainedModel) -> bool:
    """Whether steps are captured as CUDA graphs: one process on a GPU, with nothing in a step that waits for it."""
    return (
        accelerator.device.type == "cuda"
        and accelerator.distributed_type == DistributedType.NO
        and accelerator.state.dynamo_plugin.backend == DynamoBackend.NO
        and precision != "fp16"
        and "forward" in vars(model)
    )


@dataclass
class Learner:
    """A model with what changes it.

    Attributes:
        accelerator: What prepared the model.
        model: The model, as it was prepared.
        labels: What it tells apart.
        order: The model's output for each of them, int64, on its device.
        optimizer: The optimizer, not prepared.
        scheduler: Its schedule.
        scaler: Scales float16's gradients; disabled for other precisions.
        precision: The precision of matrix products.
        recipe: The settings.
        captures: What `captures` says of it.
    """

    accelerator: Accelerator
    model: nn.Module
    labels: tuple[str, ...]
    order: Tensor
    optimizer: AdamW
    scheduler: LRScheduler
    scaler: torch.amp.GradScaler
    precision: Precision
    recipe: Recipe
    captures: bool
    _captured: CapturedSteps | None = field(default=None, init=False)

    def take_step(self, table: TokenTable, rows: Rows, state: LoopState) -> None:
        """Takes one optimizer step.

        Args:
            table: The training pairs, on the model's device; the same at each step.
            rows: The rows of the step (examples,), of which this process takes its share.
            state: What counts them.
        """
        accelerator, accumulated = self.accelerator, self.recipe.gradient_accumulation_steps
        parts = share(rows, accelerator.process_index, accelerator.num_processes, accumulated)
        if self.captures:
            figures, stepped = self._take_captured(table, parts), True
        else:
            figures = self._backward(
                [table.batch(part.rows) for part in parts], [part.counts for part in parts], len(rows)
            )
            stepped = self._update()
        if stepped:
            self.scheduler.step()
        sums = Sums()
        for part in parts:
            if part.counts:
                sums.examples += len(part.rows)
                sums.tokens += int(table.lengths[part.rows].sum())
                sums.positions += table.positions(part.rows)
        state.count(figures, sums)

    def loaded(self) -> None:
        """To be called when a checkpoint was loaded: graphs hold what was there before."""
        self._captured = None
        if self.captures:
            capturable(self.optimizer, self.accelerator.device)

    def _backward(self, batches: Sequence[dict[str, Tensor]], counts: Sequence[bool], examples: int) -> Tensor:
        """Computes gradients, and the sum of the losses and the right answers, (2,)."""
        accelerator = self.accelerator
        # Processes' gradients are averaged; what counts is each row's share of the whole batch.
        scale = accelerator.num_processes / (examples if self.recipe.loss_reduction == "mean" else 1)
        figures = []
        for index, (batch, counted) in enumerate(zip(batches, counts, strict=True), 1):
            labels = batch.pop("labels")
            with nullcontext() if index == len(batches) else accelerator.no_sync(self.model):
                with autocast(accelerator.device, self.precision):
                    outputs = self.model(**batch).logits
                logits = outputs.index_select(1, self.order).float()
                loss = nn.functional.cross_entropy(logits, labels, reduction="sum") * counted
                self.scaler.scale(loss * scale).backward()
            right = (logits.detach().argmax(1) == labels).sum() * counted
            figures.append(torch.stack([loss.detach(), right]))
        return torch.stack(figures).sum(0)

    def _update(self) -> bool:
        """Takes the optimizer's step; False if gradients were infinite, for which it takes none."""
        if self.recipe.max_grad_norm:
            self.scaler.unscale_(self.optimizer)
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return self.scaler.get_scale() >= scale

    def _take_captured(self, table: TokenTable, parts: Sequence[Part]) -> Tensor:
        def compute(rows: Sequence[Tensor], widths: Sequence[int]) -> Tensor:
            batches = [table.padded(each, width) for each, width in zip(rows, widths, strict=True)]
            figures = self._backward(batches, [True] * len(batches), sum(map(len, rows)))
            self._update()
            return figures

        self._captured = self._captured or CapturedSteps(compute)
        rows = [part.rows for part in parts if part.counts]
        return self._captured([torch.from_numpy(each) for each in rows], [table.width(each) for each in rows])
