"""The recipe as a Trainer: the same steps as the Accelerate loop, and what users of Trainer expect of it."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import write_tiny_model
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, EarlyStoppingCallback

from hf_nli.core.errors import InputError
from hf_nli.data.batches import epoch_batches
from hf_nli.data.load import load_nli
from hf_nli.settings.recipe import RECIPES, Recipe
from hf_nli.training.train import train
from hf_nli.training.trainer import NLITrainingArguments, make_trainer

ROOT = Path(__file__).parents[2]
RECIPE = {"learning_rate": 5e-3, "per_device_train_batch_size": 8, "num_train_epochs": 3, "mixed_precision": "no"}
RECIPE["embedding_lr_multiplier"] = 2.0
QUIET = {"disable_tqdm": True, "use_cpu": True}


@pytest.fixture
def rows(pairs):
    return load_nli(pairs)["train"]


def losses(history):
    return [record["loss"] for record in history if "loss" in record]


def validation(history, name):
    return [record[name] for record in history if name in record and record.get("epoch", 0) > 0]


@pytest.fixture
def run_both(model, pairs, rows, tmp_path, monkeypatch):
    """Runs the Accelerate loop and Trainer with one recipe on the first so many rows; the loop logs mean losses."""

    def run(recipe, number):
        monkeypatch.setattr("hf_nli.training.loop.LOGGING_STEPS", 1)
        train(model, pairs, tmp_path / "loop", recipe, pairs, max_train_samples=number)
        log = [json.loads(line) for line in (tmp_path / "loop/train_log.jsonl").read_text().splitlines()]
        arguments = NLITrainingArguments.from_recipe(recipe, tmp_path / "trainer", logging_steps=1, **QUIET)
        trainer = make_trainer(model, rows.select(range(number)), rows, arguments)
        trainer.train()
        return log, trainer

    return run


@pytest.mark.parametrize("number", [143, 34])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"gradient_accumulation_steps": 4},
        {"gradient_accumulation_steps": 4, "loss_reduction": "sum", "max_grad_norm": 0.0},
        {"gradient_checkpointing": True},
    ],
)
def test_the_same_steps_as_the_accelerate_loop(changes, number, run_both):
    """In steps of 8, 16 and 32 pairs, of which 143 leave 7 or 15, and 34 leave 2, too few for 4 parts."""
    log, trainer = run_both(Recipe(**RECIPE | changes), number)
    size = 8 * changes.get("gradient_accumulation_steps", 1)
    expected = losses(log)
    assert len(expected) == 3 * math.ceil(number / size)
    if changes.get("loss_reduction"):  # Trainer logs what is reduced
        lengths = trainer.get_train_dataloader().dataset.table.lengths
        steps = [len(step) for epoch in (1, 2, 3) for step in epoch_batches(lengths, size, 42, epoch)]
        expected = [loss * step for loss, step in zip(expected, steps, strict=True)]
    history = trainer.state.log_history
    assert losses(history) == pytest.approx(expected, abs=1e-5)
    assert validation(history, "eval_accuracy") == validation(log, "eval_accuracy")
    assert validation(history, "eval_loss") == pytest.approx(validation(log, "eval_loss"), abs=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_same_weights_as_the_accelerate_loop(reduction, run_both, tmp_path):
    recipe = {"gradient_accumulation_steps": 4, "num_train_epochs": 1, "warmup_ratio": 0.0}
    _, trainer = run_both(Recipe(**RECIPE | recipe, loss_reduction=reduction), 34)
    ours, theirs = load_file(tmp_path / "loop/model.safetensors"), trainer.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, atol=1e-6, rtol=0)


def test_it_resumes_in_the_middle_of_an_epoch(model, rows, tmp_path):
    recipe, states = Recipe(**RECIPE, dropout=0.1), []
    for folder in ("whole", "resumed"):
        settings = QUIET | {"save_strategy": "steps", "save_steps": 24, "load_best_model_at_end": False}
        arguments = NLITrainingArguments.from_recipe(recipe, tmp_path / folder, **settings | {"save_total_limit": 9})
        trainer = make_trainer(model, rows, rows, arguments)
        trainer.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-24") if folder == "resumed" else None)
        states.append(trainer.model.state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_a_model_with_another_label_order(rows, tmp_path):
    names = {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"}
    label2id = {name: index for index, name in names.items()}
    model = write_tiny_model(tmp_path / "model", id2label=names, label2id=label2id)
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", **QUIET)
    trainer = make_trainer(str(model), rows, rows, arguments)
    trainer.train()
    assert trainer.evaluate()["eval_accuracy"] > 0.9
    trainer.save_model()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    logits = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")(
        **tokenizer("a man runs.", "is", return_tensors="pt")
    ).logits
    assert names[logits.argmax().item()] == "ENTAILMENT"
    predictions = trainer.predict(trainer.eval_dataset)
    assert predictions.predictions.shape == (144, 3) and predictions.metrics["test_f1_neutral"] > 0.9


def test_callbacks_and_hyperparameter_search(model, rows, tmp_path):
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", max_steps=4, **QUIET)
    trainer = make_trainer(model, rows, rows, arguments, callbacks=[EarlyStoppingCallback(1)])
    best = trainer.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2)}, n_trials=2
    )
    assert 1e-4 <= best.hyperparameters["learning_rate"] <= 1e-2
    assert any(isinstance(callback, EarlyStoppingCallback) for callback in trainer.callback_handler.callbacks)


def test_what_is_saved_is_stock(model, rows, tmp_path):
    """And typed special tokens stay text for whoever reads tokenizer.json alone."""
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", max_steps=2, **QUIET)
    trainer = make_trainer(model, rows, rows, arguments)
    trainer.train()
    trainer.save_model()
    assert json.loads((tmp_path / "run/tokenizer.json").read_text())["added_tokens"] == []
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "run").config.id2label[1] == "neutral"


def test_recipes_in_trainer_s_words(tmp_path):
    book = Recipe(**RECIPES["d2l"])
    arguments = NLITrainingArguments.from_recipe(book, tmp_path, use_cpu=True)
    assert arguments.lr_scheduler_type == "constant_with_warmup" and arguments.warmup_steps == 0
    assert (arguments.loss_reduction, arguments.dropout, arguments.bf16) == ("sum", 0.2, False)
    assert NLITrainingArguments.from_recipe(Recipe(mixed_precision="bf16"), tmp_path, use_cpu=True).bf16
    plain, ours = NLITrainingArguments(str(tmp_path), use_cpu=True), Recipe(mixed_precision="no")
    assert NLITrainingArguments.from_recipe(ours, tmp_path, use_cpu=True).to_dict() == plain.to_dict()
    with pytest.raises(InputError, match="tokens_per_batch"):
        NLITrainingArguments.from_recipe(Recipe(tokens_per_batch=100), tmp_path)


@pytest.mark.parametrize("form", ["flags", "yaml", "json"])
def test_script(form, model, pairs, tmp_path):
    settings = {"model_name_or_path": model, "dataset": pairs, "validation_dataset": pairs}
    settings |= {"output_dir": str(tmp_path / "run"), "num_train_epochs": 1, "learning_rate": 0.005, "use_cpu": True}
    if form == "flags":
        given = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    else:
        path = tmp_path / f"arguments.{form}"
        path.write_text(json.dumps(settings))  # JSON is YAML
        given = [str(path)]
    command = [sys.executable, str(ROOT / "scripts/finetune_trainer.py"), *given]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    results = json.loads((tmp_path / "run/all_results.json").read_text())
    assert {"train_loss", "eval_accuracy", "epoch"} <= results.keys()
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    if form == "flags":
        settings["dataset"] = "nowhere.jsonl"
        given = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        result = subprocess.run([*command[:2], *given], capture_output=True, text=True, timeout=300)
        assert result.returncode == 2 and result.stderr.splitlines()[-1].startswith("finetune_trainer.py: error: nowh")
        assert "Traceback" not in result.stderr
