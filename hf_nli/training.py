"""Fine-tuning with Accelerate: step, log, evaluate, keep the best, and go on where a run was interrupted."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import accelerate.utils
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env, set_seed
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_scheduler

from hf_nli import checkpointing
from hf_nli.batching import TokenTable, epoch_batches, share
from hf_nli.encoding import encode
from hf_nli.errors import InputError, Interrupted
from hf_nli.evaluation import predict_logits, score
from hf_nli.files import staged, write_json
from hf_nli.labels import label_order
from hf_nli.models import input_length, load_model
from hf_nli.options import DataOptions, RunOptions
from hf_nli.recipe import Recipe
from hf_nli.reporting import Reporter
from hf_nli.splits import train_and_validation
from hf_nli.tokenization import save_tokenizer

logger = logging.getLogger(__name__)

LOGGING_STEPS = 50
SIGNAL_STEPS = 10  # several processes look for signals that often: it takes them a message

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
    run_options: RunOptions | None = None,
) -> dict[str, Any]:
    """Fine-tunes a model and leaves the best epoch, by validation accuracy, in `output_dir`.

    Args:
        model_name_or_path: A model folder or Hub id.
        dataset: Any source that `data.load_nli` takes, for its split "train" and, by default, its "validation".
        output_dir: The model folder to write, with train_log.jsonl, training_curves.png and all_results.json.
        recipe: The settings; the defaults if None.
        validation_dataset: Another source to validate on.
        max_train_samples: Train on the first so many rows.
        data_options: How to read the data.
        run_options: Checkpoints and reports.

    Returns:
        The results, as written to all_results.json: `train_loss` is the last epoch's mean, `eval_*` the best epoch's,
        speeds and `seconds` count training alone, `padding_fraction` is the share of padding in the training batches.

    Raises:
        InputError: If the model, the data or the checkpoint can't be loaded, or the machine lacks the precision
            asked for.
        Interrupted: If the process got SIGTERM or SIGINT; a checkpoint was written.
    """
    recipe, run_options = recipe or Recipe(), run_options or RunOptions()
    accelerator = _accelerator(recipe, run_options, Path(output_dir))
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
        tables = [TokenTable.open(data, tokenizer) for data in (train_data, validation_data)]
    identity = {"train_data": train_data._fingerprint, "validation_data": validation_data._fingerprint}
    run = Run(accelerator, model, tokenizer, *tables, recipe, run_options, Path(output_dir), identity)
    results = run.fit() | {"num_train_examples": len(train_data), "dropped_examples": dropped}
    if accelerator.is_main_process:
        with staged(output_dir) as folder:
            write_json(folder / "all_results.json", results)
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.wait_for_everyone()
    return results


def _accelerator(recipe: Recipe, options: RunOptions, output_dir: Path) -> Accelerator:
    # As Accelerator will do it, which needs to be told the precision.
    device = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).device.type
    precision = recipe.mixed_precision
    if precision == "auto":
        precision = _fast_precision(device)
        logger.info("mixed_precision auto: %s on %s", precision, device)
    # Asked first, because an Accelerator that fails on it leaves its settings to the next one.
    if precision == "fp16" and device == "cpu":
        raise InputError("--mixed_precision fp16 needs a GPU; on a CPU use bf16 or no")
    tracker = None if options.report_to == "none" else options.report_to
    if tracker and not getattr(accelerate.utils, f"is_{tracker}_available")():
        raise InputError(f"--report_to {tracker}: it is not installed; pip install {tracker}")
    accelerator = Accelerator(mixed_precision=precision, log_with=tracker, project_dir=output_dir)
    if tracker:
        accelerator.init_trackers("hf_nli", config=dataclasses.asdict(recipe))
    return accelerator


def _fast_precision(device: str) -> str:
    """bf16 where matrix products are made for it, and fp16 on older GPUs."""
    if device == "cuda":
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"
    if device == "cpu":
        return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "no"
    return "no"


def parameter_groups(
    model: nn.Module, weight_decay: float, embedding_learning_rate: float | None = None
) -> list[dict[str, Any]]:
    """Groups parameters for AdamW: only the matrices of linear layers decay.

    Biases and norms never do. Neither do embeddings: a rare token's row would shrink at every step without being
    trained at it, and converted models hold constants there (see `lift`).

    Args:
        model: Any model.
        weight_decay: The decay of the matrices.
        embedding_learning_rate: The learning rate of the embeddings, if it is another one.
    """
    matrices = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    embeddings = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    known = {id(parameter) for parameter in (*matrices, *embeddings)}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    own = {} if embedding_learning_rate is None else {"lr": embedding_learning_rate}
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
        {"params": embeddings, "weight_decay": 0.0, **own},
    ]


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

    def add(self, sums: Tensor, lengths: NDArray) -> None:
        """Counts a batch: the sum of its losses and its right answers (2,), and the tokens of its rows (examples,)."""
        self.sums += sums
        self.tokens += int(lengths.sum())
        self.examples += len(lengths)
        self.positions += len(lengths) * int(lengths.max())

    def totals(self, accelerator: Accelerator) -> dict[str, float]:
        """The sums over all processes, with the mean loss and the accuracy."""
        counts = torch.tensor([self.tokens, self.examples, self.positions], device=accelerator.device)
        tokens, examples, positions = accelerator.reduce(counts).tolist()
        loss, right = (accelerator.reduce(self.sums.clone()) / examples).tolist()
        return {"loss": loss, "accuracy": right, "tokens": tokens, "examples": examples, "positions": positions}


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
        train_table: TokenTable,
        validation_table: TokenTable,
        recipe: Recipe,
        options: RunOptions,
        output_dir: Path,
        identity: dict[str, Any],
    ) -> None:
        self.accelerator, self.tokenizer, self.recipe, self.options = accelerator, tokenizer, recipe, options
        self.output_dir, self.reporter = output_dir, Reporter(accelerator, output_dir)
        self.order = label_order(model.config)
        self.table, self.validation = (table.to(accelerator.device) for table in (train_table, validation_table))
        if accelerator.device.type == "cpu":
            # Its kernel for attention in one piece is slow backwards: with it a step takes twice as long.
            model.set_attn_implementation("eager")
        groups = parameter_groups(model, recipe.weight_decay, recipe.embedding_learning_rate)
        optimizer = AdamW(groups, lr=recipe.learning_rate, fused=True)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.total_steps, self.epochs = self._plan()
        schedule = {"constant": "constant_with_warmup"}.get(recipe.lr_scheduler_type, recipe.lr_scheduler_type)
        warmup = round(recipe.warmup_ratio * self.total_steps)
        # Not prepared: a prepared scheduler would step once for every process.
        self.scheduler = get_scheduler(schedule, optimizer, warmup, self.total_steps)
        accelerator.register_for_checkpointing(self.scheduler)
        self.identity = identity | {"num_processes": accelerator.num_processes}
        self.identity |= dataclasses.asdict(recipe) | {"mixed_precision": accelerator.mixed_precision}
        self.progress = Progress()
        self.meters = {name: Meter.on(accelerator.device) for name in ("run", "epoch", "recent")}
        self.signal: int | None = None

    def _plan(self) -> tuple[int, int]:
        """The number of steps, and of epochs they take."""
        limit, epochs = self.recipe.max_train_steps or math.inf, 0
        steps = 0
        while steps < limit and (self.recipe.max_train_steps or epochs < self.recipe.num_train_epochs):
            epochs += 1
            # Their number differs by epoch only where their sizes do.
            if epochs == 1 or self.recipe.tokens_per_batch:
                batches = len(self._batches(epochs))
            steps += batches
        return int(min(steps, limit)), epochs

    def _batches(self, epoch: int) -> list[NDArray]:
        """The rows of each step of an epoch, over all processes."""
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
        if self.options.resume_from_checkpoint:
            self._resume(self.options.resume_from_checkpoint)
        else:
            checkpointing.refuse_leftovers(self.output_dir)
            self.reporter.start()
        progress, hidden = self.progress, not self.accelerator.is_main_process
        bar = tqdm(total=self.total_steps, initial=progress.step, desc="Training", disable=hidden, dynamic_ncols=True)
        with bar, self._watching_signals():
            if progress.step == 0:
                self.reporter.epoch(epoch=0, step=0, **self._evaluate())
            while progress.epoch <= self.epochs and not self._has_waited_enough():
                self._train_epoch(bar)
                self._end_epoch()
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

    def _train_epoch(self, bar: tqdm) -> None:
        """One pass over the data, or what is left of it or of the steps."""
        progress = self.progress
        self.model.train()
        started = time.perf_counter()
        for rows in self._batches(progress.epoch)[progress.batch :]:
            if progress.step == self.total_steps:
                break
            learning_rate = self.scheduler.get_last_lr()[0]
            self._step(rows)
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
        self.last_epoch = self.meters["epoch"].totals(self.accelerator)
        progress.seconds += time.perf_counter() - started

    @property
    def _checkpointing_steps(self) -> float:
        steps = self.options.checkpointing_steps
        return math.inf if steps in (None, "epoch") else int(steps)

    def _step(self, rows: NDArray) -> None:
        """One optimizer step: on these rows, over all processes."""
        accelerator = self.accelerator
        parts = share(
            rows, accelerator.process_index, accelerator.num_processes, self.recipe.gradient_accumulation_steps
        )
        # Processes' gradients are averaged; what counts is each row's share of the whole batch.
        scale = accelerator.num_processes / (len(rows) if self.recipe.loss_reduction == "mean" else 1)
        for index, (part, counts) in enumerate(parts):
            batch = self.table.batch(part)
            labels = batch.pop("labels")
            with nullcontext() if index == len(parts) - 1 else accelerator.no_sync(self.model):
                logits = self.model(**batch).logits[:, self.order].float()
                loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
                accelerator.backward(loss * (scale if counts else 0.0))
            if counts:
                sums = torch.stack([loss.detach(), (logits.detach().argmax(1) == labels).sum()])
                for meter in self.meters.values():
                    meter.add(sums, self.table.lengths[part])
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

    def _end_epoch(self) -> None:
        progress, trained = self.progress, self.last_epoch
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
        batch_size = self.recipe.per_device_eval_batch_size
        scores = score(*predict_logits(self.accelerator, self.model, self.validation, batch_size))
        return {"eval_loss": scores["loss"], "eval_accuracy": scores["accuracy"]}

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

    @contextmanager
    def _watching_signals(self) -> Iterator[None]:
        """Notes SIGTERM and SIGINT instead of dying of them; of the second one the process does."""

        def note(number: int, _: object) -> None:
            self.signal = number
            signal.signal(number, previous[number])

        if threading.current_thread() is not threading.main_thread():  # others can't
            yield
            return
        previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stopping(self) -> int:
        """The signal that a process got, or 0; processes have to agree on the step to stop at."""
        if self.accelerator.num_processes == 1:
            return self.signal or 0
        if self.progress.step % SIGNAL_STEPS:
            return 0
        noted = torch.tensor([self.signal or 0], device=self.accelerator.device)
        return int(self.accelerator.gather(noted).max())


def _rank(figures: dict[str, Any]) -> tuple[float, float]:
    """Orders epochs by accuracy; of equally accurate ones the one with the lower loss is better."""
    return figures["eval_accuracy"], -figures["eval_loss"]
