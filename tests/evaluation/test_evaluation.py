"""Scores of a model on a data set."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import write_tiny_model
from huggingface_hub import ModelCard
from PIL import Image
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.inference.predictor import predict
from hf_nli.model.load import load_model
from hf_nli.settings.options import DataOptions

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
    assert json.loads((tmp_path / "scores/eval_results.json").read_text()) == results.as_dict()
    gold, predicted = torch.tensor([0, 1, 2, 1]), expected.argmax(1)
    assert results.accuracy == pytest.approx((gold == predicted).double().mean().item())
    assert results.loss == pytest.approx(torch.nn.functional.cross_entropy(expected, gold).item(), abs=1e-5)
    probabilities = expected.double().softmax(1)
    squares = (probabilities - torch.eye(3)[gold]).square().sum(1)
    assert results.brier_score == pytest.approx(squares.mean().item(), abs=1e-5)
    gaps = (probabilities.amax(1) - (gold == predicted).double()).abs()  # fewer pairs than bins: each is one
    assert results.expected_calibration_error == pytest.approx(gaps.mean().item(), abs=1e-5)
    assert (results.examples, results.dropped, results.baselines) == (4, 1, {"majority": 0.5})
    matrix = torch.zeros(3, 3, dtype=torch.int)
    for row, column in zip(gold, predicted, strict=True):
        matrix[row, column] += 1
    assert results.confusion_matrix == {"labels": list(LABELS), "matrix": matrix.tolist()}
    assert [results.per_label[label]["support"] for label in LABELS] == [1, 2, 1]


def test_the_conditions_are_in_the_results(model, source, tmp_path):
    options = DataOptions(label_column="label")
    evaluate(model, source, tmp_path / "scores", None, 3, 16, "proportional", options)
    results = json.loads((tmp_path / "scores/eval_results.json").read_text())
    assert results["model_sha256"] == hashlib.sha256(Path(model, "model.safetensors").read_bytes()).hexdigest()
    assert results["dataset_sha256"] == hashlib.sha256(Path(source).read_bytes()).hexdigest()
    assert (results["model"], results["dataset"]) == (model, source)
    assert (results["max_seq_length"], results["truncation"]) == (16, "proportional")
    assert (results["text"], results["mixed_precision"], results["label_column"]) == ("raw", "no", "label")
    assert results["dataset_config"] is None and results["dataset_revision"] is None
    assert not {"label_names", "premise_column", "merged_labels"} & results.keys()
    evaluate(model, source, tmp_path / "scores", max_seq_length=100_000)
    results = json.loads((tmp_path / "scores/eval_results.json").read_text())
    assert results["max_seq_length"] == 32  # the model's positions: what was done, not what was asked for
    picture = Image.open(tmp_path / "scores/confusion_matrix.png")
    assert picture.text["model_sha256"] == results["model_sha256"]


def test_precision_is_that_of_the_evaluation(model, source, tmp_path):
    """Not one that Accelerate was told in the same process, or by its launcher."""
    program = """
import sys
from accelerate import Accelerator
from hf_nli.evaluation.evaluate import evaluate
Accelerator(mixed_precision="bf16")
results = evaluate(*sys.argv[1:])
print(results.loss, results.mixed_precision)
"""
    command = [sys.executable, "-c", program, model, source, str(tmp_path / "scores")]
    environment = os.environ | {"ACCELERATE_MIXED_PRECISION": "bf16"}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    loss, precision = output.split()
    assert precision == "no" and float(loss) == evaluate(model, source, tmp_path / "scores").loss


def test_half_precision_where_it_is_asked_for(model, source, tmp_path, capsys):
    tokenizer, net = AutoTokenizer.from_pretrained(model), AutoModelForSequenceClassification.from_pretrained(model)
    pairs = sorted(PAIRS[:4], key=lambda pair: -len(tokenizer(*pair[:2]).input_ids))  # the order of the batch
    inputs = tokenizer([p for p, _, _ in pairs], [h for _, h, _ in pairs], padding=True, return_tensors="pt")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = net(**inputs).logits.float()
    gold = torch.tensor([LABELS.index(label) for _, _, label in pairs])
    loss = torch.nn.functional.cross_entropy(logits, gold).item()
    stock = evaluate(model, source, tmp_path / "scores", mixed_precision="bf16", forward="stock")
    assert stock.loss == pytest.approx(loss, abs=1e-6)
    results = evaluate(model, source, tmp_path / "scores", mixed_precision="bf16")
    assert results.loss == pytest.approx(loss, abs=2e-3)  # rounded at other places
    assert results.mixed_precision == "bf16" and results.loss != evaluate(model, source, tmp_path / "scores").loss
    flags = ["--model_name_or_path", model, "--dataset", source, "--output_dir", str(tmp_path / "half")]
    assert main(["evaluate", *flags, "--mixed_precision", "fp16"]) == 2
    assert "--mixed_precision fp16 needs a GPU" in capsys.readouterr().err and not (tmp_path / "half").exists()


def test_another_model_s_folder_is_refused(model, source, tmp_path):
    other = write_tiny_model(tmp_path / "other")
    with pytest.raises(InputError, match=r"other holds another model than .*tiny; choose another --output_dir"):
        evaluate(model, source, other)
    assert not (other / "eval_results.json").exists()
    evaluate(str(other), source, other)  # its own
    assert (other / "eval_results.json").exists()


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
    assert results[0].loss == pytest.approx(results[1].loss, abs=1e-6)
    assert results[0].confusion_matrix == results[1].confusion_matrix


def test_splits_are_never_mistaken(model, source, tmp_path):
    with pytest.raises(InputError, match="no split 'test'; it has train"):
        evaluate(model, source, tmp_path / "scores", split="test")
    assert evaluate(model, source, tmp_path / "scores", split="train").examples == 4


def test_long_texts_are_cut_to_the_model(model, tmp_path):
    row = next(predict(*load_model(model), [("a man " * 500, "the dog " * 500)]))
    assert row["label"] in LABELS


@pytest.mark.parametrize("names", [("entailment", "non-entailment"), ("entails", "neutral")])
def test_two_way_data(names, model, expected, tmp_path, capsys):
    """Probabilities of neutral and contradiction are added up; it isn't the most probable of the three that counts."""
    gold = [0, 1, 1, 0]
    rows = [{"premise": p, "hypothesis": h, "label": names[i]} for (p, h, _), i in zip(PAIRS, gold, strict=False)]
    (tmp_path / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--model_name_or_path", model, "--dataset", str(tmp_path / "two.jsonl")]
    assert main(["evaluate", *flags, "--output_dir", str(tmp_path / "scores")]) == 0
    results = json.loads((tmp_path / "scores/eval_results.json").read_text())

    entailed = expected.softmax(1)[:, 0]
    predicted = (entailed < 0.5).int()
    assert results["accuracy"] == pytest.approx((predicted == torch.tensor(gold)).double().mean().item())
    chosen = torch.where(torch.tensor(gold) == 0, entailed, 1 - entailed)
    assert results["loss"] == pytest.approx(-chosen.log().mean().item(), abs=1e-5)
    assert results["confusion_matrix"]["labels"] == list(results["per_label"]) == ["entailment", "not_entailment"]
    assert results["baselines"] == {"majority": 0.5}
    assert results["merged_labels"] == {"not_entailment": ["neutral", "contradiction"]}
    assert (
        "not_entailment: the model's probabilities of neutral and contradiction, added up" in capsys.readouterr().out
    )
    rows = [json.loads(line) for line in (tmp_path / "scores/predictions.jsonl").read_text().splitlines()]
    labels = ("entailment", "not_entailment")
    assert [(row["label"], row["prediction"]) for row in rows] == [
        (labels[i], labels[j]) for i, j in zip(gold, predicted, strict=True)
    ]
    for row, probability in zip(rows, entailed.tolist(), strict=True):
        assert row["scores"] == pytest.approx({"entailment": probability, "not_entailment": 1 - probability}, abs=1e-6)


def test_pairs_are_cut_as_asked(model, source, tmp_path):
    tokenizer, net = AutoTokenizer.from_pretrained(model), AutoModelForSequenceClassification.from_pretrained(model)
    premise, hypothesis = "a man eats outside . the dog runs", "a man not"  # 8 and 3 words, cut to 5
    for truncation, p, h in (("longest_first", 3, 2), ("proportional", 4, 1)):
        inputs = [" ".join(text.split()[:kept]) for text, kept in ((premise, p), (hypothesis, h))]
        with torch.inference_mode():
            logits = net(**tokenizer(*inputs, return_tensors="pt")).logits[0]
        options = {"max_seq_length": 8, "truncation": truncation}
        row = next(predict(*load_model(model), [(premise, hypothesis)], **options))
        assert list(row["scores"].values()) == pytest.approx(logits.softmax(-1).tolist(), abs=1e-6)
        (tmp_path / "long.jsonl").write_text(json.dumps(row | {"label": "neutral"}) + "\n")
        results = evaluate(model, str(tmp_path / "long.jsonl"), tmp_path / "scores", **options)
        assert results.loss == pytest.approx(-logits.log_softmax(-1)[1].item(), abs=1e-5)
    with pytest.raises(InputError, match="--max_seq_length is 4; it must be at least 5"):
        evaluate(model, source, tmp_path / "scores", max_seq_length=4)


@pytest.mark.parametrize(
    "name, split", [("snli_1.0_dev.jsonl", "validation"), ("test.jsonl", "test"), ("pairs.jsonl", None)]
)
def test_a_split_has_the_name_that_something_says(name, split, source, tmp_path):
    """In results, records and cards; rows that don't name their split aren't called "train"."""
    folder = write_tiny_model(tmp_path / "model")
    file = shutil.copyfile(source, tmp_path / name)
    results = evaluate(str(folder), str(file), tmp_path / "scores")
    assert results.split == split
    assert json.loads((tmp_path / "scores/eval_results.json").read_text())["split"] == split
    (record,) = json.loads((folder / "evaluations.json").read_text())
    assert record.get("split", "left out") == (split or "left out")
    card = (folder / "README.md").read_text()
    title = f"## Evaluation: {name}, {split}" if split else f"## Evaluation: {name}"
    assert f"{title}\n" in card and "train" not in card.replace("pretrained", "")
    (result,) = ModelCard.load(folder / "README.md").data.eval_results
    assert result.dataset_split == split
    if split:  # as the card's own command has it
        assert evaluate(str(folder), str(file), tmp_path / "again", split).accuracy == results.accuracy


@pytest.mark.parametrize(
    "settings",
    [
        *({"per_device_eval_batch_size": value} for value in (-3, 0, 1.5, True)),
        *({"max_seq_length": value} for value in (4, -1, 8.5)),
        *({"truncation": "middle"}, {"mixed_precision": "fp8"}),
    ],
    ids=str,
)
def test_settings_are_checked_before_any_work(settings, tmp_path):
    (name,) = settings
    with pytest.raises(InputError, match=f"^--{name} is "):
        evaluate("no model", "no data", tmp_path / "scores", **settings)


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"batch_size": -3}, {"truncation": "middle"}], ids=str)
def test_settings_of_predict(settings, model):
    (name,) = settings
    with pytest.raises(InputError, match=f"^--{name} is "):
        next(predict(*load_model(model), [("a", "a")], **settings))
