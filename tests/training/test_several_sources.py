"""Training on several data sets: what is told of them, and that a run goes on exactly."""

import json
import shutil

import pytest
from helpers import write_pairs

from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.model.folder import weights_sha256
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

RECIPE = Recipe(
    learning_rate=1e-2, embedding_lr_multiplier=1.0, per_device_train_batch_size=16, num_train_epochs=2, dropout=0.1,
    mixed_precision="no",
)  # fmt: skip
LATEST = RunOptions(resume_from_checkpoint="latest", checkpointing_steps="4")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """36 pairs, and one row without a gold label."""
    return write_pairs(tmp_path_factory.mktemp("data") / "small.jsonl", repeat=1)


@pytest.fixture(scope="module")
def run(model, pairs, small, tmp_path_factory):
    """A run of two epochs of 180 pairs, in 12 steps each."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    sources = [pairs, f"{small}:train"]
    options = RunOptions(checkpointing_steps="4")
    train(model, sources, folder, RECIPE, pairs, run_options=options, mixing_weights=[1, 3])
    return folder


def test_training_json_counts_each_source(run):
    report = json.loads((run / "training.json").read_text())
    assert report["dataset"] == ["pairs.jsonl", "small.jsonl:train"]
    assert report["arguments"] == {"validation_dataset": "pairs.jsonl", "mixing_weights": [1, 3]}
    assert report["sources"] == [
        {"dataset": "pairs.jsonl", "pairs": 144, "drawn": 45, "dropped": 4},
        {"dataset": "small.jsonl:train", "pairs": 36, "drawn": 135, "dropped": 1},
    ]
    results = json.loads((run / "all_results.json").read_text())
    assert (results["num_train_examples"], results["dropped_examples"], results["steps"]) == (180, 5, 24)


def test_the_card_counts_each_source(run):
    card = (run / "README.md").read_text()
    assert "fine-tuned on 180 pairs of pairs.jsonl and small.jsonl:train." in card
    assert "\n| pairs.jsonl | 144 | 45 | 4 |\n| small.jsonl:train | 36 | 135 | 1 |\n" in card
    assert (
        "hf-nli train --model_name_or_path tiny --dataset pairs.jsonl small.jsonl:train --output_dir run "
        "--validation_dataset pairs.jsonl --mixing_weights 1 3 --learning_rate 0.01" in card
    )
    assert str(run.parent) not in card


def test_going_on_from_any_checkpoint_ends_the_same(run, model, pairs, small, tmp_path):
    """To the byte, as if it had been killed after that step."""
    for step in (4, 16):
        folder = tmp_path / str(step)
        for name in (f"checkpoint-{step}", "train_log.jsonl"):
            (shutil.copytree if name.startswith("c") else shutil.copy)(run / name, folder / name)
        train(model, [pairs, f"{small}:train"], folder, RECIPE, pairs, run_options=LATEST, mixing_weights=[1, 3])
        for name in ("model.safetensors", "train_log.jsonl"):
            assert (folder / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.parametrize("weights, turned", [([3, 1], False), (None, False), ([3, 1], True)])
def test_other_proportions_are_other_data(weights, turned, run, model, pairs, small):
    sources = [pairs, small][:: -1 if turned else 1]
    with pytest.raises(InputError, match="a checkpoint of another run .the training data changed"):
        train(model, sources, run, RECIPE, pairs, run_options=LATEST, mixing_weights=weights)


def test_one_source_is_what_it_was(model, pairs, tmp_path):
    """A list of one, and a weight that is all of the weights, change nothing."""
    recipe = Recipe(max_train_steps=3, mixed_precision="no")
    for name, given, weights in (("text", pairs, None), ("list", [pairs], None), ("weight", [pairs], [7.5])):
        train(model, given, tmp_path / name, recipe, pairs, mixing_weights=weights)
    assert len({weights_sha256(tmp_path / name) for name in ("text", "list", "weight")}) == 1
    reports = [json.loads((tmp_path / name / "training.json").read_text()) for name in ("text", "list")]
    assert reports[0] == reports[1] and reports[0]["dataset"] == "pairs.jsonl"


def test_the_command(model, pairs, small, tmp_path, capsys):
    flags = ["train", "--model_name_or_path", model, "--max_train_steps", "2", "--validation_dataset", pairs]
    flags += ["--output_dir", str(tmp_path / "run"), "--dataset", pairs, small]
    assert main([*flags, "--mixing_weights", "2", "1", "1"]) == 2
    assert capsys.readouterr().err.endswith("--mixing_weights: 3 for 2 data sets; give one a data set\n")
    assert main([*flags, "--mixing_weights", "2", "x"]) == 2 and main([*flags, "--mixing_weights", "2", "-1"]) == 2
    assert not (tmp_path / "run").exists()
    assert main([*flags, "--mixing-weights", "2", "1"]) == 0
    assert "Trained on 180 pairs" in capsys.readouterr().out
    report = json.loads((tmp_path / "run/training.json").read_text())
    assert [each["drawn"] for each in report["sources"]] == [120, 60]
