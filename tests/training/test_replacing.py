"""Training into a folder that holds a model already."""

import json

import pytest

from hf_nli.core.errors import InputError
from hf_nli.model.folder import speaks_of, weights_sha256
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

RECIPE = Recipe(learning_rate=1e-2, max_train_steps=2, per_device_train_batch_size=16, mixed_precision="no")


@pytest.fixture
def old(model, pairs, tmp_path):
    """A finished model, with files of an earlier evaluation and of its owner."""
    folder = tmp_path / "models/nli"
    train(model, pairs, folder, RECIPE, pairs, run_options=RunOptions(checkpointing_steps="1"))
    (folder / "evaluations.json").write_text(json.dumps([{"dataset": "x", "model_sha256": weights_sha256(folder)}]))
    (folder / "confusion_matrix-x.png").write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    return folder


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_refused_before_the_work(old, model, pairs, tmp_path):
    before = content(tmp_path / "models")
    with pytest.raises(InputError, match="nli has checkpoint-2 of an earlier run; .*--overwrite_output_dir"):
        train(model, "nowhere.jsonl", old, RECIPE)
    for checkpoint in old.glob("checkpoint-*"):
        checkpoint.rename(tmp_path / checkpoint.name)
    with pytest.raises(InputError, match="nli holds a model already; .*--overwrite_output_dir"):
        train(model, "nowhere.jsonl", old, RECIPE)
    for checkpoint in tmp_path.glob("checkpoint-*"):
        checkpoint.rename(old / checkpoint.name)
    assert content(tmp_path / "models") == before


def test_a_training_that_fails_leaves_the_old_model(old, model, pairs, tmp_path):
    before = content(old)
    recipe = Recipe(learning_rate=1e30, max_grad_norm=0.0, max_train_steps=30, per_device_train_batch_size=16)
    with pytest.raises(InputError, match="the training loss is"):
        train(model, pairs, old, recipe, pairs, overwrite_output_dir=True)
    assert content(old) == before


def test_the_whole_folder_is_replaced(old, model, pairs, tmp_path):
    """What speaks of the old model is gone, what its owner put there isn't."""
    results = train(model, pairs, old, Recipe(max_train_steps=3), pairs, overwrite_output_dir=True)
    assert {path.name for path in old.iterdir()} == {
        "README.md", "all_results.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "train_log.jsonl", "training.json", "training_curves.png", "notes.txt",
    }  # fmt: skip
    assert weights_sha256(old) == results.model_sha256
    for name in ("all_results.json", "training.json", "train_log.jsonl", "training_curves.png"):
        assert speaks_of(old / name) == results.model_sha256
    assert (old / "README.md").read_text().count("nli") > 0 and ".training" not in (old / "README.md").read_text()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["nli"]


def test_a_model_can_be_trained_further_in_its_place(old, pairs):
    first = json.loads((old / "training.json").read_text())
    train(str(old), pairs, old, RECIPE, pairs, overwrite_output_dir=True)
    second = json.loads((old / "training.json").read_text())
    assert second["base"] == first and second["base_model_sha256"] == first["model_sha256"]


def test_overwriting_nothing_is_plain_training(model, pairs, tmp_path):
    train(model, pairs, tmp_path / "run", RECIPE, pairs, overwrite_output_dir=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"] and (tmp_path / "run/README.md").exists()
