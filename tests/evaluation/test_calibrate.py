"""`hf-nli calibrate`: a whole model folder, with the same labels and other probabilities, for any other project."""

import json
import os
import shutil
import subprocess
import sys

import numpy
import pytest
import torch
from folder_reports import evaluation, sha256_of, write_conversion, write_training
from helpers import SUBJECTS, VERBS, launcher, write_tiny_model
from model_hub import Repository
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import hf_nli
from hf_nli.card.card import END, write_card
from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS
from hf_nli.evaluation.calibrate import calibrate
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.evaluation.record import add_evaluation
from hf_nli.model.reports import read_reports
from hf_nli.settings.options import DataOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train

TEXTS = [(f"{a} {b}.", f"{c} {d}") for a in SUBJECTS for b in VERBS for c in SUBJECTS[:2] for d in VERBS]


def logits_of(folder, texts=TEXTS):
    """Logits in the order of the model's own outputs, with nothing but Transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    net = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return torch.cat([net(**tokenizer(*pair, return_tensors="pt")).logits for pair in texts]).double()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that is too sure of itself, with labels as MNLI's models have them."""
    folder = write_tiny_model(
        tmp_path_factory.mktemp("models") / "sure",
        initializer_range=0.5,
        id2label={0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"},
        label2id={"CONTRADICTION": 0, "NEUTRAL": 1, "ENTAILMENT": 2},
    )
    net = AutoModelForSequenceClassification.from_pretrained(folder)
    torch.manual_seed(0)
    net.classifier.weight.data *= 3
    net.classifier.bias.data.normal_()
    net.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dev(model, tmp_path_factory):
    """Pairs of whose labels the model knows two thirds, as a validation split by its name, and two without a label."""
    rows = []
    for number, (pair, logits) in enumerate(zip(TEXTS, logits_of(model), strict=True)):
        label = LABELS[(2 - logits.argmax().item() + (number % 3 == 0)) % 3]
        rows.append({"premise": pair[0], "hypothesis": pair[1], "label": label})
    rows += [{"premise": "a", "hypothesis": "b", "label": "-"}] * 2
    path = tmp_path_factory.mktemp("data") / "pairs_dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def calibrated(model, dev, tmp_path_factory):
    """The folder that the command writes."""
    folder = tmp_path_factory.mktemp("calibrated") / "calm"
    flags = ["--model_name_or_path", str(model), "--dataset", dev, "--output_dir", str(folder)]
    assert main(["calibrate", *flags]) == 0
    return folder


def report_of(folder):
    return json.loads((folder / "calibration_report.json").read_text())


def test_logits_are_divided_and_labels_are_the_same(model, calibrated):
    old, new, report = logits_of(model), logits_of(calibrated), report_of(calibrated)
    assert report["temperature"] > 1.5 and len({*old.argmax(1).tolist()}) > 1
    torch.testing.assert_close(new, old / report["temperature"], atol=1e-6, rtol=1e-6)
    assert (new.argmax(1) == old.argmax(1)).all() and report["changed_labels"] == 0
    assert report["max_abs_difference"] < 1e-5


def test_any_pipeline_gives_the_calibrated_probabilities(model, calibrated):
    (answers,) = pipeline("text-classification", str(calibrated))(
        [{"text": TEXTS[0][0], "text_pair": TEXTS[0][1]}], top_k=None
    )
    expected = (logits_of(model, TEXTS[:1])[0] / report_of(calibrated)["temperature"]).softmax(0)
    names = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
    scores = {answer["label"]: answer["score"] for answer in answers}
    assert [scores[name] for name in names] == pytest.approx(expected.tolist(), abs=1e-6)


def test_figures_against_scipy_and_scikit_learn(model, dev, calibrated):
    report = report_of(calibrated)
    logits = logits_of(model).flip(1).numpy()
    gold = numpy.array([LABELS.index(json.loads(line)["label"]) for line in open(dev).readlines()[:-2]])
    order = torch.randperm(len(gold), generator=torch.Generator().manual_seed(42)).numpy()
    fitted, held_out = order[: len(gold) // 2], order[len(gold) // 2 :]
    assert (report["fitted_pairs"], report["held_out_pairs"]) == (36, 36)

    def loss(temperature):
        return -log_softmax(logits[fitted] / temperature, 1)[range(len(fitted)), gold[fitted]].mean()

    best = minimize_scalar(loss, bounds=(0.1, 100), method="bounded", options={"xatol": 1e-9}).x
    assert report["temperature"] == pytest.approx(best, rel=1e-5)
    for name, temperature in (("before", 1), ("after", best)):
        probabilities = softmax(logits[held_out] / temperature, 1)
        squares = numpy.square(probabilities - numpy.eye(3)[gold[held_out]]).sum(1).mean()
        assert report[name]["loss"] == pytest.approx(log_loss(gold[held_out], probabilities), abs=1e-5)
        assert report[name]["brier_score"] == pytest.approx(squares, abs=1e-5)
    assert report["after"]["loss"] < report["before"]["loss"]


def test_the_report(model, dev, calibrated):
    report = report_of(calibrated)
    assert (report["base_model_sha256"], report["model_sha256"]) == (sha256_of(model), sha256_of(calibrated))
    assert report["pairs"] == "pairs_dev.jsonl, validation" and report["model"] == "sure"
    assert report["arguments"] == {"dataset": "pairs_dev.jsonl"} and report["max_seq_length"] == 32
    assert len(report["dataset_sha256"]) == 64
    assert os.path.dirname(dev) not in (calibrated / "calibration_report.json").read_text()


def test_evaluate_says_the_same(dev, calibrated, tmp_path):
    """Of all the pairs, of which one half is the report's."""
    results = evaluate(str(calibrated), dev, tmp_path / "scores")
    gold = [LABELS.index(json.loads(line)["label"]) for line in open(dev).readlines()[:-2]]
    assert results.loss == pytest.approx(log_loss(gold, logits_of(calibrated).flip(1).softmax(1).numpy()), abs=1e-5)


def test_the_command_says_what_came_of_it(model, dev, tmp_path, capsys):
    flags = ["--model_name_or_path", str(model), "--dataset", dev, "--output_dir", str(tmp_path / "out")]
    assert main(["calibrate", *flags, "--seed", "7", "--max_seq_length", "9", "--truncation", "proportional"]) == 0
    report, out = report_of(tmp_path / "out"), capsys.readouterr().out
    assert f"divided by {report['temperature']:.4f}, fitted on 36 pairs" in out
    error = [f"{report[name]['expected_calibration_error']:.4f} {name}" for name in ("before", "after")]
    assert f"expected calibration error: {error[0]}, {error[1]}" in out and "labels that changed: 0 of 72" in out
    assert report["arguments"] == {
        "dataset": "pairs_dev.jsonl", "seed": 7, "max_seq_length": 9, "truncation": "proportional",
    }  # fmt: skip


def test_the_card(dev, calibrated, tmp_path):
    folder = shutil.copytree(calibrated, tmp_path / "calm")
    report, card = report_of(folder), (folder / "README.md").read_text()
    assert f"The logits were divided by a temperature of {report['temperature']:.4f}" in card
    assert "the labels of 0 of 72 pairs. It was fitted on 36 pairs of pairs_dev.jsonl, validation; on 36 other" in card
    assert f"| loss | {report['before']['loss']:.4f} | {report['after']['loss']:.4f} |" in card
    assert "hf-nli calibrate --model_name_or_path sure --dataset pairs_dev.jsonl --output_dir calm" in card
    assert "*Training*" not in card
    evaluate(str(folder), dev, tmp_path / "scores")  # which writes it anew
    assert "## Calibration\n" in (folder / "README.md").read_text()
    other = write_tiny_model(tmp_path / "other")
    shutil.copyfile(other / "model.safetensors", folder / "model.safetensors")
    assert "## Calibration" not in write_card(folder).read_text()  # it is about other weights


def test_what_is_known_of_the_model_stays(model, dev, tmp_path):
    """Conversion and training are still true, evaluations aren't; what others wrote into the card stays."""
    folder = shutil.copytree(model, tmp_path / "first")
    write_conversion(folder, model_sha256="0" * 64)
    write_training(folder, license="mit")
    add_evaluation(folder, evaluation(folder))
    (folder / "notes.txt").write_text("mine")
    path = write_card(folder, "user/first")
    path.write_text(path.read_text().replace(END, f"{END}\n\nMy words."))
    calibrate(str(folder), dev, tmp_path / "second")
    reports = read_reports(tmp_path / "second")
    assert reports.files == {
        "conversion_report.json", "training.json", "all_results.json", "train_log.jsonl", "training_curves.png",
        "calibration_report.json",
    }  # fmt: skip
    card = (tmp_path / "second/README.md").read_text()
    assert "My words." in card and "license: mit" in card and "## Evaluation" not in card and "user/first" not in card
    assert "After training, the logits were divided" in card and "The losses under *Training*" in card
    assert "fine-tuned on 1,234 pairs" in card and "converted from the PyTorch checkpoint" in card
    names = {path.name for path in (tmp_path / "second").iterdir()}
    assert not names & {"notes.txt", "evaluations.json"} and "tokenizer.json" in names

    # A second time, in its own place: the chain goes on.
    (tmp_path / "second/notes.txt").write_text("mine")
    calibrate(str(tmp_path / "second"), dev, tmp_path / "second", seed=3, overwrite_output_dir=True)
    again = read_reports(tmp_path / "second")
    assert again.files == reports.files and again.sha256 != reports.sha256
    assert (tmp_path / "second/notes.txt").exists()
    card = (tmp_path / "second/README.md").read_text()
    assert card.partition("```bash\n")[2].partition("```")[0].splitlines() == [
        "hf-nli convert --source d2l_small --num_heads 2 --output_dir bert-tiny",
        "hf-nli train --model_name_or_path bert-tiny --dataset pairs.jsonl --output_dir first",
        "hf-nli calibrate --model_name_or_path first --dataset pairs_dev.jsonl --output_dir second",
        "hf-nli calibrate --model_name_or_path second --dataset pairs_dev.jsonl --seed 3 --output_dir second-2",
    ]


def test_a_model_of_the_hub(hub, model, dev, tmp_path):
    """Of the revision that was asked for, with its reports."""
    folder = shutil.copytree(model, tmp_path / "nli")
    write_training(folder)
    hub.repositories["user/nli"] = repository = Repository()
    repository.commit("whole", {file.name: file.read_bytes() for file in folder.iterdir()}, "v1")
    calibrate("user/nli", dev, tmp_path / "out", revision="v1")
    report, reports = report_of(tmp_path / "out"), read_reports(tmp_path / "out")
    assert report["model"] == "user/nli" and report["base_model_sha256"] == sha256_of(folder)
    assert {"training.json", "all_results.json", "train_log.jsonl", "training_curves.png"} < reports.files
    assert (
        "hf-nli calibrate --model_name_or_path user/nli --dataset pairs_dev.jsonl --revision v1 --output_dir out"
        in (tmp_path / "out/README.md").read_text()
    )


def test_training_goes_on_from_a_calibrated_model(model, dev, pairs, tmp_path):
    """Which was fine-tuned here before; what it comes from is handed down."""
    folder = shutil.copytree(model, tmp_path / "first")
    write_conversion(folder)
    calibrate(str(folder), dev, tmp_path / "second")
    recipe = Recipe(max_train_steps=2, mixed_precision="no", soften_attention=False)
    train(str(tmp_path / "second"), pairs, tmp_path / "third", recipe)
    assert read_reports(tmp_path / "third").conversion["sha1"] == "abc123"
    assert (tmp_path / "third/README.md").read_text().partition("```bash\n")[2].splitlines()[:3] == [
        "hf-nli convert --source d2l_small --num_heads 2 --output_dir first",
        "hf-nli calibrate --model_name_or_path first --dataset pairs_dev.jsonl --output_dir second",
        "hf-nli train --model_name_or_path second --dataset pairs.jsonl --output_dir third "
        "--soften_attention False --max_train_steps 2 --mixed_precision no",
    ]


def test_refusals(model, dev, tmp_path, capsys):
    """In a line, and nothing is written."""
    other = write_tiny_model(tmp_path / "other")
    weights = (other / "model.safetensors").read_bytes()
    two_way = tmp_path / "two.jsonl"
    two_way.write_text('{"premise": "a", "hypothesis": "b", "label": "not_entailment"}\n' * 4)
    one = tmp_path / "one.jsonl"
    one.write_text('{"premise": "a", "hypothesis": "b", "label": "neutral"}\n')
    new = str(tmp_path / "new")
    for dataset, output_dir, flags, words in (
        (dev, str(other), [], "holds a model already"),
        (dev, new, ["--split", "test"], "no split 'test'; it has"),
        (str(two_way), new, [], "the model's entailment, neutral, contradiction; such data can be evaluated on only"),
        (str(one), new, [], "one pair can't be split into two halves"),
        (str(tmp_path / "missing.jsonl"), new, [], "no such file"),
        (dev, new, ["--seed", "-1"], "--seed is -1"),
        (dev, new, ["--per_device_eval_batch_size", "0"], "--per_device_eval_batch_size is 0"),
    ):
        given = ["--model_name_or_path", str(model), "--dataset", dataset, "--output_dir", output_dir]
        assert main(["calibrate", *given, *flags]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("hf-nli calibrate: error: ") and words in line, line
    assert (other / "model.safetensors").read_bytes() == weights
    assert {path.name for path in tmp_path.iterdir()} == {"other", "two.jsonl", "one.jsonl"}


def test_a_model_that_is_always_right_has_no_temperature(model, tmp_path):
    rows = [
        {"premise": pair[0], "hypothesis": pair[1], "label": LABELS[2 - logits.argmax()]}
        for pair, logits in zip(TEXTS, logits_of(model), strict=True)
    ]
    (tmp_path / "right.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"right.jsonl.*: no temperature fits: all 36 answers to fit it on are right"):
        calibrate(str(model), str(tmp_path / "right.jsonl"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_data_options_reach_the_data(model, dev, tmp_path):
    rows = [json.loads(line) for line in open(dev)]
    for row in rows:
        row["gold"] = row.pop("label")
    (tmp_path / "renamed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = DataOptions(label_column="gold")
    report = hf_nli.calibrate(str(model), str(tmp_path / "renamed.jsonl"), tmp_path / "out", data_options=options)
    assert report.arguments == {"dataset": "renamed.jsonl", "label_column": "gold"}
    assert report.pairs == "renamed.jsonl" and report.as_dict() == report_of(tmp_path / "out")


def test_two_processes_write_the_same_folder(model, dev, calibrated, tmp_path):
    given = ["--model_name_or_path", model, "--dataset", dev, "--output_dir", tmp_path / "calm"]
    command = [sys.executable, *launcher(), "-m", "hf_nli", "calibrate", *given, "--per_device_eval_batch_size", "5"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    subprocess.run([str(word) for word in command], env=environment, check=True, capture_output=True, timeout=300)
    ours, theirs = (report_of(folder) for folder in (calibrated, tmp_path / "calm"))
    assert theirs["temperature"] == pytest.approx(ours["temperature"], rel=1e-5)
    torch.testing.assert_close(logits_of(tmp_path / "calm"), logits_of(calibrated), atol=1e-5, rtol=1e-5)
