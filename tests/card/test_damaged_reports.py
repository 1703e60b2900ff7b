"""Reports of another shape than ours never keep a card, an evaluation or a training from being written."""

import json
import math

import pytest
from folder_reports import evaluation, sha256_of, write_calibration, write_conversion, write_training
from helpers import write_tiny_model

from hf_nli.card.card import write_card
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.evaluation.record import add_evaluation
from hf_nli.model.evaluations import EvaluationRecord
from hf_nli.model.reports import read_evaluations
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

REPORTS = ("conversion_report.json", "training.json", "all_results.json", "evaluations.json")
REPORTS += ("calibration_report.json",)
OTHER_VALUES = (3, "x", [None], {"a": 1}, math.nan)
SHAPES = (
    "{",
    "",
    "[]",
    "{}",
    '"x"',
    "3",
    "null",
    '{"model_sha256": 3}',
    '["x"]',
    '[{"model_sha256": []}]',
    "[" * 10**5,
)


@pytest.fixture
def folder(tmp_path):
    folder = write_tiny_model(tmp_path / "model")
    write_conversion(folder)
    write_training(folder)
    add_evaluation(folder, evaluation(folder))
    write_calibration(folder)
    return folder


@pytest.mark.parametrize("name", [*REPORTS, "train_log.jsonl"])
def test_files_of_another_shape(name, folder):
    for shape in SHAPES:
        (folder / name).write_text(shape)
        assert "## " in write_card(folder).read_text()


@pytest.mark.parametrize("name", REPORTS)
def test_values_of_another_type(name, folder):
    content = json.loads((folder / name).read_text())
    first = content[0] if isinstance(content, list) else content
    for key in first.keys() - {"model_sha256"}:
        for value in OTHER_VALUES:
            changed = first | {key: value}
            (folder / name).write_text(json.dumps([changed] if isinstance(content, list) else changed))
            assert "nan" not in write_card(folder).read_text().lower()


def test_lines_of_a_log_of_another_shape(folder, caplog):
    last = json.dumps({"model_sha256": sha256_of(folder)})
    for line in ('{"eval_accuracy"', "3", '{"eval_accuracy": "x", "epoch": []}'):
        (folder / "train_log.jsonl").write_text(f"{line}\n{last}\n")
        write_card(folder)
    assert "train_log.jsonl is left out" in caplog.text


def test_what_is_whole_stays(folder, caplog):
    """Of a list with damaged entries; pictures elsewhere are none of the model's."""
    (whole,) = json.loads((folder / "evaluations.json").read_text())
    others = [3, "x", whole | {"accuracy": "high"}, whole | {"max_seq_length": 1.5}, whole | {"per_label": {"a": 1}}]
    (folder / "evaluations.json").write_text(json.dumps([*others, whole]))
    assert read_evaluations(folder, sha256_of(folder)) == [EvaluationRecord.from_json(whole)]
    lines = [record.getMessage().partition("evaluations.json: ")[2] for record in caplog.records]
    assert lines == [
        "entry 1 is left out: it is a int, not an object",
        "entry 2 is left out: it is a str, not an object",
        "an evaluation on stanfordnlp/snli is left out: its accuracy is 'high'",
        "an evaluation on stanfordnlp/snli is left out: its max_seq_length is 1.5",
        "an evaluation on stanfordnlp/snli is left out: its per_label is {'a': 1}",
    ]


@pytest.mark.parametrize("shape", ["{", "[]", '{"model_sha256": "%s"}', '{"model_sha256": "%s", "base": "x"}'])
def test_commands_go_on(shape, folder, pairs, tmp_path):
    for name in REPORTS:
        (folder / name).write_text(shape % sha256_of(folder) if "%" in shape else shape)
    assert evaluate(str(folder), pairs, tmp_path / "scores").examples == 144
    (record,) = json.loads((folder / "evaluations.json").read_text())
    assert record["examples"] == 144 and "144" in (folder / "README.md").read_text()
    assert train(str(folder), pairs, tmp_path / "new", Recipe(max_train_steps=1), pairs).steps == 1
    assert (tmp_path / "new" / "README.md").exists()
