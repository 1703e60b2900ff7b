"""The recipe as a Trainer: the same steps as the Accelerate loop, and what users of Trainer expect of it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from helpers import write_tiny_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, EarlyStoppingCallback

from hf_nli.core.errors import InputError
from hf_nli.data.load import load_nli
from hf_nli.model.folder import read_epochs
from hf_nli.settings.recipe import RECIPES, Recipe
from hf_nli.training.train import train
from hf_nli.training.trainer import NLITrainingArguments, StepSampler, make_trainer

ROOT = Path(__file__).parents[2]
RECIPE = {"learning_rate": 5e-3, "per_device_train_batch_size": 8, "num_train_epochs": 3, "mixed_precision": "no"}
RECIPE["embedding_lr_multiplier"] = 2.0
QUIET = {"disable_tqdm": True, "use_cpu": True}


@pytest.fixture
def rows(pairs):
    return load_nli(pairs)["train"]


def losses(history):
    return [record["loss"] for record in history if "loss" in record]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"loss_reduction": "sum", "max_grad_norm": 0.0},
        {"gradient_checkpointing": True},
    ],
)
def test_the_same_steps_as_the_accelerate_loop(changes, model, pairs, rows, tmp_path, monkeypatch):
    """143 pairs, so that a batch of each epoch is smaller."""
    monkeypatch.setattr("hf_nli.training.loop.LOGGING_STEPS", 1)
    recipe = Recipe(**RECIPE | changes)
    train(model, pairs, tmp_path / "loop", recipe, pairs, max_train_samples=143)
    lines = (tmp_path / "loop/train_log.jsonl").read_text().splitlines()
    expected = losses(map(json.loads, lines))
    arguments = NLITrainingArguments.from_recipe(recipe, tmp_path / "trainer", logging_steps=1, **QUIET)
    trainer = make_trainer(model, rows.select(range(143)), rows, arguments)
    trainer.train()
    assert len(expected) == (27 if changes.get("gradient_accumulation_steps") else 54)
    if changes.get("loss_reduction"):  # Trainer logs what is reduced
        sampler = trainer.get_train_dataloader().batch_sampler
        expected = [loss * size for loss, size in zip(expected, step_sizes(sampler), strict=True)]
    assert losses(trainer.state.log_history) == pytest.approx(expected, abs=1e-5)
    accuracies = [record["eval_accuracy"] for record in trainer.state.log_history if "eval_accuracy" in record]
    assert accuracies == [record["eval_accuracy"] for record in read_epochs(tmp_path / "loop")[1:]]


def step_sizes(sampler):
    """The pairs of each batch of three epochs."""
    for epoch in range(3):
        sampler.set_epoch(epoch)
        yield from map(len, sampler)


def test_batches_of_two_processes_are_parts_of_one_s_steps():
    lengths = numpy.random.default_rng(0).integers(5, 60, 1000)
    sizes = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2}
    one, two = (NLITrainingArguments("unused", use_cpu=True, **sizes) for _ in range(2))
    one.per_device_train_batch_size = 16
    two = SimpleNamespace(**vars(two), world_size=2)
    batches = list(BatchSamplerShard(StepSampler(lengths, two), 2, process) for process in range(2))
    ours, theirs = ([*map(set, batch)] for batch in batches)
    both = [first | second for first, second in zip(ours, theirs, strict=True)]
    assert both == [set(rows) for rows in StepSampler(lengths, one)]
    assert len(StepSampler(lengths, two)) == 2 * len(ours) == len(list(StepSampler(lengths, two)))


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
