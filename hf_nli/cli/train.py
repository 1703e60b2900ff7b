"""`hf-nli train`."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_nli.cli.checks import check_model, check_sources
from hf_nli.cli.command import Command
from hf_nli.cli.flags import DATASET_HELP, OVERWRITE_HELP, RECIPE_HELP, REVISION_HELP, model_help
from hf_nli.cli.push import published
from hf_nli.core.environment import first_process
from hf_nli.core.errors import InputError
from hf_nli.settings.options import DataOptions, RunOptions
from hf_nli.settings.recipe import Recipe, RecipeName


@dataclass(frozen=True, kw_only=True)
class TrainArguments:
    """Flags of `hf-nli train`, beside those of the recipe, the data and the run."""

    model_name_or_path: str = field(metadata=model_help("fine-tune"))
    dataset: list[str] = field(
        metadata={
            "help": f"{DATASET_HELP['help']} Several are mixed. FILE:SPLIT trains on another split than train, and "
            "FILE:NAME,NAME,NAME (or FILE:SPLIT:NAME,…) says what label ids mean there alone."
        }
    )
    output_dir: str = field(metadata={"help": "Model folder to write, with train_log.jsonl and all_results.json."})
    validation_dataset: str | None = field(
        default=None, metadata={"help": "Data set to validate on, if not the validation split of --dataset."}
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Train on the first so many rows, of each --dataset."}
    )
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    overwrite_output_dir: bool = field(default=False, metadata=OVERWRITE_HELP)
    license: str | None = field(
        default=None, metadata={"help": "License of the weights, for the card; default: the base model's."}
    )
    mixing_weights: list[float] | None = field(
        default=None,
        metadata={"help": "Proportions of several --dataset in each epoch, as 2 1; default: all rows of all of them."},
    )
    calibrate: bool = field(
        default=False, metadata={"help": "Whether to calibrate the model at the end, on the validation pairs."}
    )
    push_to_hub: bool = field(default=False, metadata={"help": "Whether to publish the model at the end."})
    hub_model_id: str | None = field(default=None, metadata={"help": "Where to: USER/NAME."})
    recipe: RecipeName = field(default="tuned", metadata=RECIPE_HELP)

    def __post_init__(self) -> None:
        if self.push_to_hub and not self.hub_model_id:
            raise InputError("--push_to_hub needs --hub_model_id USER/NAME")

    @property
    def destination(self) -> str | None:
        """Where to publish the model, if it shall be."""
        return self.hub_model_id if self.push_to_hub else None


def check(arguments: TrainArguments, recipe: Recipe, data_options: DataOptions, run_options: RunOptions) -> None:
    """Refuses input that is missing."""
    check_model(arguments.model_name_or_path, arguments.revision)
    check_sources(arguments.dataset, data_options, "train", arguments.mixing_weights)
    if arguments.validation_dataset:
        check_sources(arguments.validation_dataset, data_options, "validation", first=False)


def execute(arguments: TrainArguments, recipe: Recipe, data_options: DataOptions, run_options: RunOptions) -> None:
    """Fine-tunes, prints what came of it, and publishes that if asked to."""
    from hf_nli.hub.push import check, push
    from hf_nli.model.folder import read_epochs
    from hf_nli.runs.log import closing_table, d2l_line
    from hf_nli.training.train import train

    if arguments.destination:
        check(arguments.destination)  # before the work, not after it
    results = train(
        model_name_or_path=arguments.model_name_or_path,
        dataset=arguments.dataset,
        output_dir=arguments.output_dir,
        recipe=recipe,
        validation_dataset=arguments.validation_dataset,
        max_train_samples=arguments.max_train_samples,
        data_options=data_options,
        run_options=run_options,
        revision=arguments.revision,
        overwrite_output_dir=arguments.overwrite_output_dir,
        license=arguments.license,
        mixing_weights=arguments.mixing_weights,
        calibrate=arguments.calibrate,
    )
    print(closing_table(arguments.output_dir, results.best_epoch))
    if recipe.test_each_epoch:
        print(d2l_line(read_epochs(arguments.output_dir)[-1]))
        print(f"{results.examples_per_second:.1f} examples/sec on {results.device}")
    print(
        f"Trained on {results.num_train_examples} pairs for {results.epochs} epochs, {results.steps} steps, "
        f"in {results.seconds:.0f} s: {results.examples_per_second:.0f} examples/s on {results.device}.\n"
        f"  best epoch {results.best_epoch}: validation accuracy {results.eval_accuracy:.3f}, "
        f"loss {results.eval_loss:.3f}\n"
        + (f"  then its logits were divided by {results.temperature:.4f}\n" if results.temperature else "")
        + f"  model, README.md, train_log.jsonl, training_curves.png and all_results.json in {arguments.output_dir}"
    )
    if arguments.destination and first_process():
        print(published(push(arguments.output_dir, arguments.destination)))


COMMAND = Command(
    "train",
    "fine-tune a model folder",
    (TrainArguments, Recipe, DataOptions, RunOptions),
    execute,
    (
        "hf_nli.training.train",
        "hf_nli.hub.push",
    ),
    check,
)
