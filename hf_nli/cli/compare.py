"""`hf-nli compare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import shorten
from typing import TYPE_CHECKING

from hf_nli.cli.checks import check_evaluations, check_model, check_sources
from hf_nli.cli.command import Command
from hf_nli.cli.flags import DATASET_HELP
from hf_nli.settings.options import DataOptions
from hf_nli.settings.recipe import Recipe

if TYPE_CHECKING:  # it takes seconds
    from hf_nli.comparison.compare import CompareResults

RUN_HELP = "output folder of hf-nli evaluate; with --dataset, model folder or Hub id."


@dataclass(frozen=True, kw_only=True)
class CompareArguments:
    """Flags of `hf-nli compare`, beside those of the data."""

    run_a: str = field(metadata={"help": f"First {RUN_HELP}", "positional": True})
    run_b: str = field(metadata={"help": f"Second {RUN_HELP}", "positional": True})
    dataset: str | None = field(
        default=None, metadata={"help": f"What to score the two models on first. {DATASET_HELP['help']}"}
    )
    split: str | None = field(default=None, metadata={"help": "Split of it; default: test, or else validation."})
    output_dir: str | None = field(
        default=None, metadata={"help": "Folder for compare_results.json and comparison.png."}
    )
    seed: int = field(default=Recipe.seed, metadata={"help": "Seed of the bootstrap."})
    resamples: int = field(default=10_000, metadata={"help": "Samples of the bootstrap."})


def check(arguments: CompareArguments, data_options: DataOptions) -> None:
    """Refuses input that is missing, and two evaluations of different data."""
    if arguments.dataset is None:
        check_evaluations(arguments.run_a, arguments.run_b)
        return
    for model in (arguments.run_a, arguments.run_b):
        check_model(model)
    check_sources(arguments.dataset, data_options, arguments.split or "test")


def execute(arguments: CompareArguments, data_options: DataOptions) -> None:
    """Compares, and prints tables."""
    from hf_nli.comparison.compare import compare

    results = compare(
        run_a=arguments.run_a,
        run_b=arguments.run_b,
        dataset=arguments.dataset,
        split=arguments.split,
        output_dir=arguments.output_dir,
        seed=arguments.seed,
        resamples=arguments.resamples,
        data_options=data_options,
    )
    print("\n".join([*_accuracies(results), *_labels(results), *_disagreements(results)]))
    if arguments.output_dir:
        print(f"compare_results.json and comparison.png in {arguments.output_dir}")


def _accuracies(results: CompareResults) -> list[str]:
    difference, counts = results.difference, results.counts
    lines = [f"{results.dataset}{f', {results.split}' if results.split else ''}: {results.examples:,} pairs"]
    for letter, side in (("A", results.a), ("B", results.b)):
        accuracy = side.accuracy
        lines.append(
            f"  {letter}      {accuracy.estimate:.4f}   {accuracy.low:.4f} to  {accuracy.high:.4f}  {side.run}"
        )
    lines += [
        f"  B - A {difference.estimate:+.4f}  {difference.low:+.4f} to {difference.high:+.4f}; "
        f"McNemar's exact test: p = {results.mcnemar_p_value:.3g}",
        f"  right: both {counts['both_right']:,}, only A {counts['only_a']:,}, only B {counts['only_b']:,}, "
        f"neither {counts['both_wrong']:,}",
    ]
    for name, (a, b) in results.other_conditions.items():
        lines.append(f"  other conditions: {name} is {a} for A, {b} for B")
    bootstrap = f"a paired bootstrap's, {results.resamples:,} samples (Koehn 2004)"
    return [*lines, f"  95 % intervals: Wilson's (1927), and of B - A {bootstrap}"]


def _labels(results: CompareResults) -> list[str]:
    width = max(map(len, results.labels)) + 2
    lines = ["B - A by label".ljust(width + 6) + "".join(f"{name:>11}" for name in ("precision", "recall", "f1"))]
    lines[0] += f"{'support':>11}"
    for label, scores in results.per_label.items():
        differences = "".join(f"{value:>+11.3f}" for value in (scores.precision, scores.recall, scores.f1))
        lines.append(f"  {label:<{width + 4}}{differences}{scores.support:>11,}")
    lines.append("A's label, by B's".ljust(width + 6) + "".join(f"{label:>{width}}" for label in results.labels))
    for label, row in zip(results.labels, results.flows, strict=True):
        lines.append(f"  {label:<{width + 4}}" + "".join(f"{count:>{width},}" for count in row))
    return lines


def _disagreements(results: CompareResults) -> list[str]:
    if not results.disagreements:
        return ["They say the same label of each pair."]
    lines = ["Where they disagree and the gold label's probability changes most:"]
    for each in results.disagreements:
        lines += [
            f"  {each.probability_a:.3f} -> {each.probability_b:.3f} {each.label} "
            f"(A: {each.prediction_a}, B: {each.prediction_b})",
            f"    {shorten(each.premise, 100)!r} | {shorten(each.hypothesis, 100)!r}",
        ]
    return lines


COMMAND = Command(
    "compare",
    "tell by how much one of two models is better, and whether that may be chance",
    (CompareArguments, DataOptions),
    execute,
    ("hf_nli.comparison.compare",),
    check,
)
