"""`hf-nli inspect`."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_nli.cli.checks import check_data, check_model
from hf_nli.cli.command import Command
from hf_nli.cli.flags import DATASET_HELP
from hf_nli.settings.options import DataOptions
from hf_nli.settings.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class InspectArguments:
    """Flags of `hf-nli inspect`, beside those of the data."""

    dataset: str = field(metadata=DATASET_HELP)
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Model whose tokenizer counts the tokens; without one, words are counted."}
    )
    output_dir: str | None = field(
        default=None, metadata={"help": "Folder for inspect_results.json and length_histogram.png."}
    )
    max_seq_length: int = field(default=Recipe.max_seq_length, metadata={"help": "Count the pairs longer than this."})


def check(arguments: InspectArguments, data_options: DataOptions) -> None:
    """Refuses input that is missing."""
    check_data(arguments.dataset, data_options)
    if arguments.model_name_or_path:
        check_model(arguments.model_name_or_path)


def execute(arguments: InspectArguments, data_options: DataOptions) -> None:
    """Counts, and prints tables."""
    from hf_nli.evaluation.inspection import inspect_data

    results = inspect_data(
        dataset=arguments.dataset,
        model_name_or_path=arguments.model_name_or_path,
        output_dir=arguments.output_dir,
        max_seq_length=arguments.max_seq_length,
        data_options=data_options,
    )
    print(results.summary())
    if arguments.output_dir:
        print(f"inspect_results.json and length_histogram.png in {arguments.output_dir}")


COMMAND = Command(
    "inspect",
    "count what is in a data set, and how long its pairs are",
    (InspectArguments, DataOptions),
    execute,
    ("hf_nli.evaluation.inspection",),
    check,
)
