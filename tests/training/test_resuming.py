"""Going on from a checkpoint: which changes are refused, and that folder and figures agree afterwards."""

import dataclasses
import json
import shutil

import pytest
from helpers import write_tiny_model
from safetensors.torch import load_file, save_file

from hf_nli.core.errors import InputError
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.model.folder import read_epochs
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

RECIPE = Recipe(
    learning_rate=1e-2,
    embedding_lr_multiplier=1.0,
    lr_scheduler_type="constant",
    per_device_train_batch_size=16,
    num_train_epochs=2,
    mixed_precision="no",
    dropout=0.1,
)
LATEST = RunOptions(resume_from_checkpoint="latest", checkpointing_steps="epoch")


@pytest.fixture(scope="module")
def finished(model, pairs, tmp_path_factory):
    """A run of two epochs of 9 steps, with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(model, pairs, folder, RECIPE, pairs, run_options=RunOptions(checkpointing_steps="epoch"))
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def changed(**changes):
    return dataclasses.replace(RECIPE, **changes)


def test_what_is_refused(run, model, pairs, tmp_path):
    """And nothing is changed by it."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    other = str(write_tiny_model(tmp_path / "other", hidden_dropout_prob=0.3))
    refused = {
        "the model to start from changed": (other, pairs, RECIPE, None),
        "the training data changed": (model, pairs, RECIPE, 99),
        "learning_rate 0.01 there, 0.02 now": (model, pairs, changed(learning_rate=0.02), None),
        "mixed_precision no there, bf16 now": (model, pairs, changed(mixed_precision="bf16"), None),
    }
    for message, (name, data, recipe, samples) in refused.items():
        with pytest.raises(InputError, match=f"a checkpoint of another run .{message}"):
            train(name, data, run, recipe, pairs, samples, run_options=LATEST)
    with pytest.raises(InputError, match="checkpoint-18 of an earlier run; go on from it"):
        train(model, pairs, run, RECIPE, pairs)
    with pytest.raises(InputError, match="no checkpoint to resume from"):
        train(model, pairs, tmp_path / "new", RECIPE, pairs, run_options=LATEST)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_other_weights_of_the_same_shape_are_refused(run, model, pairs, tmp_path):
    other = shutil.copytree(model, tmp_path / "tiny")
    weights = load_file(other / "model.safetensors")
    weights["classifier.bias"] += 1e-6
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="the model to start from changed"):
        train(str(other), pairs, run, RECIPE, pairs, run_options=LATEST)


def test_a_run_that_had_ended(run, model, pairs):
    before = (run / "all_results.json").read_text(), (run / "train_log.jsonl").read_text()
    train(model, pairs, run, RECIPE, pairs, run_options=LATEST)
    assert ((run / "all_results.json").read_text(), (run / "train_log.jsonl").read_text()) == before


def test_more_epochs(run, model, pairs, tmp_path):
    """With a constant schedule it is the longer run, to the byte; other settings may change on the way."""
    recipe = changed(num_train_epochs=4, warmup_ratio=0.0, dropout=0.0)
    short = dataclasses.replace(recipe, num_train_epochs=2)
    train(model, pairs, tmp_path / "whole", recipe, pairs)
    train(model, pairs, tmp_path / "parts", short, pairs, run_options=RunOptions(checkpointing_steps="epoch"))
    recipe = dataclasses.replace(recipe, per_device_eval_batch_size=7, early_stopping_patience=9)
    options = dataclasses.replace(LATEST, logging_steps=3)
    results = train(model, pairs, tmp_path / "parts", recipe, pairs, run_options=options)
    assert results.epochs == 4 and results.steps == 36
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_more_epochs_of_a_schedule_that_depends_on_them(schedule, model, pairs, tmp_path):
    recipe = changed(lr_scheduler_type=schedule, num_train_epochs=1)
    train(model, pairs, tmp_path / "run", recipe, pairs, run_options=RunOptions(checkpointing_steps="epoch"))
    recipe = dataclasses.replace(recipe, num_train_epochs=3)
    with pytest.raises(InputError, match=f"the {schedule} schedule .*; go on with --num_train_epochs 1"):
        train(model, pairs, tmp_path / "run", recipe, pairs, run_options=LATEST)


def test_the_warm_up_does_not_grow_with_the_steps(model, pairs, tmp_path):
    """Two steps of 20 to warm up, where 200 steps would have 20."""
    recipe = changed(max_train_steps=20)
    train(model, pairs, tmp_path / "run", recipe, pairs, run_options=RunOptions(checkpointing_steps="5"))
    options = RunOptions(resume_from_checkpoint=str(tmp_path / "run/checkpoint-10"), logging_steps=1)
    recipe = dataclasses.replace(recipe, max_train_steps=200, early_stopping_patience=1)
    train(model, pairs, tmp_path / "run", recipe, pairs, run_options=options)
    log = [json.loads(line) for line in (tmp_path / "run/train_log.jsonl").read_text().splitlines()]
    rates = [record["learning_rate"] for record in log if "learning_rate" in record]
    assert len(rates) > 5 and set(rates) == {1e-2}


def test_from_an_older_checkpoint_the_folder_has_its_best_model(run, model, pairs, tmp_path):
    """Epoch 2 was better, and its weights were saved; a run that ends after epoch 1 must not leave them there."""
    epochs = read_epochs(run)
    assert epochs[1]["eval_accuracy"] > epochs[0]["eval_accuracy"]
    options = RunOptions(resume_from_checkpoint=str(run / "checkpoint-9"))
    results = train(model, pairs, run, changed(num_train_epochs=1), pairs, run_options=options)
    assert results.best_epoch == 1 and results.eval_accuracy == epochs[0]["eval_accuracy"]
    assert evaluate(str(run), pairs, tmp_path / "scores").accuracy == results.eval_accuracy


def test_a_checkpoint_after_the_last_step_of_an_epoch(model, pairs, tmp_path):
    """The epoch's end is yet to come: it is scored and counted when the run goes on."""
    options = RunOptions(checkpointing_steps="9", checkpoints_total_limit=1)
    whole = train(model, pairs, tmp_path / "run", RECIPE, pairs, run_options=options)
    expected = (tmp_path / "run/train_log.jsonl").read_text()
    again = train(model, pairs, tmp_path / "run", RECIPE, pairs, run_options=LATEST)
    assert (again.epochs, again.best_epoch, again.eval_loss) == (whole.epochs, whole.best_epoch, whole.eval_loss)
    assert (tmp_path / "run/train_log.jsonl").read_text() == expected
