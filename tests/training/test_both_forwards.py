"""Training takes the same steps with our forward pass as with the model's own."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import launcher
from transformers import AutoModelForSequenceClassification

from hf_nli.evaluation.evaluate import evaluate
from hf_nli.inference.predictor import predict
from hf_nli.model.load import load_model
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

ROOT = Path(__file__).parents[2]
RECIPE = {"per_device_train_batch_size": 24, "num_train_epochs": 9, "max_train_steps": 50, "mixed_precision": "no"}
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="on GPUs only")


def losses(model, pairs, folder, forward, **settings):
    options = RunOptions(logging_steps=1)
    results = train(model, pairs, folder, Recipe(**RECIPE | settings, forward=forward), pairs, run_options=options)
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line], results


@pytest.fixture
def in_float64(monkeypatch):
    """Makes training load models in float64."""
    module = importlib.import_module("hf_nli.training.train")

    def load(*arguments, **options):
        model, tokenizer = load_model(*arguments, **options)
        return model.double(), tokenizer

    monkeypatch.setattr(module, "load_model", load)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_accumulation_steps": 3, "per_device_train_batch_size": 8},
        {"tokens_per_batch": 400},
        {"group_by_length": False, "max_grad_norm": 0.0},
        {"gradient_checkpointing": True, "max_train_steps": 10},
        {"soften_attention": False, "loss_reduction": "sum", "lr_scheduler_type": "cosine"},
    ],
    ids=lambda settings: " ".join(settings) or "defaults",
)
def test_the_same_steps(settings, model, pairs, tmp_path, in_float64):
    stock, _ = losses(model, pairs, tmp_path / "stock", "stock", **settings)
    ours, results = losses(model, pairs, tmp_path / "ours", "auto", **settings)
    assert len(stock) == settings.get("max_train_steps", 50)
    assert stock[-1] < stock[0]
    assert ours == pytest.approx(stock, rel=1e-5)
    assert results.padding_fraction == 0


@pytest.mark.parametrize("precision", ["no", "bf16", pytest.param("fp16", marks=ON_GPU)])
def test_the_same_steps_in_each_precision(precision, model, pairs, tmp_path):
    stock, ours = (
        losses(model, pairs, tmp_path / forward, forward, mixed_precision=precision)[0]
        for forward in ("stock", "auto")
    )
    # Rounding is magnified by Adam, whose steps have one size whatever that of the gradients.
    assert ours == pytest.approx(stock, rel=1e-5 if precision == "no" else 3e-2)


def test_what_is_saved_loads_anywhere(model, pairs, tmp_path):
    """With all words, those that training didn't have as they were."""
    before = AutoModelForSequenceClassification.from_pretrained(model).get_input_embeddings().weight
    losses(model, pairs, tmp_path / "run", "auto", max_train_steps=3)
    after = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run").get_input_embeddings().weight
    assert after.shape == before.shape
    changed = (after != before).any(1)
    assert 0 < changed.sum() < len(before)


def test_two_processes(model, pairs, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    program = [*launcher(), ROOT / "scripts/finetune_accelerate.py"]
    flags = ["--model_name_or_path", model, "--dataset", pairs, "--validation_dataset", pairs, "--logging_steps", 1]
    flags += ["--max_train_steps", 6, "--mixed_precision", "no", "--per_device_train_batch_size", 12]
    flags += ["--gradient_accumulation_steps", 2]
    logs = []
    for forward in ("stock", "auto"):
        command = [sys.executable, *program, *flags, "--forward", forward, "--output_dir", tmp_path / forward]
        subprocess.run(list(map(str, command)), env=environment, check=True, timeout=300)
        lines = [json.loads(line) for line in (tmp_path / forward / "train_log.jsonl").read_text().splitlines()]
        logs.append([line["loss"] for line in lines if "loss" in line])
    assert len(logs[0]) == 6
    assert logs[1] == pytest.approx(logs[0], rel=1e-4)


def test_evaluation_and_predictions(model, pairs, tmp_path):
    scores = [
        evaluate(model, pairs, tmp_path / forward, per_device_eval_batch_size=10, forward=forward)
        for forward in ("stock", "auto")
    ]
    assert scores[1].loss == pytest.approx(scores[0].loss, rel=1e-6)
    assert scores[1].confusion_matrix == scores[0].confusion_matrix
    texts = [("A man is outside.", "A man."), ("A dog runs.", "A cat sleeps on a red sofa."), ("No.", "Yes.")]
    stock, ours = (list(predict(*load_model(model), texts, forward=forward)) for forward in ("stock", "auto"))
    for one, other in zip(stock, ours, strict=True):
        assert other["scores"] == pytest.approx(one["scores"], abs=1e-6)
