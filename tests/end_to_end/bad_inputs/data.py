"""Folders, archives and patterns of several files."""

from __future__ import annotations

import json
from pathlib import Path

from bad_inputs.forms import CSV, HEADER, JSON, LINE, zipped
from bad_inputs.labels import counted
from bad_inputs.rows import EVALUATE, INSPECT, REPRODUCE, TRAIN, Row, done, either, refused

LACKING = "premise,hypothesis\na,b\n"


def release(name: str, label: str, rows: int, suffix: str = ".jsonl") -> dict[str, str]:
    """A file of the MultiNLI release."""
    row = {"gold_label": label, "sentence1": "a man runs.", "sentence2": "a man eats.", "genre": "fiction"}
    lines = [json.dumps(row)] * rows
    if suffix == ".txt":
        lines = ["\t".join(row), *["\t".join(row.values())] * rows]
    return {f"multinli_1.0_{name}{suffix}": "".join(line + "\n" for line in lines)}


def multinli(folder: str = "multinli/", suffix: str = ".jsonl") -> dict[str, str]:
    """The MultiNLI release, with 5 training rows, 3 matched and 2 mismatched ones."""
    files = release("train", "neutral", 5, suffix) | release("dev_matched", "entailment", 3, suffix)
    files |= release("dev_mismatched", "contradiction", 2, suffix)
    return {folder + name: text for name, text in files.items()}


MATCHED = (rf"validation_matched: 3 pairs {counted(3, 0, 0)}", rf"validation_mismatched: 2 pairs {counted(0, 0, 2)}")


def folder(*files: tuple[str, str]) -> dict[str, str]:
    return {f"f/{name}": text for name, text in files}


def scored(split: str, label: str, pairs: int):
    """Checks what eval_results.json says."""

    def check(work: Path) -> None:
        results = json.loads((work / "scores" / "eval_results.json").read_text())
        assert (results["split"], results["examples"]) == (split, pairs)
        assert {name: scores["support"] for name, scores in results["per_label"].items() if scores["support"]} == {
            label: pairs
        }

    return check


def made(file: str, **values: object):
    """Checks what a report says."""

    def check(work: Path) -> None:
        content = json.loads((work / file).read_text())
        assert {name: content[name] for name in values} == values

    return check


ROWS: list[Row] = [
    done("folder: MultiNLI", INSPECT + "multinli", *MATCHED, "train: 5 pairs", files=multinli(), real=True),
    done("folder: MultiNLI's texts", INSPECT + "multinli", *MATCHED, files=multinli(suffix=".txt")),
    done("folder: MultiNLI in a zip", INSPECT + "multinli.zip", *MATCHED,
         files={"multinli.zip": zipped(multinli("multinli_1.0/"))}),
    done("folder: MultiNLI with both forms", INSPECT + "multinli", *MATCHED,
         files=multinli() | multinli(suffix=".txt")),
    done("folder: evaluate on MultiNLI", EVALUATE + "--dataset multinli", "on 3 pairs", files=multinli(),
         check=scored("validation_matched", "entailment", 3)),
    done("folder: evaluate on MultiNLI, mismatched", EVALUATE + "--dataset multinli --split validation_mismatched",
         "on 2 pairs", files=multinli(), check=scored("validation_mismatched", "contradiction", 2)),
    done("folder: evaluate on MultiNLI, validation", EVALUATE + "--dataset multinli --split validation", "on 3 pairs",
         files=multinli()),
    done("folder: train on MultiNLI",
         "train --model_name_or_path m --dataset multinli --output_dir new --num_train_epochs 1", "Trained on 5 pairs",
         files=multinli(), check=made("new/all_results.json", num_train_examples=5)),
    either("folder: files of two forms", INSPECT + "f", r"dev\.csv", right=("validation: 2 pairs", "train: 1 pairs"),
           files=folder(("train.jsonl", JSON), ("dev.csv", CSV))),
    either("folder: a text beside csv", INSPECT + "f", r"dev\.txt", right=("validation: 2 pairs", "train: 2 pairs"),
           files=folder(("train.csv", CSV), ("dev.txt", CSV.replace(",", "\t")))),
    either("folder: a file that no split takes", INSPECT + "f", r"extra\.jsonl", right=(r"extra\.jsonl",),
           files=folder(("train.jsonl", JSON), ("extra.jsonl", JSON))),
    either("folder: a name that is nearly a split's", INSPECT + "f", r"devel\.csv", right=(r"devel\.csv",),
           files=folder(("train.csv", CSV), ("devel.csv", CSV))),
    refused("folder: no file that a split takes", INSPECT + "f", r"\bf\b", "train", files=folder(("data.csv", CSV))),
    refused("folder: two files of a split", INSPECT + "f", r"dev\.jsonl", r"validation\.jsonl",
            files=folder(("dev.jsonl", JSON), ("validation.jsonl", JSON))),
    refused("folder: an empty split", INSPECT + "f", r"dev\.csv", "empty|no rows?", late=True,
            files=folder(("train.csv", CSV), ("dev.csv", HEADER))),
    refused("folder: a split of no bytes", INSPECT + "f", r"dev\.csv", "empty|no rows?", late=True,
            files=folder(("train.csv", CSV), ("dev.csv", ""))),
    refused("folder: train, an empty split", TRAIN + "--dataset f --validation_dataset f", r"dev\.csv",
        "empty|no rows?",
            late=True, files=folder(("train.csv", CSV), ("dev.csv", HEADER))),
    refused("folder: a split without a column", INSPECT + "f", r"dev\.csv|validation", "label", late=True,
            files=folder(("train.csv", CSV), ("dev.csv", LACKING))),
    done("folder: splits of unequal columns", INSPECT + "f", "train: 2 pairs", "validation: 1 pairs",
         files=folder(("train.csv", CSV), ("dev.csv", "id,label,premise,hypothesis\n1,neutral,a,b\n"))),
    done("folder: shards of unequal columns", INSPECT + "'f/train-*.csv'", "train: 3 pairs",
         files=folder(("train-1.csv", CSV), ("train-2.csv", "id,label,premise,hypothesis\n1,neutral,a,b\n"))),
    done("folder: shards of unequal types", INSPECT + "'f/train-*.jsonl'", "train: 2 pairs", files=folder(
        ("train-1.jsonl", JSON.replace("}", ', "id": 1}')), ("train-2.jsonl", JSON.replace("}", ', "id": [1]}')))),
    refused("folder: a shard without a column", INSPECT + "'f/train-*.csv'", r"train-2\.csv", "label",
            files=folder(("train-1.csv", CSV), ("train-2.csv", LACKING))),
    refused("folder: a bad row in the second shard", INSPECT + "'f/train-*.csv'", r"train-2\.csv", "row 1", "line 2",
            "maybe", files=folder(("train-1.csv", CSV), ("train-2.csv", HEADER + LINE.replace("neutral", "maybe")))),
    refused("folder: a pattern of several forms", INSPECT + "'f/*'", r"\.csv|\.jsonl",
            files=folder(("a.csv", CSV), ("b.jsonl", JSON))),
    refused("folder: splits that say one label each differently", INSPECT + "f", r"dev\.jsonl|validation", "row 1",
            "maybe", late=True, files=folder(("train.jsonl", JSON), ("dev.jsonl", JSON.replace("neutral", "maybe")))),
    done("folder: a zip with a path that leads out", INSPECT + "d.zip", "1 pairs",
         files={"d.zip": zipped({"../../train.jsonl": JSON})}),
    refused("folder: reproduce, two-way data", REPRODUCE + "--dataset f", "not_entailment", late=True, files=folder(
        *((f"{split}.jsonl", JSON + JSON.replace("neutral", "not_entailment")) for split in ("train", "dev",
            "test")))),
    refused("folder: reproduce, a test split without labels", REPRODUCE + "--dataset f", "test", "label", late=True,
            files=folder(("train.jsonl", JSON * 4), ("dev.jsonl", JSON), ("test.jsonl", JSON.replace("neutral",
                "-")))),
    refused("folder: reproduce, no test split", REPRODUCE + "--dataset f", "test",
            files=folder(("train.jsonl", JSON * 4), ("dev.jsonl", JSON))),
    refused("folder: reproduce, nothing to go on from", REPRODUCE + "--resume_from_checkpoint latest", "checkpoint"),
    refused("folder: reproduce, a checkpoint of another folder", REPRODUCE + "--resume_from_checkpoint nope", "nope",
            "out/model"),
    refused("folder: reproduce, a precision that isn't here", REPRODUCE + "--mixed_precision fp16", "fp16", "GPU"),
    refused("folder: reproduce, a tracker that isn't here", REPRODUCE + "--report_to wandb", "wandb", "pip install"),
]  # fmt: skip
