"""Fine-tuning with Accelerate: from a model, a data set and a recipe to a model folder."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import set_seed
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.card.card import card_matters_less, write_card
from hf_nli.core.environment import versions
from hf_nli.core.files import staged
from hf_nli.core.labels import LABEL_SETS
from hf_nli.core.processes import in_turn, on_main
from hf_nli.data.splits import RunPairs, RunSources
from hf_nli.data.table import TokenTable
from hf_nli.engine.attach import fast_forward, flat_batches
from hf_nli.model.evaluations import CalibrationReport
from hf_nli.model.folder import CALIBRATION, CARD, RESULTS, TRAINING, weights_sha256
from hf_nli.model.load import input_length, load_model
from hf_nli.model.precision import Precision
from hf_nli.runs.checkpoints import check_run
from hf_nli.runs.identity import RunIdentity
from hf_nli.runs.log import RunLog
from hf_nli.runs.output import RunFolder, begun, copy_model, key_groups, put_in_place, refuse_unseen, run_folder
from hf_nli.runs.report import BaseModel, TrainingReport, TrainingResults, changed_arguments
from hf_nli.runs.state import LoopState, Sums
from hf_nli.settings.options import DataOptions, RunOptions
from hf_nli.settings.ranges import check_number
from hf_nli.settings.recipe import Recipe
from hf_nli.sources.named import name_source
from hf_nli.text.encoding import encode
from hf_nli.training.accelerator import choose_precision, make_accelerator, start_tracker
from hf_nli.training.attention import EXAMPLES, fast_attention, flushed_denormals, soften_attention
from hf_nli.training.calibration import calibrate_best
from hf_nli.training.learner import make_learner
from hf_nli.training.loop import Run
from hf_nli.training.plan import make_plan

logger = logging.getLogger(__name__)


def train(
    model_name_or_path: str,
    dataset: str | Sequence[str],
    output_dir: str | Path,
    recipe: Recipe | None = None,
    validation_dataset: str | None = None,
    max_train_samples: int | None = None,
    data_options: DataOptions | None = None,
    run_options: RunOptions | None = None,
    revision: str | None = None,
    overwrite_output_dir: bool = False,
    license: str | None = None,
    mixing_weights: Sequence[float] | None = None,
    calibrate: bool = False,
) -> TrainingResults:
    """Fine-tunes a model and leaves the best epoch, by validation accuracy, in `output_dir`.

    Args:
        model_name_or_path: A model folder or Hub id.
        dataset: Any source that `data.load_nli` takes, for its split "train" and, by default, its "validation"; or
            several, which are mixed. SOURCE:SPLIT names another split to train on, SOURCE:NAME,NAME,NAME what label
            ids mean there.
        output_dir: The model folder to write, with train_log.jsonl, training_curves.png, training.json and
            all_results.json.
        recipe: The settings; the defaults if None.
        validation_dataset: Another source to validate on.
        max_train_samples: Train on the first so many rows of each source.
        data_options: How to read the data.
        run_options: Checkpoints and reports.
        revision: The branch, tag or commit of a model on the Hub.
        overwrite_output_dir: Whether a model in `output_dir` may be replaced, as a whole when the new one is complete.
        license: The license of the weights, for the card; by default the one that the base model's card names.
        mixing_weights: The proportions of the sources in each epoch, a positive number for each, see
            `data.mixing.mix`; by default all rows of all of them are trained on.
        calibrate: Whether to divide the model's logits by a temperature at the end, fitted on a half of the validation
            pairs, as `calibrate` does.

    Returns:
        The results, as written to all_results.json.

    Raises:
        InputError: If the model, the data or the checkpoint can't be loaded, the machine lacks the precision asked
            for, or `output_dir` holds a model that may not be replaced. Of several processes, all raise it.
        Interrupted: If the process got SIGTERM, SIGINT or SIGHUP; a checkpoint was written.
    """
    recipe, run_options, data_options = recipe or Recipe(), run_options or RunOptions(), data_options or DataOptions()
    if max_train_samples is not None:
        check_number("max_train_samples", max_train_samples)
    packages, labels = versions(), LABEL_SETS[recipe.labels]
    with ExitStack() as stack, flushed_denormals():
        # What is cheap to check comes first: a run is refused before data are read, or anything is changed.
        accelerator = make_accelerator(Path(output_dir), run_options.report_to)
        precision = choose_precision(accelerator, recipe.mixed_precision)
        resume = run_options.resume_from_checkpoint
        folder = on_main(lambda: stack.enter_context(run_folder(output_dir, resume, overwrite_output_dir)))
        inputs = in_turn(
            lambda: _load(
                model_name_or_path,
                lambda: RunSources(dataset, validation_dataset, data_options, mixing_weights, labels),
                recipe,
                max_train_samples,
                revision,
            )
        )
        on_main(lambda: stack.enter_context(begun(folder)))
        factors = _soften(inputs, recipe)
        # FSDP's parameters are whole, and layers that are compiled one by one are called, by the stock one alone.
        by_layers = accelerator.state.dynamo_plugin.use_regional_compilation
        stock = by_layers or accelerator.distributed_type == DistributedType.FSDP
        forward = "stock" if stock else recipe.forward
        with fast_attention(inputs.model, accelerator.device), fast_forward(inputs.model, forward) as fast:
            run = _prepare(accelerator, precision, inputs, recipe, run_options, folder, fast)
            run.fit()
        names = [each["dataset"] for each in inputs.pairs.sources]
        calibration = calibrate_best(run, forward, inputs.pairs.validated_on, inputs.max_length) if calibrate else None
        report = TrainingReport(
            model=inputs.base.name,
            dataset=names[0] if len(names) == 1 else names,
            validation=inputs.pairs.validated_on,
            arguments=changed_arguments(
                data_options,
                validation_dataset=validation_dataset and name_source(validation_dataset).public_name,
                max_train_samples=max_train_samples,
                mixing_weights=mixing_weights and list(mixing_weights),
                revision=revision,
                calibrate=calibrate or None,
            ),
            recipe=dataclasses.asdict(recipe),
            versions=packages,
            license=license or inputs.base.license,
            base=inputs.base.training,
            base_calibration=inputs.base.calibration,
            base_model_sha256=inputs.base.weights,
            sources=inputs.pairs.sources,
        )
        for tracker in accelerator.trackers:
            tracker.finish()
        totals = run.state.all_epochs.over_processes()
        return on_main(lambda: _finish(run, totals, inputs, factors, report, calibration))


@dataclass(frozen=True)
class _Inputs:
    """What a run starts from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    base: BaseModel
    pairs: RunPairs
    tables: dict[str, TokenTable]
    max_length: int


def _load(
    model_name_or_path: str,
    find_sources: Callable[[], RunSources],
    recipe: Recipe,
    max_train_samples: int | None,
    revision: str | None,
) -> _Inputs:
    sources = find_sources()  # first, as that is quick
    model, tokenizer = load_model(
        model_name_or_path,
        new_head=True,
        dropout=recipe.dropout,
        seed=recipe.seed,
        revision=revision,
        labels=LABEL_SETS[recipe.labels],
    )
    max_length = input_length(model.config, tokenizer, recipe.max_seq_length)
    pairs = sources.read(recipe.seed, recipe.test_each_epoch, max_train_samples)
    splits = {"train": pairs.train, "validation": pairs.validation} | ({"test": pairs.test} if pairs.test else {})
    tables = {
        name: TokenTable.open(encode(split, tokenizer, max_length, recipe.truncation), tokenizer)
        for name, split in splits.items()
    }
    return _Inputs(model, tokenizer, BaseModel.read(model_name_or_path, revision), pairs, tables, max_length)


def _soften(inputs: _Inputs, recipe: Recipe) -> list[float]:
    """Softens saturated attention, but not that of a model that learned here already what to look at."""
    if not recipe.soften_attention:
        return []
    if inputs.base.training:
        logger.info("%s was fine-tuned before: its attention stays as it is", inputs.base.name)
        return []
    return soften_attention(inputs.model, inputs.tables["train"].first(EXAMPLES))


def _prepare(
    accelerator: Accelerator,
    precision: Precision,
    inputs: _Inputs,
    recipe: Recipe,
    options: RunOptions,
    folder: RunFolder,
    fast: bool,
) -> Run:
    """Prepares a run, or makes it what it was at a checkpoint; changes the model."""
    plan = make_plan(inputs.tables["train"].lengths, recipe, accelerator.num_processes)
    identity = RunIdentity(
        model=inputs.base.sha256,
        train_data=inputs.tables["train"].sha256,
        validation_data=inputs.tables["validation"].sha256,
        recipe=recipe,
        total_steps=plan.total_steps,
        warmup_steps=plan.warmup_steps,
        num_processes=accelerator.num_processes,
        mixed_precision=precision,
    )
    if checkpoint := folder.resumed:
        written = on_main(lambda: check_run(checkpoint, identity))
        # The warm-up has begun: it doesn't grow with the steps.
        plan = dataclasses.replace(plan, warmup_steps=written.warmup_steps)
        identity = dataclasses.replace(identity, warmup_steps=written.warmup_steps)
    keys = key_groups(inputs.model)
    trained_ids = inputs.tables["train"].token_ids() if fast else None
    learner = make_learner(accelerator, precision, inputs.model, plan, trained_ids)
    state, log = LoopState(), RunLog(accelerator, folder.log, recipe.test_each_epoch)
    accelerator.register_for_checkpointing(learner.scheduler, learner.scaler, state)
    # Now that the model is the same on all processes, random numbers aren't: each drops other hidden states.
    set_seed(recipe.seed, device_specific=True)
    flat = fast and flat_batches(accelerator)
    tables = {split: table.to(accelerator.device, flat) for split, table in inputs.tables.items()}
    run = Run(learner, inputs.tokenizer, tables, plan, options, identity, folder, keys, log, state)
    if not checkpoint:
        log.start()
    in_turn(lambda: refuse_unseen(folder.checkpoints))
    start_tracker(accelerator, folder.checkpoints, recipe)
    run.announce()
    if checkpoint:
        run.go_on_from(checkpoint)
    return run


def _finish(
    run: Run,
    totals: Sums,
    inputs: _Inputs,
    factors: list[float],
    report: TrainingReport,
    calibration: CalibrationReport | None,
) -> TrainingResults:
    """Writes all that speaks of the weights, and gives them their place; on the main process."""
    state, learner, accelerator = run.state, run.learner, run.accelerator
    best, last = state.best, state.last
    assert best and last and last.train_loss is not None and last.train_accuracy is not None  # an epoch has ended
    sha256 = weights_sha256(run.folder.model)
    assert sha256
    results = TrainingResults(
        train_loss=last.train_loss,
        train_accuracy=last.train_accuracy,
        eval_accuracy=best.eval_accuracy,
        eval_loss=best.eval_loss,
        best_epoch=best.epoch,
        epochs=state.epoch - 1,
        steps=state.step,
        seconds=state.seconds,
        examples_per_second=totals.examples / state.seconds,
        tokens_per_second=totals.tokens / state.seconds,
        padding_fraction=1 - totals.tokens / totals.positions,
        device=torch.cuda.get_device_name() if accelerator.device.type == "cuda" else accelerator.device.type,
        num_processes=accelerator.num_processes,
        mixed_precision=learner.precision,
        num_train_examples=len(inputs.pairs.train),
        dropped_examples=inputs.pairs.dropped,
        model_sha256=sha256,
        temperature=calibration.temperature if calibration else None,
        softening_factors=factors if min(factors, default=1.0) < 1 else None,
    )
    with staged(run.folder.checkpoints) as temporary:
        copy_model(run.folder.model, temporary)
        results.write(temporary / RESULTS)
        dataclasses.replace(report, model_sha256=sha256).write(temporary / TRAINING)
        if calibration:
            dataclasses.replace(calibration, model_sha256=sha256).write(temporary / CALIBRATION)
        inputs.base.copy_conversion(temporary)
        run.log.close(sha256, temporary)
        if (run.folder.checkpoints / CARD).exists():  # of which parts may be kept
            shutil.copyfile(run.folder.checkpoints / CARD, temporary / CARD)
        with card_matters_less():
            write_card(temporary)
    put_in_place(run.folder.checkpoints, run.folder.output)
    return results
