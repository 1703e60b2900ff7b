"""The model card says what was measured, keeps what users add, and is valid metadata."""

import json
import shutil

import pytest
from helpers import write_pairs, write_tiny_model
from huggingface_hub import ModelCard
from PIL import Image

from hf_nli.card.card import BEGIN, END, add_evaluation, write_card
from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import hub_id, public_name
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

REPORT = {
    "source": "/home/somebody/secret/d2l_small", "sha1": "abc123", "framework": "pytorch", "sizes": {"num_heads": 2},
    "max_abs_difference": 3.25e-6, "median_abs_difference": 8.5e-7, "source_float32_difference": 2.75e-6,
    "source_float32_median_difference": 8.25e-7, "text_style": "ptb", "unk_rate": {"ptb": 0.0123},
    "text_sample": "/home/somebody/secret/dev.jsonl", "carried_over": ["a", "b"], "not_carried_over": ["c"],
    "initialized": ["output.weight"],
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A converted model, fine-tuned for two epochs and evaluated."""
    folder = tmp_path_factory.mktemp("card")
    model = write_tiny_model(folder / "model")
    (model / "conversion_report.json").write_text(json.dumps(REPORT))
    pairs = write_pairs(folder / "pairs.jsonl")
    results = train(str(model), pairs, folder / "run", Recipe(num_train_epochs=2, learning_rate=0.01), pairs)
    evaluate(str(folder / "run"), pairs, folder / "scores")
    return folder / "run", results


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


def test_figures_are_the_reports(trained):
    folder, results = trained
    card, log = (folder / "README.md").read_text(), (folder / "train_log.jsonl").read_text().splitlines()
    for record in map(json.loads, log):
        if "train_loss" in record:
            names = ("train_loss", "train_accuracy", "eval_loss", "eval_accuracy")
            number = f"**{record['epoch']}**" if record["epoch"] == results["best_epoch"] else record["epoch"]
            assert f"| {number} | {' | '.join(f'{record[name]:.4f}' for name in names)} |" in card
    assert "largest difference 3.2e-06, median row 8.5e-07" in card and "`abc123`; 2 tensors" in card
    assert "Of the words of `dev.jsonl`, 1.23 % are unknown in text style ptb" in card
    (evaluation,) = json.loads((folder / "evaluations.json").read_text())
    assert f"Accuracy {evaluation['accuracy']:.4f}, loss {evaluation['loss']:.4f} on 144 pairs" in card
    assert "`--learning_rate 0.01`" in card and "hf-nli convert --source d2l_small --num_heads 2" in card
    assert '{"text": "A soccer game' in card and "Penn Treebank" in card
    assert Image.open(folder / evaluation["picture"]).size == (576, 480)


def test_it_tells_no_paths(trained):
    for file in ("README.md", "evaluations.json", "training.json", "all_results.json", "train_log.jsonl"):
        assert "/home" not in (trained[0] / file).read_text() and str(trained[0].parent) not in file


def test_metadata(trained):
    card = ModelCard.load(trained[0] / "README.md")
    data = card.data
    assert (data.language, data.library_name, data.pipeline_tag) == ("en", "transformers", "text-classification")
    assert data.base_model is None and data.datasets is None  # neither is on the Hub
    (result,) = data.eval_results
    (evaluation,) = json.loads((trained[0] / "evaluations.json").read_text())
    assert (result.metric_type, result.metric_value, result.dataset_split) == (
        "accuracy", evaluation["accuracy"], "train"
    )  # fmt: skip
    example = data.widget[0]
    assert set(example) == {"text", "text_pair", "output"}
    assert sum(each["score"] for each in example["output"]) == pytest.approx(1, abs=1e-3)


def test_hub_ids_are_named(folder):
    facts = json.loads((folder / "training.json").read_text())
    facts |= {"model": "d2l/bert-small", "dataset": "stanfordnlp/snli"}
    (folder / "training.json").write_text(json.dumps(facts))
    evaluation = json.loads((folder / "evaluations.json").read_text())[0] | {"dataset": "stanfordnlp/snli"}
    add_evaluation(folder, evaluation | {"split": "test"}, revision="abc")
    data = ModelCard.load(write_card(folder)).data
    assert data.base_model == "d2l/bert-small" and data.datasets == ["stanfordnlp/snli"]
    result = data.eval_results[1]
    assert (result.dataset_type, result.dataset_split, result.dataset_revision) == ("stanfordnlp/snli", "test", "abc")


def test_what_users_add_stays(folder):
    path = folder / "README.md"
    card = path.read_text()
    card = card.replace("license: cc-by-sa-4.0", "license: mit\nthumbnail: picture.png").replace("- nli", "- captions")
    path.write_text(card.replace(BEGIN, f"Before.\n\n{BEGIN}").replace(END, f"{END}\n\nAfter."))
    (folder / "evaluations.json").unlink()
    write_card(folder)
    card = path.read_text()
    assert "\nBefore.\n" in card and card.endswith("\nAfter.\n") and "## Evaluation" not in card
    data = ModelCard.load(path).data
    assert data.license == "mit" and data.thumbnail == "picture.png" and data.eval_results is None
    assert {"nli", "captions"} <= set(data.tags)
    write_card(folder)
    assert path.read_text() == card
    path.write_text("My own words.\n")
    write_card(folder)
    assert path.read_text().endswith("\nMy own words.\n") and path.read_text().count(BEGIN) == 1


def test_a_card_that_can_t_be_read_keeps_nothing_else_from_being_done(folder, trained, caplog):
    (folder / "README.md").write_text("---\ntags: [\n---\n")
    with pytest.raises(InputError, match="README.md: its metadata can't be read"):
        write_card(folder)
    evaluate(str(folder), str(trained[0].parent / "pairs.jsonl"), folder.parent / "scores")
    assert (folder.parent / "scores/eval_results.json").exists() and "The model's card stays as it is" in caplog.text


def test_missing_reports_leave_their_sections_out(tmp_path):
    card = write_card(write_tiny_model(tmp_path / "model")).read_text()
    assert "## Usage" in card and "## Limits" in card
    for title in ("Training", "Evaluation", "How the conversion", "How to reproduce"):
        assert f"## {title}" not in card
    assert "fine-tuned on" not in card and "converted" not in card


def test_training_again_forgets_evaluations(folder, trained):
    pairs = str(trained[0].parent / "pairs.jsonl")
    train(str(folder), pairs, folder, Recipe(max_train_steps=1), pairs)
    assert not (folder / "evaluations.json").exists() and "## Evaluation" not in (folder / "README.md").read_text()


def test_names(tmp_path, monkeypatch):
    assert public_name(str(tmp_path / "secret/name")) == "name" and public_name("a/b") == "a/b"
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert public_name("a/b") == "b" and hub_id("a/b") is None and hub_id("a/b/c") is None
