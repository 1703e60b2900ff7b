"""The reports in a model folder, written by hand: what the commands would have measured."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hf_nli.model.evaluations import Evaluation
from hf_nli.settings.recipe import Recipe

CONVERSION = {
    "source": "/home/somebody/secret/d2l_small", "sha1": "abc123", "framework": "pytorch", "hidden_size": 16,
    "num_attention_heads": 2, "sizes": {"num_heads": 2}, "max_abs_difference": 3.25e-6,
    "median_abs_difference": 8.5e-7, "source_float32_difference": 2.75e-6,
    "source_float32_median_difference": 8.25e-7, "text_style": "ptb", "unk_rate": {"ptb": 0.0123},
    "text_sample": "/home/somebody/secret/dev.jsonl", "carried_over": ["a", "b"], "not_carried_over": ["c"],
    "initialized": ["output.weight"], "arguments": {"num_heads": 2}, "versions": {"hf-nli": "0.0.1"}, "seconds": 1.0,
    "peak_memory": None,
}  # fmt: skip
TRAINING = {"model": "bert-tiny", "dataset": "pairs.jsonl", "validation": "dev.jsonl", "arguments": {}}
TRAINING |= {"recipe": vars(Recipe()), "versions": {"hf-nli": "0.0.2"}, "base_model_sha256": "0" * 64}
RESULTS = {"num_train_examples": 1234, "steps": 30, "device": "abacus", "examples_per_second": 5.0, "best_epoch": 1}
RESULTS |= {"mixed_precision": "no"}
CALIBRATION = {"temperature": 1.5, "fitted_pairs": 20, "held_out_pairs": 21, "changed_labels": 0}
CALIBRATION |= {"before": {"loss": 0.75, "expected_calibration_error": 0.125, "brier_score": 0.5}}
CALIBRATION |= {"after": {"loss": 0.625, "expected_calibration_error": 0.0625, "brier_score": 0.375}}
CALIBRATION |= {"max_abs_difference": 1e-7, "pairs": "dev.jsonl", "max_seq_length": 128, "versions": {}}
CALIBRATION |= {"model": "sure", "arguments": {"dataset": "dev.jsonl"}, "base_model_sha256": "5" * 64}
EPOCHS = (
    {"epoch": 0, "step": 0, "eval_loss": 1.25, "eval_accuracy": 0.25},
    {"epoch": 1, "step": 30, "train_loss": 0.5, "train_accuracy": 0.75, "eval_loss": 0.625, "eval_accuracy": 0.875},
)


def sha256_of(folder: Path) -> str:
    """The SHA-256 of a folder's weights, by hashlib alone."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def write_conversion(folder: Path, **changes: Any) -> None:
    """Writes conversion_report.json."""
    content = CONVERSION | {"model_sha256": sha256_of(folder)} | changes
    (folder / "conversion_report.json").write_text(json.dumps(content))


def write_training(folder: Path, results: dict[str, Any] | None = None, **changes: Any) -> None:
    """Writes training.json, all_results.json, train_log.jsonl and training_curves.png."""
    weights = {"model_sha256": changes.pop("model_sha256", sha256_of(folder))}
    (folder / "training.json").write_text(json.dumps(TRAINING | weights | changes))
    (folder / "all_results.json").write_text(json.dumps(RESULTS | weights | (results or {})))
    lines = "".join(json.dumps(line) + "\n" for line in (*EPOCHS, weights))
    (folder / "train_log.jsonl").write_text(lines)
    Figure().savefig(folder / "training_curves.png", metadata=weights)


def write_calibration(folder: Path, **changes: Any) -> None:
    """Writes calibration_report.json."""
    content = CALIBRATION | {"model_sha256": sha256_of(folder)} | changes
    (folder / "calibration_report.json").write_text(json.dumps(content))


def evaluation(folder: Path, **changes: Any) -> Evaluation:
    """Makes an evaluation of a folder's weights: two pairs, one of them right."""
    label = {"precision": 0.5, "recall": 0.25, "f1": 0.75, "support": 2}
    content = {
        "dataset": "stanfordnlp/snli", "dataset_sha256": None, "dataset_config": None, "dataset_revision": None,
        "split": "test", "text": "raw", "max_seq_length": 128, "truncation": "longest_first", "mixed_precision": "no",
        "accuracy": 0.5, "loss": 0.875, "per_label": dict.fromkeys(("entailment", "neutral", "contradiction"), label),
        "confusion_matrix": {"labels": ["a", "b"], "matrix": [[1, 1], [0, 0]]}, "baselines": {"majority": 1.0},
        "model_sha256": sha256_of(folder), "examples": 2, "dropped": 1,
    }  # fmt: skip
    return Evaluation(**content | changes)
