"""`hf-nli reproduce`: the book's chapter in one go: download, convert, fine-tune on SNLI, test, and compare."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hf_nli.cli.checks import check_data
from hf_nli.cli.command import Command
from hf_nli.cli.flags import DATASET_HELP, OVERWRITE_HELP, RECIPE_HELP
from hf_nli.core.environment import start_accelerate
from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABEL_SETS
from hf_nli.settings.options import DataOptions, RunOptions
from hf_nli.settings.recipe import Recipe, RecipeName

if TYPE_CHECKING:
    from hf_nli.d2l.report import ConversionReport
    from hf_nli.runs.report import TrainingResults

# Of the book's section "Natural Language Inference: Fine-Tuning BERT": what it printed of bert.small on two GPUs, and
# the accuracy that its exercise asks of bert.base.
BOOK = {
    "bert.small": "loss 0.519, train acc 0.791, test acc 0.784, 8,778.9 examples/sec on two GPUs",
    "bert.base": "no figures; can you get a test acc above 0.86?",
}
BOOKS_PAIRS = "549,367 to train on, 9,824 to test on"

SUMMARY = """
{checkpoint}, fine-tuned on {dataset}
  the book  {book}
  here      loss {loss:.3f}, train acc {train_accuracy:.3f}, test acc {test_accuracy:.3f}, \
{speed:,.1f} examples/sec on {device}
  pairs     {train_pairs:,} to train on, {test_pairs:,} to test on (the book: {books_pairs})
The test accuracy is that of epoch {best_epoch} of {epochs}, the best on validation; the book's is its last epoch's.
  {folder}/converted  the checkpoint as a Hugging Face model, at most {difference:.1e} from d2l's function
  {folder}/model      that model, fine-tuned; README.md is its card
  {folder}/scores     report.html, eval_results.json, predictions.jsonl and pictures of the test pairs
To publish it: hf-nli push --model_name_or_path {folder}/model --repo_id USER/NAME"""


@dataclass(frozen=True, kw_only=True)
class ReproduceArguments:
    """Flags of `hf-nli reproduce`, beside those of the recipe, the data and the run."""

    output_dir: str = field(metadata={"help": "Folder for the converted and the fine-tuned model and its scores."})
    checkpoint: Literal["bert.small", "bert.base"] = field(
        default="bert.small", metadata={"help": "Which of d2l's checkpoints to fine-tune."}
    )
    source: str | None = field(default=None, metadata={"help": "A copy of it here (folder, zip or .params file)."})
    dataset: str = field(default="stanfordnlp/snli", metadata=DATASET_HELP)
    recipe: RecipeName = field(default="d2l", metadata=RECIPE_HELP)
    overwrite_output_dir: bool = field(default=False, metadata=OVERWRITE_HELP)


def check(arguments: ReproduceArguments, recipe: Recipe, data_options: DataOptions, run_options: RunOptions) -> None:
    """Refuses input that is missing."""
    check_data(arguments.dataset, data_options, "train")


def execute(arguments: ReproduceArguments, recipe: Recipe, data_options: DataOptions, run_options: RunOptions) -> None:
    """Runs it, and prints its figures beside the book's."""
    summary = reproduce(
        output_dir=arguments.output_dir,
        checkpoint=arguments.checkpoint,
        source=arguments.source,
        dataset=arguments.dataset,
        recipe=recipe,
        data_options=data_options,
        run_options=run_options,
        overwrite_output_dir=arguments.overwrite_output_dir,
    )
    print(summary)


def reproduce(
    output_dir: str | Path,
    checkpoint: Literal["bert.small", "bert.base"] = "bert.small",
    source: str | None = None,
    dataset: str = "stanfordnlp/snli",
    recipe: Recipe | None = None,
    data_options: DataOptions | None = None,
    run_options: RunOptions | None = None,
    overwrite_output_dir: bool = False,
) -> str:
    """Does what d2l's section "Natural Language Inference: Fine-Tuning BERT" does, on any number of processes.

    Args:
        output_dir: The folder for `converted`, `model` and `scores`.
        checkpoint: Which of d2l's checkpoints.
        source: A copy of it here; by default it is downloaded and cached.
        dataset: Any source that `data.load_nli` takes, with splits train and test.
        recipe: The settings; the defaults if None.
        data_options: How to read the data.
        run_options: Checkpoints and reports. A run that goes on takes the converted model that is there.
        overwrite_output_dir: Whether models in the folder may be replaced.

    Returns:
        A summary to print: the book's figures next to these, and what was made where.

    Raises:
        InputError: If something can't be downloaded, read or written, or if the data lack a split.
    """
    from hf_nli.core.processes import on_main
    from hf_nli.core.sole_run import sole_run
    from hf_nli.d2l.download import PUBLISHED
    from hf_nli.evaluation.evaluate import evaluate
    from hf_nli.model.folder import read_epochs
    from hf_nli.model.precision import resolve_precision
    from hf_nli.training.accelerator import check_tracker
    from hf_nli.training.train import train

    recipe, data_options, run_options = recipe or Recipe(), data_options or DataOptions(), run_options or RunOptions()
    source, num_heads, folder = source or checkpoint, PUBLISHED[checkpoint].num_heads, Path(output_dir)
    state, converted = start_accelerate(), folder / "converted"
    with ExitStack() as stack:
        on_main(lambda: stack.enter_context(sole_run(output_dir)))
        resolve_precision(recipe.mixed_precision, state.device.type)
        check_tracker(run_options.report_to)
        on_main(lambda: _refuse_folders(folder, run_options.resume_from_checkpoint, overwrite_output_dir))
        on_main(lambda: _refuse_inputs(source, num_heads, dataset, data_options, recipe))
        report = on_main(lambda: _convert(source, converted, num_heads, overwrite_output_dir))
        goes_on = run_options.resume_from_checkpoint is not None
        done = None if goes_on or overwrite_output_dir else on_main(lambda: _trained(folder, dataset, recipe))
        training = done or train(
            str(converted),
            dataset,
            folder / "model",
            recipe,
            data_options=data_options,
            run_options=run_options,
            overwrite_output_dir=overwrite_output_dir,
        )
        scores = evaluate(str(folder / "model"), dataset, folder / "scores", split="test", data_options=data_options)
    last = read_epochs(folder / "model")[-1]
    return SUMMARY.strip("\n").format(
        checkpoint=checkpoint,
        dataset=dataset,
        book=BOOK[checkpoint],
        books_pairs=BOOKS_PAIRS,
        loss=last["train_loss"],
        train_accuracy=last["train_accuracy"],
        test_accuracy=scores.accuracy,
        speed=training.examples_per_second,
        device=training.device + (f" x {state.num_processes}" if state.num_processes > 1 else ""),
        train_pairs=training.num_train_examples,
        test_pairs=scores.examples,
        best_epoch=training.best_epoch,
        epochs=training.epochs,
        difference=report.max_abs_difference,
        folder=folder,
    )


def _refuse_folders(folder: Path, resume: str | None, overwrite: bool) -> None:
    """Refuses folders that can't be written, or hold what shall stay, and a run that has nothing to go on from."""
    from hf_nli.core.disk import check_output
    from hf_nli.evaluation.evaluate import FILES
    from hf_nli.model.folder import holds_model, refuse_other_model, speaks_of, weights_sha256
    from hf_nli.runs.checkpoints import find
    from hf_nli.runs.output import working_folder

    model, weights = folder / "model", weights_sha256(folder / "model")
    complete = not resume and weights and speaks_of(folder / "scores/eval_results.json") == weights
    for name in ("converted", "model"):  # what is there of an interrupted run is taken up
        refuse_other_model(folder / name, overwrite or not complete)
    check_output(folder / "scores", files=FILES)
    if resume:
        find(working_folder(model, resume, overwrite), resume)
    elif not holds_model(model):
        working_folder(model, None, overwrite)


def _refuse_inputs(source: str, num_heads: int, dataset: str, data_options: DataOptions, recipe: Recipe) -> None:
    """Refuses a checkpoint and data that the chapter can't be done with: what is cheap to check first."""
    from hf_nli.d2l.checkpoint import read_checkpoint
    from hf_nli.data.load import NLIData
    from hf_nli.data.splits import RunSources

    data = NLIData(dataset, data_options)
    if not {"train", "test"} <= set(data.names):
        raise InputError(f"{dataset}: the chapter needs splits train and test; it has {', '.join(data.names)}")
    read_checkpoint(source, num_heads)
    data.read_first("test")
    sources = RunSources(dataset, None, data_options, labels=LABEL_SETS[recipe.labels])
    sources.read(recipe.seed, recipe.test_each_epoch)


def _convert(source: str, folder: Path, num_heads: int, overwrite: bool) -> ConversionReport:
    """Converts the checkpoint, if a run that was interrupted hasn't done so before."""
    from hf_nli.d2l.checkpoint import read_checkpoint
    from hf_nli.d2l.convert import convert
    from hf_nli.d2l.report import ConversionReport
    from hf_nli.model.reports import read_reports

    before = None if overwrite else read_reports(folder).conversion
    if before and before["sha1"] == read_checkpoint(source, num_heads).sha1:
        return ConversionReport.from_json(before)
    return convert(source, folder, num_heads, overwrite_output_dir=overwrite)


def _trained(folder: Path, dataset: str, recipe: Recipe) -> TrainingResults | None:
    """The results of the training, if a run that was interrupted while it tested has ended it."""
    from hf_nli.core.hub_ids import public_name
    from hf_nli.model.folder import RESULTS, SHA256, TRAINING, read_report, weights_sha256
    from hf_nli.runs.report import TrainingResults

    training, results = (read_report(folder / "model", name) for name in (TRAINING, RESULTS))
    wanted = {
        "recipe": asdict(recipe),
        "dataset": public_name(dataset),
        "base_model_sha256": weights_sha256(folder / "converted"),
        SHA256: weights_sha256(folder / "model"),
    }
    if not training or not results or any(training.get(name) != value for name, value in wanted.items()):
        return None
    return TrainingResults.from_json(results)


COMMAND = Command(
    "reproduce",
    "the book's chapter: download, convert, fine-tune on SNLI, test",
    (ReproduceArguments, Recipe, DataOptions, RunOptions),
    execute,
    (
        "hf_nli.d2l.convert",
        "hf_nli.evaluation.evaluate",
        "hf_nli.training.train",
    ),
    check,
)
