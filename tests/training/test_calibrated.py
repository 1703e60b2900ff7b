"""`hf-nli train --calibrate`: the model that a run leaves is calibrated, and whole, or isn't there."""

import json
from itertools import product

import pytest
import torch
from folder_reports import sha256_of
from helpers import SUBJECTS, VERBS, write_tiny_model
from safetensors.torch import load_file

from hf_nli.cli.run import main
from hf_nli.core.labels import LABELS
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.model.reports import read_reports
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training import calibration
from hf_nli.training.train import train

RECIPE = Recipe(num_train_epochs=3, learning_rate=0.02, mixed_precision="no", per_device_train_batch_size=16)
HYPOTHESES = ("is", "outside", "not .")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Pairs whose hypothesis tells the label four times of five."""
    rows, number = [], 0
    for subject, verb in 4 * list(product(SUBJECTS, VERBS)):
        for index, hypothesis in enumerate(HYPOTHESES):
            number += 1
            label = LABELS[(index + (number % 5 == 0)) % 3]
            rows.append({"premise": f"{subject} {verb}", "hypothesis": hypothesis, "label": label})
    path = tmp_path_factory.mktemp("data") / "noisy.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def runs(model, noisy, tmp_path_factory):
    """The same run without and with it."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("plain", "calibrated"):
        train(model, noisy, folder / name, RECIPE, noisy, calibrate=name == "calibrated")
    return folder


def read(folder, name="calibration_report.json"):
    return json.loads((folder / name).read_text())


def test_the_weights_are_those_of_the_run_but_for_the_last_layer(runs):
    plain, calibrated = (load_file(runs / name / "model.safetensors") for name in ("plain", "calibrated"))
    temperature = read(runs / "calibrated", "all_results.json")["temperature"]
    assert temperature == read(runs / "calibrated")["temperature"] and temperature != pytest.approx(1, abs=0.01)
    assert plain.keys() == calibrated.keys()
    for name, weights in plain.items():
        expected = weights / temperature if name.startswith("classifier.") else weights
        torch.testing.assert_close(calibrated[name], expected, rtol=1e-6, atol=0 if "class" not in name else 1e-7)


def test_the_reports(runs, noisy, tmp_path):
    report, folder = read(runs / "calibrated"), runs / "calibrated"
    assert report["base_model_sha256"] == sha256_of(runs / "plain") and report["model_sha256"] == sha256_of(folder)
    assert report["pairs"] == "noisy.jsonl" and report["fitted_pairs"] + report["held_out_pairs"] == 144
    assert report["max_seq_length"] == 32 and "model" not in report
    assert {"calibration_report.json", "training.json", "all_results.json"} <= read_reports(folder).files
    results = [evaluate(str(runs / name), noisy, tmp_path / name) for name in ("plain", "calibrated")]
    assert results[0].accuracy == results[1].accuracy and results[1].loss < results[0].loss
    assert "temperature" not in read(runs / "plain", "all_results.json")
    assert not (runs / "plain/calibration_report.json").exists()
    card = (folder / "README.md").read_text()
    assert "After training, the logits were divided by a temperature" in card and "--calibrate True" in card
    assert "hf-nli calibrate" not in card


def test_a_model_that_is_always_right_is_left_alone(model, pairs, tmp_path, capsys):
    """Which is no reason to lose what was trained."""
    flags = ["--model_name_or_path", model, "--dataset", pairs, "--validation_dataset", pairs]
    flags += ["--output_dir", str(tmp_path / "out"), "--learning_rate", "0.02", "--num_train_epochs", "5"]
    assert main(["train", *flags, "--calibrate", "--per_device_train_batch_size", "16"]) == 0
    assert read(tmp_path / "out", "all_results.json")["eval_accuracy"] == 1
    assert not (tmp_path / "out/calibration_report.json").exists()
    assert "The model isn't calibrated: the model on the validation pairs: no temperature" in capsys.readouterr().err


@pytest.mark.parametrize("checkpoints", [None, "epoch"])
def test_a_run_that_ends_while_it_calibrates(checkpoints, model, noisy, runs, tmp_path, monkeypatch):
    """It leaves no model; with checkpoints it goes on, and ends as if nothing had happened."""

    def killed(*_):
        raise KeyboardInterrupt

    options = RunOptions(checkpointing_steps=checkpoints)
    monkeypatch.setattr(calibration, "staged", killed)
    with pytest.raises(KeyboardInterrupt):
        train(model, noisy, tmp_path / "out", RECIPE, noisy, run_options=options, calibrate=True)
    assert not list(tmp_path.glob("**/calibration_report.json"))
    assert not (tmp_path / "out/model.safetensors").exists()
    if not checkpoints:
        assert list(tmp_path.iterdir()) == []
        return
    monkeypatch.undo()
    options = RunOptions(checkpointing_steps=checkpoints, resume_from_checkpoint="latest")
    train(model, noisy, tmp_path / "out", RECIPE, noisy, run_options=options, calibrate=True)
    assert sha256_of(tmp_path / "out") == sha256_of(runs / "calibrated")


def test_an_older_model_is_replaced_as_a_whole(model, noisy, runs, tmp_path):
    """With its calibration, which an uncalibrated model has none of."""
    write_tiny_model(tmp_path / "out")
    train(model, noisy, tmp_path / "out", RECIPE, noisy, overwrite_output_dir=True, calibrate=True)
    assert sha256_of(tmp_path / "out") == sha256_of(runs / "calibrated")
    train(model, noisy, tmp_path / "out", RECIPE, noisy, overwrite_output_dir=True)
    assert sha256_of(tmp_path / "out") == sha256_of(runs / "plain")
    assert not (tmp_path / "out/calibration_report.json").exists()
