"""The sets by which people test NLI models load as they are published."""

import json

import pytest
from challenge_sets import HANS, NLI, PAIRS, RELEASES, THREE_WAY, TWO_WAY, objects, write, write_hans_of_the_hub

from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.data.load import NLIData, load_nli
from hf_nli.settings.options import DataOptions


def expected(labels, pairs=PAIRS):
    return [{"premise": p, "hypothesis": h, "label": label} for (p, h), label in zip(pairs, labels, strict=True)]


@pytest.mark.parametrize("name", THREE_WAY)
def test_three_way_sets(name, tmp_path):
    splits = load_nli(write(tmp_path, name))
    assert splits["train"].to_list() == expected([0, 1, 2])
    assert splits["train"].features["label"].names == list(NLI)


@pytest.mark.parametrize("name", RELEASES)
def test_releases(name, tmp_path):
    data = NLIData(write(tmp_path, name))
    assert data.read("train").to_list() == expected([0, 2], [PAIRS[0], PAIRS[2]])
    assert data.dropped == {"train": 1}


@pytest.mark.parametrize("name", [*TWO_WAY, "the Hub's"])
def test_hans_is_two_way(name, tmp_path):
    source = write_hans_of_the_hub(tmp_path / "hans") if name == "the Hub's" else write(tmp_path, name)
    pairs = load_nli(source)["train"]
    assert pairs.to_list() == expected([0, 1, 1])
    assert pairs.features["label"].names == ["entailment", "not_entailment"]


def test_parses_of_hans(tmp_path):
    """Of a set in the release's form, the words of the binary parses can be read, too."""
    pairs = load_nli(write(tmp_path, "heuristics_evaluation_set.txt"), text="parse")["train"]
    assert pairs["premise"][:] == [premise for premise, _ in PAIRS]
    rows = [row | {"sentence1_binary_parse": "( ( a man ) sleeps )"} for row in HANS]
    (tmp_path / "parsed.jsonl").write_text(objects(rows))
    assert set(load_nli(str(tmp_path / "parsed.jsonl"), text="parse")["train"]["premise"]) == {"a man sleeps"}


@pytest.mark.parametrize(
    "name, public",
    [
        ("snli_1.0_test_hard.jsonl", "test_hard"),
        ("multinli_1.0_dev_matched.jsonl", "validation_matched"),
        ("multinli_1.0_dev_mismatched.txt", "validation_mismatched"),
        ("dev_matched.tsv", "validation_matched"),
        ("esnli_train_1.csv", "train"),
        ("revised_dev.tsv", "validation"),
        ("heuristics_evaluation_set.txt", None),
        ("SICK.txt", None),
        ("dataset.jsonl", None),
    ],
)
def test_what_their_names_say(name, public, tmp_path):
    assert NLIData(write(tmp_path, name)).public_split("train") == public


def test_snli_hard_is_a_test_split_but_not_snli_s(tmp_path):
    hard = NLIData(write(tmp_path, "snli_1.0_test_hard.jsonl"))
    assert hard.find("test") == hard.find("test_hard") == ["train"] and hard.find("validation") == []
    text = RELEASES["snli_1.0_test_hard.jsonl"]
    for name in ("snli_1.0_train", "snli_1.0_dev"):
        (tmp_path / f"{name}.jsonl").write_text(text)
    without = NLIData(str(tmp_path))
    assert without.names == ("train", "validation", "test_hard") and without.read_first("test")[0] == "test_hard"
    (tmp_path / "snli_1.0_test.jsonl").write_text(text * 2)
    data = NLIData(str(tmp_path))
    assert data.names == ("train", "validation", "test", "test_hard")
    assert data.find("test") == ["test"] and data.find("test_hard") == ["test_hard"]
    assert [len(data.read(name)) for name in ("test", "test_hard")] == [4, 2]


@pytest.mark.parametrize(
    "columns, message",
    [
        (("Premise", "PREMISE", "hypothesis", "label"), "the premise may be column Premise or PREMISE; .*--premise_c"),
        # Of a text beside SICK's pairs it isn't known that it is no premise.
        (("text", "sentence_A", "sentence_B", "label"), "the premise may be column text or sentence_A; name the"),
        (("context", "sentence_A", "hypothesis", "label"), "the premise may be column context or sentence_A"),
        (("sentence_A", "sentence_B", "label", "entailment_label"), "the label may be column label or entailment_la"),
        (("sentence_A", "sentence_C", "label"), "no column for the hypothesis .hypothesis, sentence2, text_pair, sen"),
        (("sentence_A", "sentence_B", "relatedness_score"), "no column for the label .label, gold_label, entailment_"),
        (("query", "context", "label"), "no column for the hypothesis"),  # NLI-style FEVER
    ],
)
def test_what_may_be_meant_is_not_guessed(columns, message, tmp_path):
    (tmp_path / "rows.jsonl").write_text(objects([dict.fromkeys(columns, "neutral")]))
    with pytest.raises(InputError, match=message):
        load_nli(str(tmp_path / "rows.jsonl"))


@pytest.mark.parametrize(
    "others", [("Sentence1", "SENTENCE2"), ("context", "sentence_B"), ("entailment_label", "Label")]
)
def test_what_was_recognized_before_still_is(others, tmp_path):
    row = dict.fromkeys(others, "other") | {"text": "a", "text_pair": "b", "label": "neutral"}
    (tmp_path / "rows.jsonl").write_text(objects([row]))
    assert load_nli(str(tmp_path / "rows.jsonl"))["train"].to_list() == expected([1], [("a", "b")])


def test_a_named_column_is_meant_to_the_letter(tmp_path):
    source = write(tmp_path, "esnli_train_1.csv")
    with pytest.raises(InputError, match=r"no column for the premise \(sentence1\) in pairID, gold_label, Sentence1"):
        load_nli(source, premise_column="sentence1")
    explained = load_nli(source, hypothesis_column="Explanation_1")["train"]
    assert explained["premise"][:] == [premise for premise, _ in PAIRS]
    assert set(explained["hypothesis"]) == {"Because,\nas I say."}


@pytest.mark.parametrize("labels", [NLI, ("entailment", "entailment", "entailment")])
def test_a_label_map_to_two_labels_makes_data_two_way(labels, tmp_path):
    """Whatever labels the rows happen to have, so that all splits are of one kind."""
    rows = [{"premise": p, "hypothesis": h, "label": label} for (p, h), label in zip(PAIRS, labels, strict=True)]
    (tmp_path / "rows.jsonl").write_text(objects(rows))
    label_map = ["neutral=not_entailment", "contradiction=not_entailment"]
    pairs = load_nli(str(tmp_path / "rows.jsonl"), label_map=label_map)["train"]
    assert pairs.features["label"].names == ["entailment", "not_entailment"]
    assert pairs["label"][:] == [int(label != "entailment") for label in labels]


def test_evaluate_with_a_label_map_to_two_labels(model, tmp_path, capsys):
    source = write(tmp_path, "SICK.txt")
    flags = ["--model_name_or_path", model, "--dataset", source, "--output_dir", str(tmp_path / "scores")]
    label_map = ["--label_map", "neutral=not_entailment", "contradiction=not_entailment"]
    assert main(["evaluate", *flags, *label_map]) == 0
    results = json.loads((tmp_path / "scores/eval_results.json").read_text())
    assert {label: scores["support"] for label, scores in results["per_label"].items()} == {
        "entailment": 1,
        "not_entailment": 2,
    }
    assert results["merged_labels"] == {"not_entailment": ["neutral", "contradiction"]} and results["split"] is None


def test_evaluate_snli_hard(model, tmp_path):
    source = write(tmp_path, "snli_1.0_test_hard.jsonl")
    flags = ["--model_name_or_path", model, "--dataset", source, "--output_dir", str(tmp_path / "scores")]
    assert main(["evaluate", *flags, "--split", "test"]) == 0
    results = json.loads((tmp_path / "scores/eval_results.json").read_text())
    assert (results["split"], results["examples"], results["dropped"]) == ("test_hard", 2, 1)


def test_inspect_anli(tmp_path, capsys):
    assert main(["inspect", "--dataset", write(tmp_path, "R1_dev.jsonl")]) == 0
    assert "3 pairs (1 entailment, 1 neutral, 1 contradiction)" in capsys.readouterr().out


def test_options_name_what_is_recognized():
    assert DataOptions(premise_column="a").columns["premise"] == ("a",)
    assert DataOptions(premise_column="a").other_columns["premise"] == ()
    assert DataOptions(text="parse").other_columns["premise"] == ("sentence1_binary_parse",)
