"""`hf-nli evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hf_nli.cli.checks import check_model, check_sources
from hf_nli.cli.command import Command
from hf_nli.cli.flags import DATASET_HELP, REVISION_HELP, PairArguments, model_help
from hf_nli.settings.options import DataOptions
from hf_nli.settings.recipe import Recipe

if TYPE_CHECKING:  # it takes seconds
    from hf_nli.evaluation.results import EvaluationResults


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments(PairArguments):
    """Flags of `hf-nli evaluate`, beside those of the data."""

    model_name_or_path: str = field(metadata=model_help("score"))
    dataset: list[str] = field(metadata={"help": f"{DATASET_HELP['help']} Several, too; each with :SPLIT if needed."})
    output_dir: str = field(metadata={"help": "Folder for eval_results.json and other results."})
    split: str | None = field(default=None, metadata={"help": "Split to score on; default: test, or else validation."})
    baselines: bool = field(
        default=False,
        metadata={
            "help": "Whether to train classifiers of words to compare with, one of which sees the hypothesis alone, "
            "and to score pairs with exchanged premises."
        },
    )
    baseline_dataset: str | None = field(
        default=None, metadata={"help": "Data set to train them on, if not the split train of --dataset."}
    )
    slice_column: list[str] | None = field(
        default=None, metadata={"help": "Columns by whose values the report takes pairs together."}
    )
    seed: int = field(default=Recipe.seed, metadata={"help": "Seed of the baselines, and of the exchanged premises."})
    per_device_eval_batch_size: int = field(
        default=Recipe.per_device_eval_batch_size, metadata={"help": "Pairs a batch, on each process."}
    )
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    mixed_precision: Literal["no", "bf16", "fp16", "auto"] = field(
        default="no", metadata={"help": "Precision of matrix products; no is float32, auto what is fast."}
    )


def check(arguments: EvaluateArguments, data_options: DataOptions) -> None:
    """Refuses input that is missing."""
    check_model(arguments.model_name_or_path, arguments.revision)
    check_sources(arguments.dataset, data_options, arguments.split or "test")
    if arguments.baseline_dataset:
        check_sources(arguments.baseline_dataset, data_options, "train", first=False)


def execute(arguments: EvaluateArguments, data_options: DataOptions) -> None:
    """Scores, and prints the figures."""
    from hf_nli.evaluation.evaluate import evaluate

    results = evaluate(
        model_name_or_path=arguments.model_name_or_path,
        dataset=arguments.dataset,
        output_dir=arguments.output_dir,
        split=arguments.split,
        per_device_eval_batch_size=arguments.per_device_eval_batch_size,
        max_seq_length=arguments.max_seq_length,
        truncation=arguments.truncation,
        data_options=data_options,
        revision=arguments.revision,
        mixed_precision=arguments.mixed_precision,
        forward=arguments.forward,
        baselines=arguments.baselines,
        baseline_dataset=arguments.baseline_dataset,
        slice_column=arguments.slice_column,
        seed=arguments.seed,
    )
    for each in results:
        print(_told(each))
    print(f"  report.html, eval_results.json, predictions.jsonl and pictures in {arguments.output_dir}")


def _told(results: EvaluationResults) -> str:
    """The figures of a data set, in some lines."""
    figures = ", ".join(f"{title} {figure:.4f}" for title, figure in results.figures.items())
    lines = [
        f"{results.dataset}{f', {results.split}' if results.split else ''}: {figures} on {results.examples} pairs, "
        f"{results.dropped} without a gold label dropped"
    ]
    for label, scores in results.per_label.items():
        columns = {name: scores[name] for name in ("precision", "recall", "f1")}
        figures = ", ".join(f"{name} {figure:.3f}" for name, figure in columns.items())
        lines.append(f"  {label:<13} {figures}, support {scores['support']}")
    for label, merged in (results.merged_labels or {}).items():
        lines.append(f"  {label}: the model's probabilities of {' and '.join(merged)}, added up")
    for label, merged in (results.merged_gold_labels or {}).items():
        lines.append(f"  {label}: the data's labels {' and '.join(merged)}, taken for one")
    compared = ", ".join(f"{name.replace('_', ' ')} {share:.4f}" for name, share in results.baselines.items())
    return "\n".join([*lines, f"  to compare with: {compared}"])


COMMAND = Command(
    "evaluate",
    "score a model on a data set",
    (EvaluateArguments, DataOptions),
    execute,
    ("hf_nli.evaluation.evaluate",),
    check,
)
