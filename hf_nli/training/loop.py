"""One fine-tuning run: step, log, evaluate, keep the best, and go on where it was interrupted."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import signal
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError, Interrupted
from hf_nli.core.files import staged, write_json
from hf_nli.core.labels import label_order
from hf_nli.data.batches import epoch_batches, share
from hf_nli.data.table import TokenTable
from hf_nli.model.score import predict_logits, score
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.text.tokenizer import save_tokenizer
from hf_nli.training import checkpoints as checkpointing
from hf_nli.training.attention import prepare_attention
from hf_nli.training.compat import checkpoint_activations
from hf_nli.training.log import Reporter
from hf_nli.training.optimization import make_optimizer, make_schedule
from hf_nli.training.signals import SignalWatch
from hf_nli.training.sums import Meter

logger = logging.getLogger(__name__)

LOGGING_STEPS = 50
SIGNAL_STEPS = 10  # several processes look for signals that often: it takes them a message


@dataclass
class Progress:
    """Where a run is: what a checkpoint holds beside weights, optimizer and random numbers."""

    epoch: int = 1
    batch: int = 0  # of this epoch, done
    step: int = 0
    seconds: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)  # the best epoch's figures, and the last one's
    last: dict[str, Any] = field(default_factory=dict)


class Run:
    """One fine-tuning run: what is prepared once, and the loop over it."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        tables: dict[str, TokenTable],
        recipe: Recipe,
        options: RunOptions,
        output_dir: Path,
        identity: dict[str, Any],
    ) -> None:
        self.accelerator, self.tokenizer, self.recipe, self.options = accelerator, tokenizer, recipe, options
        self.output_dir, self.reporter = output_dir, Reporter(accelerator, output_dir, recipe.test_each_epoch)
        self.order = label_order(model.config)
        self.tables = {split: table.to(accelerator.device) for split, table in tables.items()}
        self.table = self.tables["train"]
        prepare_attention(model, tables["train"], recipe.soften_attention, accelerator.device)
        if recipe.gradient_checkpointing:
            checkpoint_activations(model)
        optimizer = make_optimizer(model, recipe)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.total_steps, self.epochs = self._plan()
        self.scheduler = make_schedule(optimizer, recipe, self.total_steps)
        accelerator.register_for_checkpointing(self.scheduler)
        self.identity = identity | {"num_processes": accelerator.num_processes}
        self.identity |= dataclasses.asdict(recipe) | {"mixed_precision": accelerator.mixed_precision}
        self.progress = Progress()
        self.meters = {name: Meter.on(accelerator.device) for name in ("run", "epoch", "recent")}
        self.signals = SignalWatch()

    def _plan(self) -> tuple[int, int]:
        """The number of steps, and of epochs they take."""
        limit, epochs = self.recipe.max_train_steps or math.inf, 0
        steps = 0
        while steps < limit and (self.recipe.max_train_steps or epochs < self.recipe.num_train_epochs):
            epochs += 1
            # Their number differs by epoch only where their sizes do.
            if epochs == 1 or self.recipe.tokens_per_batch:
                batches = len(self.batches(epochs))
            steps += batches
        return int(min(steps, limit)), epochs

    def batches(self, epoch: int) -> list[NDArray]:
        """The rows of each step of an epoch, over all processes; each an integer array (examples,)."""
        recipe, together = self.recipe, self.accelerator.num_processes * self.recipe.gradient_accumulation_steps
        return epoch_batches(
            self.table.lengths,
            recipe.per_device_train_batch_size * together,
            recipe.seed,
            epoch,
            recipe.group_by_length,
            recipe.tokens_per_batch and recipe.tokens_per_batch * together,
        )

    def fit(self) -> dict[str, Any]:
        """Trains, evaluating before and after every epoch, and saves the model whenever it is the best so far."""
        self._announce()
        if self.options.resume_from_checkpoint:
            self._resume(self.options.resume_from_checkpoint)
        else:
            checkpointing.refuse_leftovers(self.output_dir)
            self.reporter.start()
        progress, hidden = self.progress, not self.accelerator.is_main_process
        bar = tqdm(total=self.total_steps, initial=progress.step, desc="Training", disable=hidden, dynamic_ncols=True)
        with bar, self.signals:
            if progress.step == 0:
                self.reporter.epoch(epoch=0, step=0, **self._evaluate())
            while progress.epoch <= self.epochs and not self._has_waited_enough():
                self._end_epoch(self._train_epoch(bar))
        totals = self.meters["run"].totals(self.accelerator)
        device = self.accelerator.device
        return {
            "train_loss": progress.last["train_loss"],
            "train_accuracy": progress.last["train_accuracy"],
            "eval_accuracy": progress.best["eval_accuracy"],
            "eval_loss": progress.best["eval_loss"],
            "best_epoch": progress.best["epoch"],
            "epochs": progress.epoch - 1,
            "steps": progress.step,
            "seconds": progress.seconds,
            "examples_per_second": totals["examples"] / progress.seconds,
            "tokens_per_second": totals["tokens"] / progress.seconds,
            "padding_fraction": 1 - totals["tokens"] / totals["positions"],
            "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
            "num_processes": self.accelerator.num_processes,
            "mixed_precision": self.accelerator.mixed_precision,
        }

    def _announce(self) -> None:
        recipe, processes = self.recipe, self.accelerator.num_processes
        size, unit = recipe.per_device_train_batch_size, "pairs"
        if recipe.tokens_per_batch:
            size, unit = recipe.tokens_per_batch, "tokens"
        parts = recipe.gradient_accumulation_steps
        logger.info(
            "Effective batch: %d %s (%d a batch, %d to accumulate, processes: %d); %d steps in %d epochs",
            *(size * parts * processes, unit, size, parts, processes, self.total_steps, self.epochs),
        )
        if recipe.test_each_epoch and "test" not in self.tables:
            logger.info("No test split: test acc is the accuracy on the validation pairs")

    def _train_epoch(self, bar: tqdm) -> dict[str, float]:
        """One pass over the data, or what is left of it or of the steps; gives the totals of the whole epoch."""
        progress = self.progress
        self.model.train()
        started = time.perf_counter()
        for rows in self.batches(progress.epoch)[progress.batch :]:
            if progress.step == self.total_steps:
                break
            learning_rate = self.scheduler.get_last_lr()[0]
            self.take_step(rows)
            progress.step += 1
            progress.batch += 1
            bar.update()
            if progress.step % LOGGING_STEPS == 0:
                self._report(learning_rate, bar)
            stopping = self._stopping()
            if stopping or progress.step % self._checkpointing_steps == 0:
                progress.seconds += time.perf_counter() - started
                self._checkpoint()
                started = time.perf_counter()
            if stopping:
                raise Interrupted(
                    f"stopped by {signal.Signals(stopping).name} after step {progress.step} of {self.total_steps}; to "
                    "go on, give the same command and --resume_from_checkpoint latest",
                    stopping,
                )
        # Reading the sums waits for the device, so that the time is that of the work.
        totals = self.meters["epoch"].totals(self.accelerator)
        progress.seconds += time.perf_counter() - started
        return totals

    @property
    def _checkpointing_steps(self) -> float:
        steps = self.options.checkpointing_steps
        return math.inf if steps in (None, "epoch") else int(steps)

    def take_step(self, rows: NDArray) -> None:
        """Takes one optimizer step: on these rows (examples,), of which this process takes its share."""
        accelerator = self.accelerator
        parts = share(
            rows, accelerator.process_index, accelerator.num_processes, self.recipe.gradient_accumulation_steps
        )
        # Processes' gradients are averaged; what counts is each row's share of the whole batch.
        scale = accelerator.num_processes / (len(rows) if self.recipe.loss_reduction == "mean" else 1)
        for index, part in enumerate(parts):
            batch = self.table.batch(part.rows)
            labels = batch.pop("labels")
            with nullcontext() if index == len(parts) - 1 else accelerator.no_sync(self.model):
                logits = self.model(**batch).logits[:, self.order].float()
                loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
                accelerator.backward(loss * (scale if part.counts else 0.0))
            if part.counts:
                sums = torch.stack([loss.detach(), (logits.detach().argmax(1) == labels).sum()])
                for meter in self.meters.values():
                    meter.add(sums, self.table.lengths[part.rows], self.table.width(part.rows))
        if self.recipe.max_grad_norm:
            accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.scheduler.step()

    def _report(self, learning_rate: float, bar: tqdm) -> None:
        recent = self.meters["recent"].totals(self.accelerator)
        self.meters["recent"] = Meter.on(self.accelerator.device)
        self.reporter.record(step=self.progress.step, loss=recent["loss"], learning_rate=learning_rate)
        rate = bar.format_dict["rate"] or 0.0
        examples = recent["examples"] / LOGGING_STEPS * rate
        bar.set_postfix_str(f"loss {recent['loss']:.3f}, acc {recent['accuracy']:.3f}, {examples:,.0f} examples/s")

    def _end_epoch(self, trained: dict[str, float]) -> None:
        progress = self.progress
        if not math.isfinite(trained["loss"]):
            raise InputError(
                f"the training loss is {trained['loss']} in epoch {progress.epoch}; lower --learning_rate"
            )
        figures = {"train_loss": trained["loss"], "train_accuracy": trained["accuracy"], **self._evaluate()}
        progress.last = {"epoch": progress.epoch, "step": progress.step, **figures}
        self.reporter.epoch(**progress.last)
        if not progress.best or _rank(progress.last) > _rank(progress.best):
            progress.best = progress.last
            self._save()
        self.meters["epoch"] = Meter.on(self.accelerator.device)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        if self.options.checkpointing_steps == "epoch":
            self._checkpoint()

    def _has_waited_enough(self) -> bool:
        patience, progress = self.recipe.early_stopping_patience, self.progress
        enough = patience is not None and progress.epoch - 1 - progress.best.get("epoch", 0) >= patience
        if enough:
            logger.info("Stopped early: no better epoch since epoch %d", progress.best.get("epoch", 0))
        return enough

    def _evaluate(self) -> dict[str, float]:
        scores = {
            split: score(*predict_logits(self.accelerator, self.model, table, self.recipe.per_device_eval_batch_size))
            for split, table in self.tables.items()
            if split != "train"
        }
        figures = {"eval_loss": scores["validation"]["loss"], "eval_accuracy": scores["validation"]["accuracy"]}
        return figures | ({"test_accuracy": scores["test"]["accuracy"]} if "test" in scores else {})

    def _save(self) -> None:
        state = self.accelerator.get_state_dict(self.model)
        if self.accelerator.is_main_process:
            with staged(self.output_dir) as folder:
                self.accelerator.unwrap_model(self.model).save_pretrained(folder, state_dict=state)
                save_tokenizer(self.tokenizer, folder)
        self.accelerator.wait_for_everyone()

    def _checkpoint(self) -> None:
        with checkpointing.writing(self.accelerator, self.output_dir, self.progress.step, self.identity) as folder:
            self.accelerator.save_state(folder)
            meters = {name: meter.state() for name, meter in self.meters.items()}
            write_json(folder / self._state_file, {"progress": vars(self.progress), "meters": meters})
            self.reporter.save(folder)
        if self.accelerator.is_main_process:
            checkpointing.prune(self.output_dir, self.options.checkpoints_total_limit)

    @property
    def _state_file(self) -> str:
        return f"progress_{self.accelerator.process_index}.json"

    def _resume(self, wanted: str) -> None:
        folder = checkpointing.find(self.output_dir, wanted, self.identity)
        self.accelerator.load_state(folder)
        state = json.loads((folder / self._state_file).read_text(encoding="utf-8"))
        self.progress = Progress(**state["progress"])
        self.meters = {name: Meter.on(self.accelerator.device, meter) for name, meter in state["meters"].items()}
        self.reporter.restore(folder)
        logger.info("Going on from %s, after step %d of %d", folder, self.progress.step, self.total_steps)

    def _stopping(self) -> int:
        """The signal that a process got, or 0; processes have to agree on the step to stop at."""
        if self.accelerator.num_processes == 1:
            return self.signals.noted
        if self.progress.step % SIGNAL_STEPS:
            return 0
        noted = torch.tensor([self.signals.noted], device=self.accelerator.device)
        return int(self.accelerator.gather(noted).max())


def _rank(figures: dict[str, Any]) -> tuple[float, float]:
    """Orders epochs by accuracy; of equally accurate ones the one with the lower loss is better."""
    return figures["eval_accuracy"], -figures["eval_loss"]
