"""Two models on the same pairs: differences, intervals, tests, and which evaluations can't be compared."""

import json
import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from helpers import launcher, write_tiny_model
from PIL import Image
from scipy.stats import bootstrap
from sklearn.metrics import precision_recall_fscore_support

import hf_nli
from hf_nli.cli.run import main
from hf_nli.comparison.chance import accuracy_interval, difference_interval, mcnemar
from hf_nli.comparison.compare import compare
from hf_nli.core.errors import InputError
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.settings.options import DataOptions

E, N, C = LABELS = ("entailment", "neutral", "contradiction")
TWO = ("entailment", "not_entailment")
RESULTS = {
    "model": "m", "model_sha256": "0" * 64, "dataset": "pairs.jsonl", "split": "test", "text": "raw",
    "max_seq_length": 128, "truncation": "longest_first", "mixed_precision": "no",
}  # fmt: skip


def scores(labels, **given):
    """Probabilities: those that are given; the others share what is left."""
    left = (1 - sum(given.values())) / max(len(labels) - len(given), 1)
    return {label: given.get(label, left) for label in labels}


def row(number, label, prediction, probability=0.8, labels=LABELS):
    """A prediction: the probability is that of the predicted label."""
    texts = {"premise": f"premise {number}", "hypothesis": f"hypothesis {number}"}
    said = {"label": label, "prediction": prediction, "scores": scores(labels, **{prediction: probability})}
    return texts | said


def write_run(folder, rows, **changes):
    """What `evaluate` writes, as far as it matters here."""
    folder.mkdir()
    right = sum(each["label"] == each["prediction"] for each in rows)
    results = RESULTS | {"accuracy": right / len(rows), "examples": len(rows)} | changes
    (folder / "eval_results.json").write_text(json.dumps(results))
    (folder / "predictions.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return folder


# Of 16 pairs, both get 5 right, only A 2, only B 8, neither 1: gold label, A's, B's.
SIXTEEN = [(E, E, E)] * 3 + [(C, C, C)] * 2 + [(N, N, E)] * 2 + [(N, E, N)] * 5 + [(C, E, C)] * 3 + [(E, N, C)]


@pytest.fixture
def runs(tmp_path):
    for place, name in (1, "a"), (2, "b"):
        rows = [row(number, each[0], each[place]) for number, each in enumerate(SIXTEEN)]
        write_run(tmp_path / name, rows, model=f"model {name}", max_seq_length=128 * place)
    return tmp_path / "a", tmp_path / "b"


def test_a_case_worked_by_hand(runs, tmp_path):
    results = hf_nli.compare(*runs, output_dir=tmp_path / "out")
    assert results.counts == {"both_right": 5, "only_a": 2, "only_b": 8, "both_wrong": 1}
    assert results.mcnemar_p_value == pytest.approx(2 * (45 + 10 + 1) / 2**10)  # 8, 9 or 10 heads of 10, or tails
    assert results.difference.estimate == 13 / 16 - 7 / 16
    assert (results.a.accuracy.estimate, results.b.accuracy.estimate) == (7 / 16, 13 / 16)
    assert results.flows == [[3, 5, 3], [2, 0, 1], [0, 0, 2]]
    assert {label: each.recall for label, each in results.per_label.items()} == pytest.approx(
        {E: 0.0, N: 5 / 7 - 2 / 7, C: 5 / 5 - 2 / 5}
    )
    assert {label: each.precision for label, each in results.per_label.items()} == pytest.approx(
        {E: 3 / 5 - 3 / 11, N: 5 / 5 - 2 / 3, C: 5 / 6 - 2 / 2}
    )
    assert [each.support for each in results.per_label.values()] == [4, 7, 5]
    assert (results.examples, results.dataset, results.split, results.labels) == (16, "pairs.jsonl", "test", [*LABELS])
    assert (results.a.model, results.b.model, results.a.run) == ("model a", "model b", str(runs[0]))
    assert results.other_conditions == {"max_seq_length": [128, 256]}
    assert json.loads((tmp_path / "out/compare_results.json").read_text()) == results.as_dict()
    assert Image.open(tmp_path / "out/comparison.png").width > 500


def test_the_interval_of_an_accuracy():
    """Wilson's formula, by hand."""
    for right, pairs in (8, 10), (0, 7), (7, 7), (7841, 9824):
        share, z = right / pairs, 1.959963984540054
        middle = (share + z**2 / (2 * pairs)) / (1 + z**2 / pairs)
        reach = z / (1 + z**2 / pairs) * math.sqrt(share * (1 - share) / pairs + z**2 / (4 * pairs**2))
        interval = accuracy_interval(right, pairs)
        assert (interval.low, interval.high) == pytest.approx((middle - reach, middle + reach), abs=1e-12)
        assert interval.estimate == share


def test_the_interval_of_a_difference_is_that_of_resampled_pairs():
    """Against SciPy's bootstrap, which draws each pair, and against the normal distribution of many pairs."""
    only_a, only_b, both, neither = 20, 35, 100, 45
    a = numpy.repeat([1, 0, 1, 0], [only_a, only_b, both, neither])
    b = numpy.repeat([0, 1, 1, 0], [only_a, only_b, both, neither])
    drawn = bootstrap(
        (a, b), lambda x, y, axis: y.mean(axis) - x.mean(axis), paired=True, method="percentile", n_resamples=20_000,
        batch=1000, rng=1,
    ).confidence_interval  # fmt: skip
    interval = difference_interval(only_a, only_b, 200, 20_000, seed=0)
    assert (interval.low, interval.high) == pytest.approx((drawn.low, drawn.high), abs=0.0051)  # a pair is 0.005
    many = difference_interval(600, 780, 9824, 100_000, seed=0)
    error = math.sqrt((600 + 780) / 9824 - (180 / 9824) ** 2) / math.sqrt(9824)
    assert many.estimate == 180 / 9824
    assert (many.low, many.high) == pytest.approx(
        (many.estimate - 1.96 * error, many.estimate + 1.96 * error), abs=1e-4
    )


def test_intervals_cover_the_truth():
    """Of data whose true difference is 0.05, some 95 % of the intervals hold it."""
    generator, covered = numpy.random.default_rng(0), 0
    for seed in range(1000):
        only_a, only_b, _ = generator.multinomial(400, [0.1, 0.15, 0.75]).tolist()
        interval = difference_interval(only_a, only_b, 400, 500, seed)
        covered += interval.low <= 0.05 <= interval.high
    assert 925 <= covered <= 970


def test_no_discordant_pairs():
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 1) == 1 and mcnemar(0, 6) == 2 / 2**6 == mcnemar(6, 0)
    interval = difference_interval(0, 0, 5, 100, seed=0)
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


def test_the_seed(runs):
    first, again, other = (compare(*runs, seed=seed, resamples=150) for seed in (1, 1, 2))
    assert first == again and first.seed == 1 and first.resamples == 150
    assert first.difference != other.difference and first.difference.estimate == other.difference.estimate


def test_the_largest_changes(tmp_path):
    """Of 12 disagreements the ten whose gold label's probability changes most, in whichever direction."""
    changes = [0.61, 0.35, 0.52, 0.4, 0.75, 0.36, 0.58, 0.43, 0.66, 0.38, 0.54, 0.7]
    a, b = [], []
    for number, change in enumerate(changes):
        better = row(number, N, N, 0.9) | {"scores": {E: 0.05, N: 0.9, C: 0.05}}
        worse = row(number, N, E) | {"scores": {E: change, N: 0.9 - change, C: 0.1}}
        for rows, each in zip((a, b) if number % 2 else (b, a), (better, worse), strict=True):
            rows.append(each)
    for rows, probability in (a, 0.99), (b, 0.01):  # agreed on
        rows.append(row(99, C, E) | {"scores": {E: 1 - probability, N: 0.0, C: probability}})
    results = compare(write_run(tmp_path / "a", a), write_run(tmp_path / "b", b))
    expected = sorted(range(12), key=lambda number: -changes[number])[:10]
    assert [each.premise for each in results.disagreements] == [f"premise {number}" for number in expected]
    first = results.disagreements[0]
    assert (first.hypothesis, first.label, first.prediction_a, first.prediction_b) == ("hypothesis 4", N, E, N)
    assert (first.probability_a, first.probability_b) == pytest.approx((0.15, 0.9))


def test_pairs_in_another_order(runs, tmp_path):
    rows = [json.loads(line) for line in (runs[1] / "predictions.jsonl").read_text().splitlines()]
    random.Random(0).shuffle(rows)
    other = compare(runs[0], write_run(tmp_path / "shuffled", rows, model="model b", max_seq_length=256))
    results = compare(*runs)
    assert other.as_dict() | {"b": None} == results.as_dict() | {"b": None}


def test_repeated_pairs_in_another_order(tmp_path):
    """Whose predictions are whose doesn't matter as long as one model says the same of both."""
    same, one, two = row(1, E, E), row(1, E, N), row(2, C, C)
    a, b = write_run(tmp_path / "a", [same, same, two]), write_run(tmp_path / "b", [two, same, one])
    assert compare(a, b).counts == {"both_right": 2, "only_a": 1, "only_b": 0, "both_wrong": 0}
    c = write_run(tmp_path / "c", [one, two, same])
    with pytest.raises(InputError, match=r"b and .*c have their pairs in different orders, and the pair 'premise 1'"):
        compare(b, c)
    assert compare(b, b).counts["both_right"] == 2  # in the same order it is known


def test_two_labels_and_three(tmp_path):
    """A three-way model on two-way data, whose probabilities `evaluate` adds up, and a two-way model."""
    gold = [TWO[0], TWO[1], TWO[1], TWO[0]]
    a = [row(number, label, TWO[number % 2], 0.9 - number / 10, TWO) for number, label in enumerate(gold)]
    # Neutral and contradiction together are more probable than entailment, which alone is the most probable.
    three = {E: 0.4, N: 0.35, C: 0.25}
    b = [row(number, label, E) | {"scores": three} for number, label in enumerate(gold)]
    results = compare(write_run(tmp_path / "a", a), write_run(tmp_path / "b", b))
    assert results.labels == list(TWO)
    assert results.counts == {"both_right": 1, "only_a": 1, "only_b": 1, "both_wrong": 1}
    assert results.b.accuracy.estimate == 0.5 and results.flows == [[0, 2], [0, 2]]
    assert results.disagreements[0].prediction_b == "not_entailment"
    assert results.disagreements[0].probability_b == pytest.approx(0.4)


def test_three_way_data_of_which_one_model_tells_two_labels(tmp_path):
    a = [row(number, label, label) for number, label in enumerate((E, N, C))]
    b = [row(number, label, TWO[1], labels=TWO) for number, label in enumerate((TWO[0], TWO[1], TWO[1]))]
    results = compare(write_run(tmp_path / "a", a), write_run(tmp_path / "b", b))
    assert results.counts == {"both_right": 2, "only_a": 1, "only_b": 0, "both_wrong": 0}
    assert [each.support for each in results.per_label.values()] == [1, 2]


def changed(folder, number, **changes):
    """Changes a prediction of a run."""
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    (folder / "predictions.jsonl").write_text("\n".join(lines) + "\n")


def shortened(folder):
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    shutil.rmtree(folder)
    write_run(folder, rows[:-1])


REFUSED = {
    "another label": (
        lambda b: changed(b, 14, label=N, prediction=N),
        r"a and .*b aren't of the same data \(16 and 16 pairs\): the pair 'premise 14', 'hypothesis 14' "
        r"\(contradiction\), line 15 in .*a, is neutral in .*b",
    ),
    "another text": (
        lambda b: changed(b, 3, premise="a\nb"),
        r"'premise 3', 'hypothesis 3' \(contradiction\), line 4 in .*a, isn't in .*b",
    ),
    "a pair twice": (
        lambda b: changed(b, 1, premise="premise 0", hypothesis="hypothesis 0"),
        r"'premise 1', .*, line 2 in .*a, isn't in .*b",
    ),
    "fewer pairs": (shortened, r"\(16 and 15 pairs\): the pair 'premise 15', .* line 16 in .*a, isn't in .*b"),
    "no folder": (shutil.rmtree, "b: no such folder; give one that hf-nli evaluate wrote"),
    "no predictions": (lambda b: (b / "predictions.jsonl").unlink(), "b: no predictions.jsonl; give a folder"),
    "no results": (lambda b: (b / "eval_results.json").unlink(), "b: no eval_results.json; give a folder"),
    "damaged results": (lambda b: (b / "eval_results.json").write_text("{"), "eval_results.json can't be read: Exp"),
    "a list": (lambda b: (b / "eval_results.json").write_text("[]"), "it is a list, not an object"),
    "other results": (lambda b: (b / "eval_results.json").write_text("{}"), "read: it has no accuracy, dataset"),
    "nothing": (lambda b: (b / "predictions.jsonl").write_text(""), "b: predictions.jsonl has 0 of 0 pairs right"),
    "no JSON": (lambda b: (b / "predictions.jsonl").write_text("x\n"), "predictions.jsonl, line 1: it isn't a predi"),
    "no Unicode": (lambda b: (b / "predictions.jsonl").write_bytes(b"\xff\n"), "line 1: it isn't a prediction"),
    "no scores": (lambda b: changed(b, 1, scores=None), "predictions.jsonl, line 2: it isn't a prediction"),
    "NaN": (lambda b: changed(b, 1, scores=scores(LABELS, neutral=math.nan)), "line 2: it isn't a prediction"),
    "a number for a label": (lambda b: changed(b, 1, label=1), "line 2: it isn't a prediction"),
    "an unknown label": (lambda b: changed(b, 15, label="maybe"), "b: the label 'maybe' in predictions.jsonl is none"),
    "of another evaluation": (lambda b: changed(b, 1, prediction=N), "has 12 of 16 pairs right, .* of 0.8125 on 16"),
}  # fmt: skip


@pytest.mark.parametrize("change, line", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(change, line, runs, tmp_path, capsys):
    change(runs[1])
    with pytest.raises(InputError, match=line):
        compare(*runs, output_dir=tmp_path / "out")
    assert main(["compare", *map(str, runs), "--output_dir", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("hf-nli compare: error: ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_settings_that_are_refused(runs, tmp_path):
    for settings in ({"split": "test"}, {"data_options": DataOptions(text="parse")}):
        with pytest.raises(InputError, match="--split and how to read data need --dataset"):
            compare(*runs, **settings)
    assert compare(*runs, data_options=DataOptions()).examples == 16
    with pytest.raises(InputError, match="^--resamples is 99; it must be at least 100"):
        compare(*runs, resamples=99)
    with pytest.raises(InputError, match="^--seed is -1"):
        compare(*runs, seed=-1)
    (tmp_path / "out/comparison.png").mkdir(parents=True)
    with pytest.raises(InputError, match="comparison.png is a folder there"):
        compare(*runs, output_dir=tmp_path / "out")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [
        str(write_tiny_model(folder / name, initializer_range=scale)) for name, scale in (("one", 0.2), ("two", 0.5))
    ]


def test_of_models_and_of_their_evaluations(models, pairs, tmp_path, capsys):
    for model, name in zip(models, "ab", strict=True):
        evaluate(model, pairs, tmp_path / name)
    command = ["compare", "--output_dir", str(tmp_path / "out"), str(tmp_path / "a"), "--seed=3", str(tmp_path / "b")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "out/compare_results.json").read_text())

    rows = [
        [json.loads(line) for line in (tmp_path / name / "predictions.jsonl").read_text().splitlines()]
        for name in "ab"
    ]
    right = [numpy.array([each["label"] == each["prediction"] for each in run]) for run in rows]
    assert results["examples"] == len(right[0]) == 144 and results["seed"] == 3
    assert results["counts"]["only_a"] == (right[0] & ~right[1]).sum()
    assert results["counts"]["only_b"] == (right[1] & ~right[0]).sum()
    columns = [[[each[key] for each in run] for key in ("label", "prediction")] for run in rows]
    f1 = [precision_recall_fscore_support(*each, labels=LABELS, zero_division=0.0)[2] for each in columns]
    assert [each["f1"] for each in results["per_label"].values()] == pytest.approx(f1[1] - f1[0])
    assert f"B - A {results['difference']['estimate']:+.4f}" in printed and "p = " in printed
    assert f"only B {results['counts']['only_b']}" in printed and models[0] not in printed
    assert main(["compare", *models, "--dataset", pairs, "--seed", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[3:] == printed.splitlines()[3:-1]
    (record,) = json.loads(Path(models[0], "evaluations.json").read_text())
    assert record["accuracy"] == results["a"]["accuracy"]["estimate"]


def test_a_model_with_itself(models, pairs, tmp_path, capsys):
    evaluate(models[0], pairs, tmp_path / "a")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    printed = capsys.readouterr().out
    assert "They say the same label of each pair." in printed and "p = 1\n" in printed
    assert "B - A +0.0000  +0.0000 to +0.0000" in printed


def test_two_processes(models, pairs, tmp_path):
    """They share the evaluations; what one writes all have read."""
    command = [sys.executable, *launcher(), "-m", "hf_nli", "compare", *models, "--dataset", pairs]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(hf_nli.__file__).parents[1])
    result = subprocess.run(
        [*command, "--output_dir", str(tmp_path / "out")], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("B - A by label") == 1
    found = json.loads((tmp_path / "out/compare_results.json").read_text())
    expected = compare(*models, dataset=pairs).as_dict()
    same = ("examples", "counts", "flows", "difference", "mcnemar_p_value", "a", "b")
    assert [found[name] for name in same] == [expected[name] for name in same]
