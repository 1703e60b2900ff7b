"""Reports are taken if they are about the weights that are there; others are told, a line each."""

import json

import pytest
from folder_reports import (
    CONVERSION,
    EPOCHS,
    evaluation,
    sha256_of,
    write_calibration,
    write_conversion,
    write_training,
)
from helpers import write_tiny_model

from hf_nli.evaluation.record import add_evaluation
from hf_nli.model.reports import read_reports

ALL = {"conversion_report.json", "training.json", "all_results.json", "train_log.jsonl", "training_curves.png"}
OTHER = "f" * 64


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "model")


def test_reports_of_these_weights(folder, caplog):
    write_conversion(folder)
    write_training(folder, model="bert")
    add_evaluation(folder, evaluation(folder))
    reports = read_reports(folder)
    (record,) = reports.evaluations
    assert reports.files == ALL | {"evaluations.json", record.picture}
    assert reports.sha256 == sha256_of(folder) and reports.conversion["sha1"] == CONVERSION["sha1"]
    assert reports.training["model"] == "bert" and reports.results["steps"] == 30
    assert reports.epochs == list(EPOCHS) and record.accuracy == 0.5
    assert not caplog.text


def test_reports_of_other_weights(folder, caplog):
    write_conversion(folder)
    write_training(folder)
    add_evaluation(folder, evaluation(folder))
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1] + b"\1")
    reports = read_reports(folder)
    assert (reports.conversion, reports.training, reports.results, reports.epochs) == (None, None, None, [])
    assert not reports.evaluations and not reports.files
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 6
    for name in ALL:
        (line,) = (line for line in lines if name in line)
        assert "is left out: it is about other weights" in line and "\n" not in line
    assert any("evaluations.json: 1 of 1 evaluations are left out" in line for line in lines)


def test_a_report_that_names_no_weights(folder, caplog):
    (folder / "training.json").write_text(json.dumps({"model": "a"}))
    assert read_reports(folder).training is None
    assert "training.json is left out: it names no weights" in caplog.text


def test_a_conversion_before_two_trainings(folder, caplog):
    """conversion_report.json goes along with the weights that training began from."""
    first = {"model": "bert", "base_model_sha256": OTHER}
    write_training(folder, base_model_sha256="e" * 64, base=first)
    write_conversion(folder, model_sha256=OTHER)
    assert "conversion_report.json" in read_reports(folder).files and not caplog.text
    write_conversion(folder, model_sha256="e" * 64)  # that of the second one, which is no conversion's
    assert read_reports(folder).conversion is None
    write_conversion(folder, model_sha256=OTHER)
    write_training(folder, base_model_sha256="e" * 64, base=first, model_sha256="d" * 64)
    assert read_reports(folder).conversion is None  # the chain is of other weights


def test_calibrations_after_a_training(folder, caplog):
    """What is known of the weights before two calibrations is true of these; what those score isn't."""
    first = {"base_model_sha256": OTHER, "model_sha256": "e" * 64}
    write_calibration(folder, base_model_sha256="e" * 64, base=first)
    write_training(folder, model_sha256=OTHER)
    write_conversion(folder, model_sha256="0" * 64)
    reports = read_reports(folder)
    assert reports.files == ALL | {"calibration_report.json"} and not caplog.text
    assert reports.calibration["temperature"] == 1.5 and reports.training and reports.conversion and reports.epochs
    add_evaluation(folder, evaluation(folder))
    records = json.loads((folder / "evaluations.json").read_text())
    (folder / "evaluations.json").write_text(json.dumps([records[0] | {"model_sha256": OTHER}]))
    assert read_reports(folder).evaluations == []
    write_calibration(folder, base_model_sha256="e" * 64)  # of which weights those are is not known
    assert read_reports(folder).files == {"calibration_report.json"}
    write_calibration(folder, base_model_sha256=OTHER, model_sha256="d" * 64)
    assert not read_reports(folder).files and "calibration_report.json is left out: it is about" in caplog.text


def test_a_conversion_before_a_calibration_before_a_training(folder, caplog):
    calibration = {"base_model_sha256": OTHER, "model_sha256": "0" * 64}
    write_training(folder, base_calibration=calibration)
    write_conversion(folder, model_sha256=OTHER)
    assert read_reports(folder).conversion and not caplog.text
    write_training(folder)
    assert read_reports(folder).conversion is None


def test_damaged_records(folder, caplog):
    add_evaluation(folder, evaluation(folder))
    (record,) = json.loads((folder / "evaluations.json").read_text())
    broken = {name: value for name, value in record.items() if name != "accuracy"}
    (folder / "evaluations.json").write_text(json.dumps([broken, record]))
    assert len(read_reports(folder).evaluations) == 1
    assert "an evaluation on stanfordnlp/snli is left out: it has no accuracy" in caplog.text
    (folder / "evaluations.json").write_text("[")
    assert read_reports(folder).evaluations == [] and "evaluations.json is left out: it can't be read" in caplog.text
