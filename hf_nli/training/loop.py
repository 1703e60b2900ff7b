"""The loop of a run: take steps, log, score, keep the best model, and write checkpoints."""

from __future__ import annotations

import logging
import math
import signal
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from hf_nli.core.errors import InputError, Interrupted
from hf_nli.core.processes import SignalWatch
from hf_nli.data.table import TokenTable
from hf_nli.model.score import predict_logits, score
from hf_nli.model.weights import broken_weight
from hf_nli.runs import checkpoints
from hf_nli.runs.identity import RunIdentity
from hf_nli.runs.log import RunLog
from hf_nli.runs.output import RunFolder, keep_best, restore_best, save_model
from hf_nli.runs.state import EpochScores, LoopState, Sums
from hf_nli.settings.options import RunOptions
from hf_nli.training.learner import Learner
from hf_nli.training.plan import Plan

logger = logging.getLogger(__name__)

_REMEDY = "lower --learning_rate"
SIGNAL_STEPS = 10  # several processes look for signals that often: it takes them a message


@dataclass
class Run:
    """A run that is ready to go.

    Attributes:
        learner: The model, and what changes it.
        tokenizer: The model's tokenizer.
        tables: The pairs "train", "validation" and maybe "test", on the model's device.
        plan: The steps.
        options: Checkpoints and reports.
        identity: What a run that goes on from a checkpoint of this one has to have in common with it.
        folder: Where the run keeps what.
        keys: The keys of the model's weights, see `output.key_groups`.
        log: Where to tell what happens.
        state: Where the run is.
    """

    learner: Learner
    tokenizer: PreTrainedTokenizerBase
    tables: dict[str, TokenTable]
    plan: Plan
    options: RunOptions
    identity: RunIdentity
    folder: RunFolder
    keys: list[set[str]]
    log: RunLog
    state: LoopState

    @property
    def accelerator(self) -> Accelerator:
        """What the processes of the run share."""
        return self.learner.accelerator

    def fit(self) -> None:
        """Trains epoch by epoch, and saves the model whenever it is the best so far.

        Raises:
            InputError: If a loss, a weight or a logit became NaN or infinite.
            Interrupted: If the process got SIGTERM, SIGINT or SIGHUP; a checkpoint was written.
        """
        state, plan = self.state, self.plan
        with SignalWatch() as signals, self._progress_bar() as bar:
            if state.step == 0 and self.options.eval_on_start:
                self.log.epoch(self._scores(epoch=0))
            while self._goes_on():
                self.learner.model.train()
                state.start_clock()
                for rows in plan.batches(state.epoch)[state.batch :][: plan.total_steps - state.step]:
                    logged = (state.step + 1) % self.options.logging_steps == 0
                    learning_rate = float(self.learner.scheduler.get_last_lr()[0]) if logged else 0.0
                    self.learner.take_step(self.tables["train"], rows, state)
                    state.step, state.batch = state.step + 1, state.batch + 1
                    bar.update()
                    if logged:
                        self._log_loss(learning_rate, bar)
                    stopped_by = self._signal(signals)
                    if stopped_by or state.step % self._checkpointing_steps == 0:
                        self._checkpoint()
                    if stopped_by:
                        raise self._interrupted(stopped_by)
                state.stop_clock()
                self._end_epoch()
                if self.options.checkpointing_steps == "epoch":
                    self._checkpoint()

    def announce(self) -> None:
        """Logs how much there is to do."""
        recipe, processes = self.plan.recipe, self.accelerator.num_processes
        if recipe.mixed_precision == "auto":
            logger.info("mixed_precision auto: %s on %s", self.learner.precision, self.accelerator.device.type)
        size, unit = recipe.per_device_train_batch_size, "pairs"
        if recipe.tokens_per_batch:
            size, unit = recipe.tokens_per_batch, "tokens"
        parts = recipe.gradient_accumulation_steps
        logger.info(
            "Effective batch: %d %s (%d a batch, %d to accumulate, processes: %d); %d steps in %d epochs",
            *(size * parts * processes, unit, size, parts, processes, self.plan.total_steps, self.plan.epochs),
        )
        if recipe.test_each_epoch and "test" not in self.tables:
            logger.info("No test split: test acc is the accuracy on the validation pairs")

    def go_on_from(self, checkpoint: Path) -> None:
        """Makes everything what it was at a checkpoint of this run."""
        self.accelerator.load_state(checkpoint)
        self.learner.loaded()
        if self.accelerator.is_main_process:
            restore_best(checkpoint, self.folder.model)
        self.log.restore(checkpoint)
        logger.info("Going on from %s, after step %d of %d", checkpoint, self.state.step, self.plan.total_steps)

    def _goes_on(self) -> bool:
        state, plan = self.state, self.plan
        if state.out_of_patience(plan.recipe.early_stopping_patience):
            logger.info("Stopped early: no better epoch than epoch %d", state.best.epoch if state.best else 0)
            return False
        return state.step < plan.total_steps or state.batch > 0  # a checkpoint may be of an epoch's last step

    def _progress_bar(self) -> tqdm:
        hidden = not self.accelerator.is_main_process
        steps = self.plan.total_steps
        return tqdm(total=steps, initial=self.state.step, desc="Training", disable=hidden, dynamic_ncols=True)

    def _log_loss(self, learning_rate: float, bar: tqdm) -> None:
        self.state.add_up()
        recent, self.state.recent = self.state.recent.over_processes(), Sums()
        self._refuse_broken(recent)
        self.log.record(self.state.step, loss=recent.mean_loss, learning_rate=learning_rate)
        speed = recent.examples / self.options.logging_steps * (bar.format_dict["rate"] or 0.0)
        bar.set_postfix_str(f"loss {recent.mean_loss:.3f}, acc {recent.accuracy:.3f}, {speed:,.0f} examples/s")

    def _end_epoch(self) -> None:
        trained = self.state.this_epoch.over_processes()
        self._refuse_broken(trained)
        self._refuse_broken_weights()
        scores = self._scores(self.state.epoch, trained)
        self.log.epoch(scores)
        if self.state.end_epoch(scores):
            save_model(self.accelerator, self.learner.model, self.tokenizer, self.folder.model, self.keys)

    def _refuse_broken(self, sums: Sums) -> None:
        """Raises `InputError`, on all processes, if a loss wasn't finite."""
        if sums.broken_at:
            remedy = f"; {_REMEDY}" if sums.broken_at > 1 else ", before the weights have changed"
            raise InputError(f"the training loss is NaN or infinite at step {sums.broken_at}{remedy}")

    def _refuse_broken_weights(self) -> None:
        """Raises `InputError`, on all processes, if a weight isn't finite, as the next loss alone would tell."""
        weights = gather_object([broken_weight(self.learner.model)])
        if name := next(filter(None, weights), None):
            raise InputError(f"the weights are NaN or infinite after step {self.state.step} ({name}); {_REMEDY}")

    def _scores(self, epoch: int, trained: Sums | None = None) -> EpochScores:
        size, precision = self.plan.recipe.per_device_eval_batch_size, self.learner.precision
        labels, step = self.learner.labels, self.state.step

        def words(split: str) -> tuple[str, str]:
            return (f"{split} pairs after step {step}", _REMEDY) if step else (f"{split} pairs before training", "")

        logits = {
            split: predict_logits(self.accelerator, self.learner.model, table, size, precision, *words(split))
            for split, table in self.tables.items()
            if split != "train"
        }
        scores = {split: score(*each, labels) for split, each in logits.items()}
        return EpochScores(
            epoch=epoch,
            step=self.state.step,
            train_loss=trained.mean_loss if trained else None,
            train_accuracy=trained.accuracy if trained else None,
            eval_loss=scores["validation"].loss,
            eval_accuracy=scores["validation"].accuracy,
            test_accuracy=scores["test"].accuracy if "test" in scores else None,
        )

    @property
    def _checkpointing_steps(self) -> float:
        steps = self.options.checkpointing_steps
        return math.inf if steps in (None, "epoch") else int(steps)

    def _checkpoint(self) -> None:
        self.state.stop_clock()
        with checkpoints.writing(
            self.accelerator, self.folder.checkpoints, self.state.step, self.identity
        ) as checkpoint:
            self.accelerator.save_state(checkpoint)
            self.log.save(checkpoint)
            if self.state.best and self.accelerator.is_main_process:
                keep_best(self.folder.model, checkpoint)
        if self.accelerator.is_main_process:
            checkpoints.prune(self.folder.checkpoints, self.options.checkpoints_total_limit)
        self.state.start_clock()

    def _signal(self, signals: SignalWatch) -> int:
        """The signal that a process got, or 0; processes have to agree on the step to stop at."""
        if self.accelerator.num_processes == 1:
            return signals.noted
        if self.state.step % SIGNAL_STEPS:
            return 0
        noted = torch.tensor([signals.noted], device=self.accelerator.device)
        return int(self.accelerator.gather(noted).max())

    def _interrupted(self, number: int) -> Interrupted:
        return Interrupted(
            f"stopped by {signal.Signals(number).name} after step {self.state.step} of {self.plan.total_steps}; to "
            "go on, give the same command and --resume_from_checkpoint latest",
            number,
        )
