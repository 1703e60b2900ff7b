"""Fine-tuning with Accelerate: step, log, evaluate, keep the best."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState
from accelerate.utils import set_seed
from datasets import Dataset
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    get_linear_schedule_with_warmup,
)

from hf_nli.encoding import encode
from hf_nli.errors import InputError
from hf_nli.evaluation import predict_logits, score
from hf_nli.files import staged, write_json
from hf_nli.labels import label_order
from hf_nli.models import input_length, load_model
from hf_nli.options import DataOptions
from hf_nli.recipe import Recipe
from hf_nli.splits import train_and_validation
from hf_nli.tokenization import save_tokenizer

logger = logging.getLogger(__name__)

LOGGING_STEPS = 50

# Saturated attention has denormal gradients, with which a CPU's matrix products take several times as long. Set here,
# because torch's threads keep what was set when they started.
torch.set_flush_denormal(True)


def train(
    model_name_or_path: str,
    dataset: str,
    output_dir: str | Path,
    recipe: Recipe | None = None,
    validation_dataset: str | None = None,
    max_train_samples: int | None = None,
    data_options: DataOptions | None = None,
) -> dict[str, Any]:
    """Fine-tunes a model and leaves the best epoch, by validation accuracy, in `output_dir`.

    Args:
        model_name_or_path: A model folder or Hub id.
        dataset: Any source that `data.load_nli` takes, for its split "train" and, by default, its "validation".
        output_dir: The model folder to write, with train_log.jsonl and all_results.json.
        recipe: The settings; the defaults if None.
        validation_dataset: Another source to validate on.
        max_train_samples: Train on the first so many rows.
        data_options: How to read the data.

    Returns:
        The results, as written to all_results.json: `train_loss` is the last epoch's mean, `eval_*` the best epoch's,
        speeds and `seconds` count training alone, `padding_fraction` is the share of padding in the training batches.

    Raises:
        InputError: If the model or the data can't be loaded, or the machine lacks the precision asked for.
    """
    recipe = recipe or Recipe()
    accelerator = _accelerator(recipe)
    set_seed(recipe.seed)
    with accelerator.main_process_first():
        model, tokenizer = load_model(model_name_or_path, new_head=True, dropout=recipe.dropout)
        max_length = input_length(model.config, tokenizer, recipe.max_seq_length)
        train_pairs, validation_pairs, dropped = train_and_validation(
            dataset, validation_dataset, data_options or DataOptions(), recipe.seed
        )
        if max_train_samples is not None and max_train_samples < 1:
            raise InputError(f"--max_train_samples is {max_train_samples}; it must be at least 1")
        if max_train_samples is not None:
            train_pairs = train_pairs.select(range(min(max_train_samples, len(train_pairs))))
        train_data, validation_data = (
            encode(pairs, tokenizer, max_length, recipe.truncation) for pairs in (train_pairs, validation_pairs)
        )
    run = Run(accelerator, model, tokenizer, train_data, validation_data, recipe, Path(output_dir))
    results = run.fit()
    results |= {"num_train_examples": len(train_data), "dropped_examples": dropped}
    if accelerator.is_main_process:
        with staged(output_dir) as folder:
            write_json(folder / "all_results.json", results)
    accelerator.wait_for_everyone()
    return results


def _accelerator(recipe: Recipe) -> Accelerator:
    # Asked first, because an Accelerator that fails on it leaves its settings to the next one.
    if recipe.mixed_precision == "fp16" and PartialState().device.type == "cpu":
        raise InputError("--mixed_precision fp16 needs a GPU; on a CPU use bf16 or no")
    return Accelerator(
        mixed_precision=recipe.mixed_precision,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        # Otherwise the order of the examples isn't a function of the seed.
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
    )


def _rank(scores: dict[str, Any]) -> tuple[float, float]:
    """Orders epochs by accuracy; of equally accurate ones the one with the lower loss is better."""
    return scores["eval_accuracy"], -scores["eval_loss"]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups parameters for AdamW: only the matrices of linear layers decay.

    Biases and norms never do. Neither do embeddings: a rare token's row would shrink at every step without being
    trained at it, and converted models hold constants there (see `lift`).

    Args:
        model: Any model.
        weight_decay: The decay of the matrices.
    """
    matrices = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    others = [parameter for parameter in model.parameters() if all(parameter is not matrix for matrix in matrices)]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@dataclass
class Meter:
    """Sums over the batches of this process; tensors stay on the device, so that no step waits for it."""

    loss: Tensor
    tokens: Tensor
    examples: int = 0
    positions: int = 0

    @classmethod
    def on(cls, device: torch.device) -> Meter:
        """An empty meter."""
        return cls(torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device))

    def add(self, loss: Tensor, attention_mask: Tensor) -> None:
        """Counts a batch: its mean loss, and its attention mask (examples, length)."""
        self.loss += loss.detach() * len(attention_mask)
        self.tokens += attention_mask.sum()
        self.examples += len(attention_mask)
        self.positions += attention_mask.numel()

    def totals(self, accelerator: Accelerator) -> dict[str, float]:
        """The sums over all processes, with the mean loss."""
        counts = torch.tensor([self.tokens.item(), self.examples, self.positions], device=accelerator.device)
        tokens, examples, positions = accelerator.reduce(counts).tolist()
        loss = accelerator.reduce(self.loss.clone()).item() / examples
        return {"loss": loss, "tokens": tokens, "examples": examples, "positions": positions}


class Run:
    """One fine-tuning run: what is prepared once, and the loop over it."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_data: Dataset,
        validation_data: Dataset,
        recipe: Recipe,
        output_dir: Path,
    ) -> None:
        self.accelerator, self.tokenizer, self.recipe, self.output_dir = accelerator, tokenizer, recipe, output_dir
        self.order = label_order(model.config)
        collator = DataCollatorWithPadding(tokenizer)
        optimizer = AdamW(parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate, fused=True)
        self.model, self.optimizer, self.train_loader, self.validation_loader = accelerator.prepare(
            model,
            optimizer,
            DataLoader(train_data, recipe.per_device_train_batch_size, shuffle=True, collate_fn=collator),
            DataLoader(validation_data, recipe.per_device_eval_batch_size, collate_fn=collator),
        )
        steps_per_epoch = math.ceil(len(self.train_loader) / recipe.gradient_accumulation_steps)
        self.total_steps = recipe.max_train_steps or recipe.num_train_epochs * steps_per_epoch
        self.epochs = math.ceil(self.total_steps / steps_per_epoch)
        # Not prepared: a prepared scheduler would step once for every process.
        self.scheduler = get_linear_schedule_with_warmup(
            optimizer, round(recipe.warmup_ratio * self.total_steps), self.total_steps
        )
        self.step = 0

    def fit(self) -> dict[str, Any]:
        """Trains, evaluating before and after every epoch, and saves the model whenever it is the best so far."""
        accelerator, main = self.accelerator, self.accelerator.is_main_process
        if main:
            with staged(self.output_dir) as folder:
                (folder / "train_log.jsonl").touch()
        self._log(epoch=0, step=0, **self._evaluate())
        best: dict[str, Any] = {}
        trained = Meter.on(accelerator.device)
        seconds = 0.0
        with tqdm(total=self.total_steps, desc="Training", disable=not main, dynamic_ncols=True) as bar:
            for epoch in range(1, self.epochs + 1):
                started = time.perf_counter()
                train_loss = self._train_epoch(epoch, trained, bar)
                seconds += time.perf_counter() - started
                scores = {"epoch": epoch, "step": self.step, "train_loss": train_loss, **self._evaluate()}
                self._log(**scores, seconds=seconds)
                if not best or _rank(scores) > _rank(best):
                    best = scores
                    self._save()
        totals = trained.totals(accelerator)
        return {
            "train_loss": train_loss,
            "eval_accuracy": best["eval_accuracy"],
            "eval_loss": best["eval_loss"],
            "best_epoch": best["epoch"],
            "epochs": self.epochs,
            "steps": self.step,
            "seconds": seconds,
            "examples_per_second": totals["examples"] / seconds,
            "tokens_per_second": totals["tokens"] / seconds,
            "padding_fraction": 1 - totals["tokens"] / totals["positions"],
            "device": torch.cuda.get_device_name() if accelerator.device.type == "cuda" else accelerator.device.type,
            "num_processes": accelerator.num_processes,
            "mixed_precision": accelerator.mixed_precision,
        }

    def _train_epoch(self, epoch: int, trained: Meter, bar: tqdm) -> float:
        """One pass over the data, or what is left of `max_train_steps`; gives the mean loss."""
        self.model.train()
        self.train_loader.set_epoch(epoch)
        meters = [trained, Meter.on(self.accelerator.device)]
        recent = Meter.on(self.accelerator.device)
        for batch in self.train_loader:
            with self.accelerator.accumulate(self.model):
                loss = self._loss(batch)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients and self.recipe.max_grad_norm:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            for meter in (*meters, recent):
                meter.add(loss, batch["attention_mask"])
            if self.accelerator.sync_gradients:
                learning_rate = self.scheduler.get_last_lr()[0]
                self.scheduler.step()
                self.step += 1
                bar.update()
                if self.step % LOGGING_STEPS == 0:
                    recent_loss = recent.totals(self.accelerator)["loss"]
                    self._log(step=self.step, loss=recent_loss, learning_rate=learning_rate)
                    bar.set_postfix(epoch=epoch, loss=f"{recent_loss:.3f}")
                    recent = Meter.on(self.accelerator.device)
                if self.step == self.total_steps:
                    break
        mean_loss = meters[1].totals(self.accelerator)["loss"]
        if not math.isfinite(mean_loss):
            raise InputError(f"the training loss is {mean_loss} in epoch {epoch}; lower --learning_rate")
        return mean_loss

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        inputs = {name: values for name, values in batch.items() if name != "labels"}
        logits = self.model(**inputs).logits[:, self.order]
        return nn.functional.cross_entropy(logits.float(), batch["labels"])

    def _evaluate(self) -> dict[str, float]:
        scores = score(*predict_logits(self.accelerator, self.model, self.validation_loader))
        return {"eval_loss": scores["loss"], "eval_accuracy": scores["accuracy"]}

    def _log(self, **record: Any) -> None:
        if not self.accelerator.is_main_process:
            return
        with (self.output_dir / "train_log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if "eval_accuracy" in record:
            figures = ", ".join(f"{name} {record[name]:.3f}" for name in record if name.endswith(("loss", "accuracy")))
            tqdm.write(f"epoch {record['epoch']}: {figures}", file=sys.stderr)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            with staged(self.output_dir) as folder:
                self.accelerator.unwrap_model(self.model).save_pretrained(folder)
                save_tokenizer(self.tokenizer, folder)
        self.accelerator.wait_for_everyone()
