"""Training as `accelerate launch` starts it: compiled, on several processes, or both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import write_tiny_model
from safetensors import safe_open

ROOT = Path(__file__).parents[2]
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1", "--mixed_precision", "no"]
# What any other project would do with the folder.
LOGITS = """
import sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
inputs = tokenizer(["a man runs.", "the cat"], ["not .", "outside"], padding=True, return_tensors="pt")
with torch.no_grad():
    model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
    torch.save(model(**inputs).logits, sys.argv[1] + "/logits.pt")
"""


@pytest.fixture(scope="module")
def launch(pairs, tmp_path_factory):
    """Trains, and gives the folder and the logits of what was saved, loaded in a process of its own."""
    base = tmp_path_factory.mktemp("launched")
    write_tiny_model(base / "model")

    def run(name, *flags, processes=1, parts=1):
        given = {"model_name_or_path": base / "model", "dataset": pairs, "validation_dataset": pairs}
        given |= {"learning_rate": 0.01, "num_train_epochs": 3, "embedding_lr_multiplier": 1, "warmup_ratio": 0}
        given |= {"per_device_train_batch_size": 16 // processes // parts, "gradient_accumulation_steps": parts}
        given |= {"output_dir": base / name, "mixed_precision": "no", "checkpointing_steps": "epoch"}
        settings = [str(part) for key, value in given.items() for part in (f"--{key}", value)]
        command = [*LAUNCH, "--num_processes", str(processes), *flags, ROOT / "scripts/finetune_accelerate.py"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "TORCH_LOGS": "dynamo"}
        result = subprocess.run([*command, *settings], env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        assert ("torchdynamo start" in result.stderr) == ("--dynamo_backend" in flags)  # it was compiled indeed
        subprocess.run([sys.executable, "-c", LOGITS, base / name], check=True, capture_output=True, timeout=300)
        return base / name, torch.load(base / name / "logits.pt")

    return run


@pytest.fixture(scope="module")
def plain(launch):
    return launch("plain")


def keys(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


@pytest.mark.parametrize(
    "name, flags, processes, parts",
    [
        ("compiled", ["--dynamo_backend", "eager"], 1, 1),
        ("layers", ["--dynamo_backend", "eager", "--dynamo_use_regional_compilation"], 1, 1),
        ("both", ["--multi_gpu", "--dynamo_backend", "eager"], 2, 2),
    ],
)
def test_what_is_saved_does_not_know_how_it_was_trained(name, flags, processes, parts, launch, plain):
    """The keys, the logits in a new process and the accuracy are those of a plain run."""
    folder, logits = launch(name, *flags, processes=processes, parts=parts)
    assert keys(folder) == keys(plain[0]) and not any("_orig_mod" in key for key in keys(folder))
    torch.testing.assert_close(logits, plain[1], atol=1e-5, rtol=0)
    results, expected = (json.loads((each / "all_results.json").read_text()) for each in (folder, plain[0]))
    assert results["eval_accuracy"] == expected["eval_accuracy"] and results["num_processes"] == processes
    assert results["eval_loss"] == pytest.approx(expected["eval_loss"], abs=1e-5)
