"""Measures the main path on real pairs: convert a d2l checkpoint, fine-tune it on some rows of SNLI, score it.

    python scripts/benchmarks/finetune_subset.py --checkpoint FOLDER --num_heads 4 \
        --train train_subset.jsonl.gz --validation dev.jsonl --rows 20000 --output_dir build/subset

Rows whose field `sample` is not "random" are left out, if they have one. Prints a table of the epochs.
"""

import argparse
import json
from pathlib import Path

from datasets import load_dataset

from hf_nli.conversion import convert
from hf_nli.recipe import Recipe
from hf_nli.training import train


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("checkpoint", "train", "validation", "output_dir"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--num_heads", type=int, default=4)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--num_train_epochs", type=int, default=Recipe.num_train_epochs)
    arguments = parser.parse_args()
    folder = Path(arguments.output_dir)

    rows = load_dataset("json", data_files=arguments.train, split="train")
    if "sample" in rows.column_names:
        rows = rows.filter(lambda sample: sample == "random", input_columns="sample")
    rows.select(range(arguments.rows)).to_json(folder / "train.jsonl")
    convert(arguments.checkpoint, folder / "converted", num_heads=arguments.num_heads)
    recipe = Recipe(num_train_epochs=arguments.num_train_epochs)
    source = str(folder / "train.jsonl")
    results = train(str(folder / "converted"), source, folder / "model", recipe, arguments.validation)

    records = [json.loads(line) for line in (folder / "model/train_log.jsonl").read_text().splitlines()]
    print("| epoch | train loss | validation loss | validation accuracy |\n|---|---|---|---|")
    for record in records:
        if "eval_accuracy" in record:
            loss = f"{record['train_loss']:.3f}" if "train_loss" in record else ""
            print(f"| {record['epoch']} | {loss} | {record['eval_loss']:.3f} | {record['eval_accuracy']:.3f} |")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
