"""Measures recipes on real pairs: fine-tunes a converted d2l checkpoint with each recipe, size and seed.

    python scripts/benchmarks/recipes.py --checkpoint FOLDER --num_heads 4 --train train_subset.jsonl.gz \
        --validation dev.jsonl --output_dir build/recipes [--recipes d2l tuned tuned,dropout=0.1] \
        [--rows 5000 114308] [--seeds 1 2 3]

A recipe is a name, or a name and flags that change it. Training pairs whose field `sample` is neither "random" nor
"random-pairs" are left out, if they have one. A run that has its all_results.json already isn't run again, so that
several calls can share the work and a last one shows all of it. Ends with a table of means over the seeds,
recipes.json and recipes.png.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasets import load_dataset
from matplotlib.figure import Figure

from hf_nli.core.files import staged, write_json
from hf_nli.d2l.convert import convert
from hf_nli.model.folder import read_epochs
from hf_nli.settings.recipe import RECIPES


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("checkpoint", "train", "validation"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_heads", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs="+", default=[114_308])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--num_train_epochs", type=int, default=5)
    setting = parser.parse_args()

    prepare(setting)
    runs = [
        {"recipe": recipe, "rows": rows, **summarize([run(setting, recipe, rows, seed) for seed in setting.seeds])}
        for rows in setting.rows
        for recipe in setting.recipes
    ]
    with staged(setting.output_dir) as folder:
        write_json(folder / "recipes.json", {"seeds": setting.seeds, "runs": runs})
        draw(runs, folder / "recipes.png")
    print(
        f"| recipe | pairs | {' | '.join(map(str, range(1, setting.num_train_epochs + 1)))} | examples/s | seconds |"
    )
    print("|---" * (setting.num_train_epochs + 4) + "|")
    for each in runs:
        accuracies = " | ".join(f"{statistics.mean(values):.3f}" for values in each["eval_accuracy"])
        speed = f"{each['examples_per_second']:,.0f} | {each['seconds']:,.0f}"
        print(f"| {each['recipe']} | {each['rows']:,} | {accuracies} | {speed} |")


def prepare(setting: argparse.Namespace) -> None:
    """Converts the checkpoint and picks the pairs, where an earlier call hasn't."""
    converted, train = setting.output_dir / "converted", setting.output_dir / "train.jsonl"
    if not converted.exists():
        convert(setting.checkpoint, converted, num_heads=setting.num_heads)
    if not train.exists():
        rows = load_dataset("json", data_files=setting.train, split="train")
        if "sample" in rows.column_names:
            rows = rows.filter(lambda sample: sample in ("random", "random-pairs"), input_columns="sample")
        with staged(setting.output_dir) as folder:
            rows.to_json(folder / train.name)


def run(setting: argparse.Namespace, recipe: str, rows: int, seed: int) -> dict[str, Any]:
    """Fine-tunes by the command, which takes the changes as flags."""
    name, *changes = recipe.split(",")
    output = setting.output_dir / f"{recipe}-{rows}-{seed}"
    if not (output / "all_results.json").exists():
        flags = {"model_name_or_path": setting.output_dir / "converted", "dataset": setting.output_dir / "train.jsonl"}
        flags |= {"validation_dataset": setting.validation, "output_dir": output, "recipe": name, "seed": seed}
        flags |= {"num_train_epochs": setting.num_train_epochs, "max_train_samples": rows}
        flags |= dict(change.split("=") for change in changes)
        command = [sys.executable, "-m", "hf_nli", "train"]
        command += [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
        subprocess.run(command, check=True)
    return json.loads((output / "all_results.json").read_text()) | {"log": read_epochs(output)}


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Speeds over the seeds' runs, means; and by epoch, for each seed, accuracy and loss."""
    figures = {name: statistics.mean(each[name] for each in runs) for name in ("examples_per_second", "seconds")}
    logs = list(zip(*(each["log"] for each in runs), strict=True))
    figures["eval_accuracy"] = [[record["eval_accuracy"] for record in records] for records in logs]
    figures["train_loss"] = [[record["train_loss"] for record in records] for records in logs]
    return figures


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Draws loss and accuracy by epoch, with the range over the seeds; of several sizes, the best accuracy by size."""
    largest, several = max(each["rows"] for each in runs), len({each["rows"] for each in runs}) > 1
    figure = Figure(figsize=(12 if several else 8, 4), layout="constrained")
    losses, accuracies, *sizes = figure.subplots(1, 3 if several else 2)
    for index, recipe in enumerate(dict.fromkeys(each["recipe"] for each in runs)):
        color, own = f"C{index}", [each for each in runs if each["recipe"] == recipe]
        for each in own:
            if each["rows"] != largest:
                continue
            for axes, values in ((losses, each["train_loss"]), (accuracies, each["eval_accuracy"])):
                steps = range(1, 1 + len(values))
                axes.plot(steps, list(map(statistics.mean, values)), color=color, label=recipe)
                axes.fill_between(steps, list(map(min, values)), list(map(max, values)), color=color, alpha=0.25)
        points = sorted((each["rows"], max(map(statistics.mean, each["eval_accuracy"]))) for each in own)
        for axes in sizes:
            axes.plot(*zip(*points, strict=True), ".-", color=color)
    losses.set(xlabel="epoch", ylabel="train loss")
    accuracies.set(xlabel="epoch", ylabel="validation accuracy")
    for axes in sizes:
        axes.set(xlabel="training pairs", ylabel="validation accuracy, best epoch", xscale="log")
    figure.legend(*losses.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
