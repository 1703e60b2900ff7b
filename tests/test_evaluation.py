"""Scores of a model on a data set."""

import json
import math

import pytest
import torch
from helpers import write_tiny_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_nli.errors import InputError
from hf_nli.evaluation import evaluate
from hf_nli.inference import predict
from hf_nli.labels import LABELS
from hf_nli.models import load_model

PAIRS = [
    ("a man runs.", "the man sleeps", "entailment"),
    ("a dog eats, the cat runs.", "a dog is outside", "neutral"),
    ("the woman", "a woman is not outside.", "contradiction"),
    ("a cat", "a", "neutral"),
    ("a man eats outside.", "the man eats.", "-"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(write_tiny_model(folder, initializer_range=0.5))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    rows = [dict(zip(("premise", "hypothesis", "label"), pair, strict=True)) for pair in PAIRS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def expected(model):
    """Logits of each labelled pair by itself, with nothing but Transformers."""
    tokenizer, net = AutoTokenizer.from_pretrained(model), AutoModelForSequenceClassification.from_pretrained(model)
    with torch.inference_mode():
        return torch.cat([net(**tokenizer(*pair[:2], return_tensors="pt")).logits for pair in PAIRS[:4]])


def test_results_against_plain_transformers(model, source, expected, tmp_path):
    results = evaluate(model, source, tmp_path / "scores", per_device_eval_batch_size=3)
    assert json.loads((tmp_path / "scores/eval_results.json").read_text()) == results
    gold, predicted = torch.tensor([0, 1, 2, 1]), expected.argmax(1)
    assert results["accuracy"] == pytest.approx((gold == predicted).double().mean().item())
    assert results["loss"] == pytest.approx(torch.nn.functional.cross_entropy(expected, gold).item(), abs=1e-5)
    assert (results["examples"], results["dropped"], results["split"]) == (4, 1, "train")
    assert results["baselines"] == {"majority": 0.5}
    matrix = torch.zeros(3, 3, dtype=torch.int)
    for row, column in zip(gold, predicted, strict=True):
        matrix[row, column] += 1
    assert results["confusion_matrix"] == {"labels": list(LABELS), "matrix": matrix.tolist()}
    assert [results["per_label"][label]["support"] for label in LABELS] == [1, 2, 1]


def test_predictions_file(model, source, expected, tmp_path):
    evaluate(model, source, tmp_path / "scores")
    rows = [json.loads(line) for line in (tmp_path / "scores/predictions.jsonl").read_text().splitlines()]
    assert [(row["premise"], row["hypothesis"], row["label"]) for row in rows] == PAIRS[:4]
    for row, logits in zip(rows, expected, strict=True):
        assert row["prediction"] == LABELS[logits.argmax()]
        assert list(row["scores"].values()) == pytest.approx(logits.softmax(-1).tolist(), abs=1e-6)


def test_predict_streams_in_order(model, expected):
    read = []

    def pairs():
        for pair in PAIRS[:4]:
            read.append(pair)
            yield pair[:2]

    predictions = predict(*load_model(model), pairs(), batch_size=2)
    first = next(predictions)
    assert len(read) == 2  # no more than the batch it needs
    predictions = [first, *predictions]
    assert [(row["premise"], row["hypothesis"]) for row in predictions] == [pair[:2] for pair in PAIRS[:4]]
    for row, logits in zip(predictions, expected, strict=True):
        assert row["label"] == LABELS[logits.argmax()]
        assert list(row["scores"]) == list(LABELS)
        assert list(row["scores"].values()) == pytest.approx(logits.softmax(-1).tolist(), abs=1e-6)
        assert math.isclose(sum(row["scores"].values()), 1)


def test_other_label_order_gives_the_same_scores(model, source, tmp_path):
    """The same function with its outputs named and ordered as MNLI models do."""
    net, tokenizer = load_model(model)
    order = [2, 1, 0]
    net.classifier.weight.data, net.classifier.bias.data = net.classifier.weight[order], net.classifier.bias[order]
    net.config.id2label = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}
    net.config.label2id = {name: index for index, name in net.config.id2label.items()}
    net.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    results = [evaluate(folder, source, tmp_path / "scores") for folder in (model, str(tmp_path / "model"))]
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], abs=1e-6)
    assert results[0]["confusion_matrix"] == results[1]["confusion_matrix"]


def test_splits_are_never_mistaken(model, source, tmp_path):
    with pytest.raises(InputError, match="no split 'test' with gold labels; it has train"):
        evaluate(model, source, tmp_path / "scores", split="test")
    assert evaluate(model, source, tmp_path / "scores", split="train")["examples"] == 4


def test_long_texts_are_cut_to_the_model(model, tmp_path):
    row = next(predict(*load_model(model), [("a man " * 500, "the dog " * 500)]))
    assert row["label"] in LABELS
