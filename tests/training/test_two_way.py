"""Two labels instead of three: what is learned, loaded, predicted and measured, against plain Transformers."""

import json
import shutil

import numpy
import pytest
import torch
from helpers import write_tiny_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_nli import NLITrainingArguments, Predictor, load_nli, make_trainer
from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.core.labels import TWO_WAY_LABELS
from hf_nli.data.rows import two_way_pairs
from hf_nli.data.splits import RunSources
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.inference.files import predict_file
from hf_nli.inference.windows import combine
from hf_nli.settings.options import DataOptions, RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

SETTINGS = {"learning_rate": 1e-2, "embedding_lr_multiplier": 1.0, "per_device_train_batch_size": 16}
SETTINGS |= {"num_train_epochs": 6, "mixed_precision": "no"}
TWO_WAY = Recipe(**SETTINGS, labels="two_way")
NAMES = {"entailment": "entailment", "neutral": "non-entailment", "contradiction": "non-entailment", "-": "-"}


@pytest.fixture(scope="module")
def two_way(pairs, tmp_path_factory):
    """The pairs, labelled as HANS is."""
    path = tmp_path_factory.mktemp("data") / "two.jsonl"
    rows = [json.loads(line) for line in open(pairs)]
    path.write_text("".join(json.dumps(row | {"label": NAMES[row["label"]]}) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def run(model, pairs, two_way, tmp_path_factory):
    """Trained on both kinds of data, validated on three-way pairs."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return folder, train(model, [two_way, pairs], folder, TWO_WAY, pairs)


@pytest.fixture(scope="module")
def expected(run, pairs):
    """Each labelled pair, whether it is entailed, and its probabilities, with nothing but Transformers."""
    net, tokenizer = (kind.from_pretrained(run[0]) for kind in (AutoModelForSequenceClassification, AutoTokenizer))
    rows = [row for row in map(json.loads, open(pairs)) if row["label"] != "-"]
    with torch.inference_mode():
        inputs = [tokenizer(row["premise"], row["hypothesis"], return_tensors="pt") for row in rows]
        scores = torch.cat([net(**each).logits.double().softmax(-1) for each in inputs])
    return (
        [(row["premise"], row["hypothesis"]) for row in rows],
        [row["label"] == "entailment" for row in rows],
        scores,
    )


def test_it_learns_from_both_kinds_of_data(run):
    folder, results = run
    assert results.eval_accuracy > 0.95 and results.num_train_examples == 288
    report = json.loads((folder / "training.json").read_text())
    assert report["recipe"]["labels"] == "two_way" and [each["drawn"] for each in report["sources"]] == [144, 144]


def test_it_loads_anywhere(run):
    """With two outputs that have our names."""
    net = AutoModelForSequenceClassification.from_pretrained(run[0])
    assert net.config.id2label == {0: "entailment", 1: "not_entailment"} and net.config.num_labels == 2
    assert net.config.label2id == {"entailment": 0, "not_entailment": 1} and net.classifier.weight.shape[0] == 2


@pytest.mark.parametrize("three", [False, True])
def test_scores_against_plain_transformers(three, run, pairs, two_way, expected, tmp_path, capsys):
    """Gold labels of three-way data are merged, and the results say so."""
    folder, (texts, entailed, scores) = str(run[0]), expected
    flags = ["--model_name_or_path", folder, "--dataset", pairs if three else two_way]
    assert main(["evaluate", *flags, "--output_dir", str(tmp_path / "scores")]) == 0
    results = json.loads((tmp_path / "scores/eval_results.json").read_text())
    gold = torch.tensor([0 if each else 1 for each in entailed])
    predicted = scores.argmax(1)
    assert results["accuracy"] == pytest.approx((predicted == gold).double().mean().item())
    assert results["loss"] == pytest.approx(-scores.gather(1, gold[:, None]).log().mean().item(), abs=1e-5)
    matrix = [[int(((gold == row) & (predicted == column)).sum()) for column in (0, 1)] for row in (0, 1)]
    assert results["confusion_matrix"] == {"labels": list(TWO_WAY_LABELS), "matrix": matrix}
    assert [each["support"] for each in results["per_label"].values()] == [48, 96]
    assert results["baselines"] == {"majority": pytest.approx(2 / 3)} and "merged_labels" not in results
    merged = {"not_entailment": ["neutral", "contradiction"]} if three else None
    assert results.get("merged_gold_labels") == merged
    words = "not_entailment: the data's labels neutral and contradiction, taken for one"
    assert (words in capsys.readouterr().out) is three
    rows = [json.loads(line) for line in (tmp_path / "scores/predictions.jsonl").read_text().splitlines()]
    assert [(row["premise"], row["hypothesis"]) for row in rows] == texts
    assert [row["label"] for row in rows] == [TWO_WAY_LABELS[each] for each in gold]
    for row, each in zip(rows, scores.tolist(), strict=True):
        assert row["scores"] == pytest.approx(dict(zip(TWO_WAY_LABELS, each, strict=True)), abs=1e-6)


def test_the_card(run, pairs, two_way, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "model")
    evaluate(str(folder), pairs, tmp_path / "scores")
    card = (folder / "README.md").read_text()
    assert "follows from a premise (entailment) or not (not_entailment)." in card
    assert "Labels: 0 entailment, 1 not_entailment." in card
    assert "The data have three labels: neutral and contradiction were taken for not_entailment." in card
    assert "--dataset two.jsonl pairs.jsonl" in card and "--labels two_way" in card
    evaluate(str(folder), two_way, tmp_path / "scores")
    assert (folder / "README.md").read_text().count("The data have three labels") == 1


def test_predictions(run, expected, two_way, tmp_path):
    folder, (texts, _, scores) = str(run[0]), expected
    predictor = Predictor.from_pretrained(folder)
    assert predictor.labels == TWO_WAY_LABELS and predictor.logits(texts).shape == (144, 2)
    assert numpy.allclose(torch.from_numpy(predictor.logits(texts)).softmax(-1), scores, atol=1e-5)
    for answer, each in zip(predictor(texts), scores.tolist(), strict=True):
        assert answer["scores"] == pytest.approx(dict(zip(TWO_WAY_LABELS, each, strict=True)), abs=1e-5)
        assert answer["label"] == TWO_WAY_LABELS[each[1] > each[0]]
    summary = predict_file(lambda: predictor, two_way, tmp_path / "answers.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert list(rows[0]) == ["premise", "hypothesis", "label", "prediction", "entailment", "not_entailment"]
    assert summary.rows == 148 and list(summary.labels) == list(TWO_WAY_LABELS)
    assert sum(summary.labels.values()) == 148


def test_windows_together():
    """A part that entails is enough; not_entailment is what the best part leaves."""
    probabilities = numpy.array([[0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])
    joint, window = combine(probabilities)
    assert joint == pytest.approx([0.7, 0.3]) and window == 1
    joint, window = combine(probabilities[[0, 2]])
    assert joint == pytest.approx([0.2, 0.8]) and window == 1


def test_zero_shot_classification(run):
    """Transformers' pipeline: entailment against not_entailment for each text label."""
    classify = pipeline("zero-shot-classification", str(run[0]))
    found = classify("a man runs.", ["is", "outside"], hypothesis_template="{}", multi_label=True)
    net, tokenizer = classify.model, AutoTokenizer.from_pretrained(run[0])
    for label, score in zip(found["labels"], found["scores"], strict=True):
        with torch.inference_mode():
            logits = net(**tokenizer("a man runs.", label, return_tensors="pt")).logits[0]
        assert score == pytest.approx(logits.softmax(-1)[0].item(), abs=1e-5)
    assert found["labels"] == ["is", "outside"]


@pytest.mark.parametrize(
    "names, new",
    [
        (["entailment", "not_entailment"], False),
        (["no_entailment", "Entailment"], False),
        (["entailment", "neutral", "contradiction"], True),
    ],
)
def test_which_models_get_a_new_head(names, new, two_way, tmp_path, caplog):
    """A two-way model keeps its head, whatever the order of its labels."""
    labels = dict(enumerate(names))
    base = write_tiny_model(tmp_path / "base", id2label=labels, label2id={name: i for i, name in labels.items()})
    recipe = Recipe(**SETTINGS | {"num_train_epochs": 15}, labels="two_way")
    results = train(str(base), two_way, tmp_path / "run", recipe, two_way)
    assert ("gets a new head for entailment, not_entailment" in caplog.text) is new and results.eval_accuracy > 0.95
    net = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert list(net.config.id2label.values()) == (list(TWO_WAY_LABELS) if new else names)
    assert evaluate(str(tmp_path / "run"), two_way, tmp_path / "scores").accuracy == results.eval_accuracy


def test_three_way_training_of_a_two_way_model(run, pairs, two_way, tmp_path, caplog):
    recipe = Recipe(**SETTINGS | {"max_train_steps": 1})
    train(str(run[0]), pairs, tmp_path / "run", recipe, pairs)
    assert "gets a new head for entailment, neutral, contradiction (seed 42): its labels are entailment, not" in (
        caplog.text
    )
    with pytest.raises(
        InputError, match="two.jsonl: its labels are entailment, not_entailment; give --labels two_way"
    ):
        train(str(run[0]), [pairs, two_way], tmp_path / "other", recipe, pairs)


def test_a_run_does_not_go_on_with_other_labels(model, pairs, tmp_path):
    recipe = Recipe(**SETTINGS | {"num_train_epochs": 1}, lr_scheduler_type="constant")
    train(model, pairs, tmp_path / "run", recipe, pairs, run_options=RunOptions(checkpointing_steps="epoch"))
    latest = RunOptions(resume_from_checkpoint="latest")
    with pytest.raises(InputError, match="labels three_way there, two_way now"):
        train(
            model, pairs, tmp_path / "run", Recipe(**vars(recipe) | {"labels": "two_way"}), pairs, run_options=latest
        )


def test_merged_pairs(pairs, two_way):
    """As if the data had been labelled so; a two-way data set stays as it is."""
    sources = RunSources([pairs, two_way], two_way, DataOptions(), labels=TWO_WAY_LABELS).read(0)
    theirs = load_nli(two_way)["train"]
    assert sources.train.features == theirs.features and sources.train.to_list() == 2 * theirs.to_list()
    assert two_way_pairs(theirs) is theirs
    (small,) = load_nli(pairs).values()
    assert two_way_pairs(small.select([])).to_list() == []


def test_trainer(model, pairs, two_way, tmp_path):
    """It takes the loop's steps with two labels, too."""
    recipe = Recipe(**SETTINGS | {"num_train_epochs": 1}, labels="two_way")
    train(model, two_way, tmp_path / "loop", recipe, two_way)
    arguments = NLITrainingArguments.from_recipe(recipe, tmp_path / "trainer", use_cpu=True)
    three, two = load_nli(pairs)["train"], load_nli(two_way)["train"]
    trainer = make_trainer(model, three, two, arguments)
    trainer.train()
    trainer.save_model()
    states = [AutoModelForSequenceClassification.from_pretrained(tmp_path / name) for name in ("loop", "trainer")]
    assert states[0].config.id2label == states[1].config.id2label == dict(enumerate(TWO_WAY_LABELS))
    for name, tensor in states[0].state_dict().items():
        if not name.endswith("key.bias"):  # softmax doesn't see it
            torch.testing.assert_close(states[1].state_dict()[name], tensor, atol=1e-6, rtol=0)
    metrics = trainer.evaluate()
    assert {"eval_f1_entailment", "eval_f1_not_entailment"} <= set(metrics) and metrics["eval_accuracy"] > 0.5
    with pytest.raises(InputError, match="train_pairs: its labels are entailment, not_entailment, not entailment, ne"):
        make_trainer(model, two, two, NLITrainingArguments.from_recipe(Recipe(), tmp_path / "other", use_cpu=True))


def test_export(run, expected, tmp_path):
    pytest.importorskip("onnxruntime")
    from hf_nli import export

    report = export(str(run[0]), tmp_path / "onnx")
    assert report.labels == list(TWO_WAY_LABELS) and report.max_abs_difference < 1e-3


def test_a_small_two_way_file_by_the_command(model, tmp_path, capsys):
    path = tmp_path / "pairs.csv"
    path.write_text("premise,hypothesis,label\n" + "a man runs.,is,1\na dog eats.,not .,0\n" * 10)
    flags = ["train", "--model_name_or_path", model, "--output_dir", str(tmp_path / "run"), "--max_train_steps", "2"]
    flags += ["--labels", "two_way", "--dataset", f"{path}:not_entailment,entailment"]
    assert main(flags) == 0
    assert main(["predict", "--model_name_or_path", str(tmp_path / "run"), "--premise", "a", "--hypothesis", "b"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(answer["scores"]) == list(TWO_WAY_LABELS) and sum(answer["scores"].values()) == pytest.approx(1)
