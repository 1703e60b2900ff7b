"""`hf-nli evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf_nli.cli.checks import check_data, check_model
from hf_nli.cli.command import Command
from hf_nli.cli.flags import DATASET_HELP, REVISION_HELP, PairArguments, model_help
from hf_nli.settings.options import DataOptions
from hf_nli.settings.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments(PairArguments):
    """Flags of `hf-nli evaluate`, beside those of the data."""

    model_name_or_path: str = field(metadata=model_help("score"))
    dataset: str = field(metadata=DATASET_HELP)
    output_dir: str = field(metadata={"help": "Folder for eval_results.json and other results."})
    split: str | None = field(default=None, metadata={"help": "Split to score on; default: test, or else validation."})
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
    check_data(arguments.dataset, data_options, arguments.split or "test")


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
    )
    figures = ", ".join(f"{title} {figure:.4f}" for title, figure in results.figures.items())
    print(
        (f"{results.split}: " if results.split else "")
        + f"{figures} on {results.examples} pairs, {results.dropped} without a gold label dropped "
        f"(always the most frequent label: {results.baselines['majority']:.4f})"
    )
    for label, scores in results.per_label.items():
        columns = {name: scores[name] for name in ("precision", "recall", "f1")}
        figures = ", ".join(f"{name} {figure:.3f}" for name, figure in columns.items())
        print(f"  {label:<13} {figures}, support {scores['support']}")
    for label, merged in (results.merged_labels or {}).items():
        print(f"  {label}: the model's probabilities of {' and '.join(merged)}, added up")
    for label, merged in (results.merged_gold_labels or {}).items():
        print(f"  {label}: the data's labels {' and '.join(merged)}, taken for one")
    print(f"  eval_results.json, predictions.jsonl and confusion_matrix.png in {arguments.output_dir}")


COMMAND = Command(
    "evaluate",
    "score a model on a data set",
    (EvaluateArguments, DataOptions),
    execute,
    ("hf_nli.evaluation.evaluate",),
    check,
)
