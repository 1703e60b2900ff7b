"""What the commands measure is what their cards say: a conversion, two trainings, evaluations, one after the other."""

import json
import re

import pytest
from folder_reports import sha256_of
from helpers import SPECIAL_TOKENS, WORDS, d2l_model, write_checkpoint, write_pairs

from hf_nli.d2l.convert import convert
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.model.reports import read_reports
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

SIZES = {"num_hiddens": 16, "ffn_num_hiddens": 24, "num_heads": 2, "num_blks": 1, "max_len": 24}
RECIPE = Recipe(max_train_steps=3, learning_rate=0.01, mixed_precision="no")


@pytest.fixture(scope="module")
def runs(d2l, tmp_path_factory):
    """Folders converted, first and second."""
    folder = tmp_path_factory.mktemp("runs")
    tokens = [*SPECIAL_TOKENS, *WORDS]
    net = d2l_model(d2l, vocab_size=len(tokens), **SIZES)
    checkpoint = write_checkpoint(folder / "d2l_small", net.state_dict(), tokens)
    pairs = write_pairs(folder / "pairs.jsonl")
    convert(str(checkpoint), folder / "converted", num_heads=2)
    train(str(folder / "converted"), pairs, folder / "first", RECIPE, pairs)
    train(str(folder / "first"), pairs, folder / "second", RECIPE, max_train_samples=100, license="mit")
    evaluate(str(folder / "second"), pairs, folder / "scores")
    return folder


@pytest.mark.parametrize("name", ["first", "second"])
def test_everything_there_is_about_the_weights(name, runs, caplog):
    reports = read_reports(runs / name)
    assert reports.sha256 == sha256_of(runs / name)
    assert {"conversion_report.json", "training.json", "all_results.json", "train_log.jsonl"} <= reports.files
    assert "training_curves.png" in reports.files and not caplog.text


def test_the_card(runs):
    card = (runs / "second/README.md").read_text()
    results = json.loads((runs / "second/all_results.json").read_text())
    scores = json.loads((runs / "scores/eval_results.json").read_text())
    (best,) = re.findall(rf"\| \*\*{results['best_epoch']}\*\* \|.*\|", card)
    assert best.endswith(f"| {results['eval_loss']:.4f} | {results['eval_accuracy']:.4f} |")
    assert f"Accuracy {scores['accuracy']:.4f}, loss {scores['loss']:.4f}, expected calibration error " in card
    assert "validated on 5 % of the training rows" in card and "license: mit" in card
    assert "converted from the PyTorch checkpoint `d2l_small`" in card
    assert card.partition("```bash\n")[2].partition("```")[0].splitlines() == [
        "hf-nli convert --source d2l_small --num_heads 2 --output_dir converted",
        "hf-nli train --model_name_or_path converted --dataset pairs.jsonl --output_dir first "
        "--validation_dataset pairs.jsonl --learning_rate 0.01 --max_train_steps 3 --mixed_precision no",
        "hf-nli train --model_name_or_path first --dataset pairs.jsonl --output_dir second "
        "--max_train_samples 100 --learning_rate 0.01 --max_train_steps 3 --mixed_precision no",
        "hf-nli evaluate --model_name_or_path second --dataset pairs.jsonl --max_seq_length 24 --output_dir scores",
    ]
    assert "license" not in (runs / "first/README.md").read_text()


def test_it_tells_no_paths(runs):
    for name in ("README.md", "evaluations.json", "training.json", "all_results.json", "train_log.jsonl"):
        assert str(runs) not in (runs / "second" / name).read_text()
