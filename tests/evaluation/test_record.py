"""A model folder keeps each of its evaluations, and nothing of other weights."""

import json
import shutil
import subprocess
import sys

import pytest
from folder_reports import evaluation, sha256_of
from helpers import write_pairs, write_tiny_model
from huggingface_hub import ModelCard
from PIL import Image

from hf_nli.evaluation.conditions import files_sha256
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.evaluation.record import add_evaluation
from hf_nli.settings.options import DataOptions

CONDITIONS = {
    "dataset": "nyu-mll/glue", "dataset_config": "rte", "dataset_revision": "abc", "split": "validation",
    "text": "parse", "premise_column": "a", "hypothesis_column": "b", "label_column": "c",
    "label_names": ["neutral", "entailment", "contradiction"], "max_seq_length": 32, "truncation": "proportional",
    "mixed_precision": "bf16", "dataset_sha256": "0" * 64,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "model")


def records(folder):
    return json.loads((folder / "evaluations.json").read_text())


@pytest.mark.parametrize("name", CONDITIONS)
def test_other_conditions_are_another_evaluation(name, folder):
    add_evaluation(folder, evaluation(folder, accuracy=0.25))
    add_evaluation(folder, evaluation(folder, accuracy=0.5, **{name: CONDITIONS[name]}))
    first, second = records(folder)
    assert (first["accuracy"], second["accuracy"]) == (0.25, 0.5) and second[name] == CONDITIONS[name]
    assert first["picture"] != second["picture"]
    for record in (first, second):
        assert Image.open(folder / record["picture"]).text["model_sha256"] == sha256_of(folder)


def test_of_equal_conditions_the_last_one_counts(folder):
    for accuracy in (0.25, 0.5):
        add_evaluation(folder, evaluation(folder, accuracy=accuracy))
    (record,) = records(folder)
    assert record["accuracy"] == 0.5 and record["hub_id"] == "stanfordnlp/snli"
    assert [path.name for path in folder.glob("*.png")] == [record["picture"]]


def test_files_count_by_their_content(folder, tmp_path):
    """a/pairs.jsonl and x/pairs.jsonl."""
    for place, sha256 in (("a", "1" * 64), ("x", "2" * 64), ("b", "1" * 64)):
        (tmp_path / place).mkdir()
        (tmp_path / place / "pairs.jsonl").touch()
        add_evaluation(
            folder, evaluation(folder, dataset=str(tmp_path / place / "pairs.jsonl"), dataset_sha256=sha256)
        )
    assert [(each["dataset"], each["dataset_sha256"][0], each["hub_id"]) for each in records(folder)] == [
        ("pairs.jsonl", "2", None), ("pairs.jsonl", "1", None),
    ]  # fmt: skip
    assert str(tmp_path) not in (folder / "evaluations.json").read_text()


def test_a_split_that_nothing_names(folder):
    add_evaluation(folder, evaluation(folder, split=None))
    (record,) = records(folder)
    assert "split" not in record and "None" not in record["picture"] and "train" not in record["picture"]


def test_a_record_of_an_earlier_version(folder):
    """It lacks the figures of confidence, and is kept as it is."""
    add_evaluation(folder, evaluation(folder))
    (old,) = records(folder)
    assert "brier_score" not in old and "expected_calibration_error" not in old
    add_evaluation(folder, evaluation(folder, split="validation", brier_score=0.5, expected_calibration_error=0.25))
    assert records(folder)[0] == old and records(folder)[1]["brier_score"] == 0.5


def test_evaluations_of_other_weights_go(folder, caplog):
    add_evaluation(folder, evaluation(folder))
    (old,) = records(folder)
    other = write_tiny_model(folder.parent / "other", initializer_range=0.5)
    shutil.copyfile(other / "model.safetensors", folder / "model.safetensors")
    add_evaluation(folder, evaluation(folder, split="validation"))
    (record,) = records(folder)
    assert record["split"] == "validation" and record["model_sha256"] == sha256_of(folder) != old["model_sha256"]
    assert [path.name for path in folder.glob("*.png")] == [record["picture"]]
    assert [line.getMessage().count("evaluations.json: 1 of 1 evaluations") for line in caplog.records] == [1]


def test_weights_that_were_replaced_meanwhile(folder, caplog):
    assert not add_evaluation(folder, evaluation(folder, model_sha256="0" * 64))
    assert not (folder / "evaluations.json").exists() and "holds other weights" in caplog.text


def test_two_processes_at_once_lose_nothing(folder):
    program = """
import json, sys
from hf_nli.evaluation.record import add_evaluation
from hf_nli.model.evaluations import Evaluation
content = json.loads(sys.argv[2])
for time in range(50):
    add_evaluation(sys.argv[1], Evaluation(**content | {"dataset_config": f"{sys.argv[3]} {time}"}))
"""
    command = [sys.executable, "-c", program, str(folder), evaluation(folder).to_json()]
    processes = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    names = {each["dataset_config"] for each in records(folder)}
    assert names == {f"{name} {time}" for name in "ab" for time in range(50)}
    assert len(list(folder.glob("confusion_matrix-*.png"))) == 100


def test_evaluate_keeps_both_lengths_in_record_and_card(folder, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    evaluate(str(folder), pairs, tmp_path / "scores")
    evaluate(str(folder), pairs, tmp_path / "scores", max_seq_length=5, data_options=DataOptions(text="raw"))
    assert [each["max_seq_length"] for each in records(folder)] == [32, 5]
    card = (folder / "README.md").read_text()
    for each in records(folder):
        error, brier = each["expected_calibration_error"], each["brier_score"]
        assert (
            f"Accuracy {each['accuracy']:.4f}, loss {each['loss']:.4f}, expected calibration error {error:.4f}, "
            f"Brier score {brier:.4f}, macro F1 {each['macro_f1']:.4f} on 144 pairs" in card
        )
        assert f"up to {each['max_seq_length']} tokens a pair (longest_first), float32, text raw" in card
        assert each["picture"] in card
    results = ModelCard.load(folder / "README.md").data.eval_results
    assert [each.metric_value for each in results] == [each["accuracy"] for each in records(folder)]
    assert ["up to 32 tokens" in results[0].metric_name, "up to 5 tokens" in results[1].metric_name] == [True, True]
    assert not list(tmp_path.glob("**/*.lock"))


def test_the_content_of_a_source(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("train.jsonl", "test.jsonl", ".hidden"):
        (tmp_path / "data" / name).write_text(name)
    whole = files_sha256(str(tmp_path / "data"))
    assert files_sha256(str(tmp_path / "data/*.jsonl")) == whole != files_sha256(str(tmp_path / "data/train.jsonl"))
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    assert files_sha256(str(tmp_path / "elsewhere")) == whole
    (tmp_path / "elsewhere/test.jsonl").write_text("changed")
    assert files_sha256(str(tmp_path / "elsewhere")) != whole
    assert files_sha256("stanfordnlp/snli") is None
