"""Measures recipes on real pairs: fine-tunes a converted d2l checkpoint with each recipe, size and seed.

    python scripts/benchmarks/recipes.py --checkpoint FOLDER --num_heads 4 --train train_subset.jsonl.gz \
        --validation dev.jsonl --output_dir build/recipes [--rows 5000 114308] [--seeds 1 2 3] [--recipes d2l tuned]

Training pairs whose field `sample` is neither "random" nor "random-pairs" are left out, if they have one. A run that
has its all_results.json already isn't run again. Ends with a table of validation accuracies by epoch, means over the
seeds.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from datasets import load_dataset

from hf_nli.conversion import convert
from hf_nli.recipe import RECIPES


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("checkpoint", "train", "validation"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_heads", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs="+", default=[114_308])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--num_train_epochs", type=int, default=5)
    setting = parser.parse_args()

    folder: Path = setting.output_dir
    convert(setting.checkpoint, folder / "converted", num_heads=setting.num_heads)
    rows = load_dataset("json", data_files=setting.train, split="train")
    if "sample" in rows.column_names:
        rows = rows.filter(lambda sample: sample in ("random", "random-pairs"), input_columns="sample")
    rows.to_json(folder / "train.jsonl")

    runs = defaultdict(list)
    for size in setting.rows:
        for seed in setting.seeds:
            for name in setting.recipes:
                output = folder / f"{name}-{size}-{seed}"
                if not (output / "all_results.json").exists():
                    flags = {"model_name_or_path": folder / "converted", "dataset": folder / "train.jsonl"}
                    flags |= {"validation_dataset": setting.validation, "output_dir": output, "recipe": name}
                    flags |= {"num_train_epochs": setting.num_train_epochs, "max_train_samples": size, "seed": seed}
                    # A process of its own: one that has an Accelerator keeps its precision.
                    command = [sys.executable, "-m", "hf_nli", "train"]
                    command += [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
                    subprocess.run(command, check=True)
                results = json.loads((output / "all_results.json").read_text())
                log = [json.loads(line) for line in (output / "train_log.jsonl").read_text().splitlines()]
                accuracies = [record["eval_accuracy"] for record in log if "eval_accuracy" in record]
                runs[name, size].append((accuracies, results["examples_per_second"], results["seconds"]))

    epochs = " | ".join(map(str, range(setting.num_train_epochs + 1)))
    print(f"| recipe | pairs | seeds | {epochs} | examples/s | seconds |")
    print("|---" * (setting.num_train_epochs + 6) + "|")
    for (name, size), measured in runs.items():
        accuracies, speeds, seconds = (list(values) for values in zip(*measured, strict=True))
        means = " | ".join(f"{statistics.mean(values):.3f}" for values in zip(*accuracies, strict=True))
        speed = f"{statistics.mean(speeds):,.0f} | {statistics.mean(seconds):,.0f}"
        print(f"| {name} | {size:,} | {len(measured)} | {means} | {speed} |")


if __name__ == "__main__":
    main()
