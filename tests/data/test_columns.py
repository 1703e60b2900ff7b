"""Further columns of the pairs: row by row what belongs to those with a gold label."""

import json

import pytest
from challenge_sets import HANS, RELEASE, breaking_rows, objects, quoted, write, write_hans_of_the_hub
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from nli_files import write_gzip, write_json, write_jsonl, write_parquet

from hf_nli.core.errors import InputError
from hf_nli.data.load import NLIData
from hf_nli.settings.options import DataOptions

# Every third row has no gold label, so that rows that are out of step show.
ROWS = [
    {"premise": f"premise {number}", "hypothesis": "a", "label": ("neutral", "-", "entailment")[number % 3]}
    | {"genre": f"genre {number}"}
    for number in range(3000)
]


def write_csv_text(path, rows):
    path.write_text(quoted(rows, "," if path.suffix == ".csv" else "\t"))
    return str(path)


def write_saved(path, rows):
    DatasetDict(train=Dataset.from_list(rows)).save_to_disk(path)
    return str(path)


def in_step(table, pairs):
    """The numbers in both."""
    premises = [int(text.removeprefix("premise ")) for text in pairs["premise"]]
    return [int(text.removeprefix("genre ")) for text in table["genre"].to_pylist()] == premises


@pytest.mark.parametrize(
    "name, write_rows",
    [
        ("rows.jsonl", write_jsonl),
        ("rows.jsonl.gz", write_gzip),
        ("rows.json", write_json),
        ("rows.csv", write_csv_text),
        ("rows.tsv", write_csv_text),
        ("rows.txt", write_csv_text),
        ("rows.parquet", write_parquet),
        ("saved", write_saved),
    ],
)
def test_rows_without_a_gold_label_are_left_out(name, write_rows, tmp_path):
    data = NLIData(write_rows(tmp_path / name, ROWS))
    table = data.columns("train", ["genre"])
    assert len(table) == 2000 == len(data.read("train")) and in_step(table, data.read("train"))
    assert table.column_names == ["genre"]


def test_rows_of_shards_follow_each_other(tmp_path):
    """Each with its own order of columns."""
    write_csv_text(tmp_path / "train-1.csv", ROWS[:100])
    write_csv_text(tmp_path / "train-2.csv", [dict(reversed(row.items())) | {"more": ""} for row in ROWS[100:250]])
    data = NLIData(str(tmp_path))
    assert in_step(data.columns("train", ["genre"]), data.read("train"))
    assert data.column_names("train") == ["premise", "hypothesis", "label", "genre"]
    with pytest.raises(InputError, match="train: no column more in premise, hypothesis, label, genre$"):
        data.columns("train", ["more"])


def test_label_ids_and_label_maps_drop_the_same_rows(tmp_path):
    names = ClassLabel(names=["neutral", "entailment", "contradiction"])
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=names, genre=Value("string"))
    rows = [row | {"label": -1 if row["label"] == "-" else names.str2int(row["label"])} for row in ROWS[:20]]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "ids.parquet")
    mapped = DataOptions(label_map=["entailment=-"])
    for source, options, kept in (
        (str(tmp_path / "ids.parquet"), None, 13),
        (write_jsonl(tmp_path / "rows.jsonl", ROWS[:20]), mapped, 7),
    ):
        data = NLIData(source, options)
        table = data.columns("train", ["genre"])
        assert len(table) == kept and in_step(table, data.read("train"))


@pytest.mark.parametrize("name", ["snli_1.0_test_hard.jsonl", "multinli_1.0_dev_mismatched.txt", "dev_matched.tsv"])
def test_annotators_of_a_release(name, tmp_path):
    """A list in .jsonl, columns in tables; who gave no label isn't among them."""
    data = NLIData(write(tmp_path, name))
    table = data.columns("train", ["genre", "annotator_labels"])
    kept = [RELEASE[0], RELEASE[2]]  # the second one has no gold label
    assert table.to_pylist() == [{key: row[key] for key in ("genre", "annotator_labels")} for row in kept]
    assert "annotator_labels" in data.column_names("train")


def test_annotators_of_the_genuine_release(shared):
    """The two forms agree, and the gold label is the label of three or more."""
    tables = []
    for name in ("snli_1.0_dev.jsonl", "snli_1.0_dev.txt"):
        data = NLIData(str(shared / "data/snli" / name))
        tables.append(data.columns("train", ["pairID", "annotator_labels"]))
        pairs = data.read("train")
        for label, said in zip(pairs["label"], tables[-1]["annotator_labels"].to_pylist(), strict=True):
            assert said.count(pairs.features["label"].int2str(label)) >= 3
    assert tables[0] == tables[1] and len(tables[0]) == 1273


def test_breaking_nli(tmp_path):
    table = NLIData(write(tmp_path, "dataset.jsonl")).columns("train", ["category", "annotator_labels", "pairID"])
    assert table.to_pylist() == [{name: row[name] for name in table.column_names} for row in breaking_rows()]


def test_hans_in_each_form(tmp_path):
    write_hans_of_the_hub(tmp_path / "hans")
    names = ["heuristic", "subcase", "template"]
    for source in (
        write(tmp_path, "heuristics_evaluation_set.txt"),
        write(tmp_path, "heuristics_evaluation_set.jsonl"),
        str(tmp_path / "hans"),
    ):
        assert NLIData(source).columns("train", names).to_pylist() == [
            {name: row[name] for name in names} for row in HANS
        ]


def test_annotators_in_any_spelling(tmp_path):
    said = ["e", "Contradictory", "-", "", None, "NEUTRAL", "unsure"]
    row = {"premise": "a", "hypothesis": "b", "label": "n", "annotator_labels": said}
    source = write_jsonl(tmp_path / "rows.jsonl", [row])
    labels = NLIData(source, DataOptions(label_map=["unsure=neutral"])).columns("train", ["annotator_labels"])
    assert labels.to_pylist() == [{"annotator_labels": ["entailment", "contradiction", "neutral", "neutral"]}]
    two = DataOptions(label_map=["unsure=-", "neutral=not_entailment", "contradiction=not_entailment"])
    assert NLIData(source, two).columns("train", ["annotator_labels"]).to_pylist() == [
        {"annotator_labels": ["entailment", "not_entailment", "not_entailment"]}
    ]


@pytest.mark.parametrize(
    "said, message",
    [
        (["unsure"], "row 2 .line 2 of rows.jsonl.: unknown label 'unsure'; expected entailment, "),
        (["not_entailment"], "row 2 .line 2 of .*not_entailment"),
        ("neutral", "row 2 .*: annotator_labels is 'neutral', not a list of labels' names"),
        ([1], r"row 2 .*: annotator_labels is \[1\], not a list of labels' names"),
    ],
)
def test_annotations_that_are_no_labels(said, message, tmp_path):
    row = {"premise": "a", "hypothesis": "b", "label": "neutral"}
    source = tmp_path / "rows.jsonl"
    source.write_text(objects([row | {"annotator_labels": None}, row | {"annotator_labels": said}]))
    data = NLIData(str(source))
    assert len(data.read("train")) == 2  # who doesn't ask for them isn't bothered
    with pytest.raises(InputError, match=message):
        data.columns("train", ["annotator_labels"])


def test_values_keep_their_types(tmp_path):
    kinds = ClassLabel(names=["easy", "hard"])
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=Value("string"))
    features |= Features(kind=kinds, score=Value("float32"))
    row = {"premise": "a", "hypothesis": "b", "label": "neutral"}
    rows = [row | {"kind": 1, "score": 4.5}, row | {"kind": 0, "score": None}, row | {"kind": -1, "score": 1.0}]
    Dataset.from_list(rows, features=Features(features)).to_parquet(tmp_path / "rows.parquet")
    table = NLIData(str(tmp_path / "rows.parquet")).columns("train", ["kind", "score"])
    assert table.to_pylist() == [
        {"kind": "hard", "score": 4.5},
        {"kind": "easy", "score": None},
        {"kind": None, "score": 1.0},
    ]
    mixed = [row | {"tag": "x", "odd": [1]}, row | {"tag": 3, "odd": [2]}, row]
    data = NLIData(write_jsonl(tmp_path / "mixed.jsonl", mixed))
    assert data.columns("train", ["odd"])["odd"].to_pylist() == [[1], [2], None]
    with pytest.raises(InputError, match="the values of column tag are of several types"):
        data.columns("train", ["tag"])


def test_no_rows_and_no_columns(tmp_path):
    data = NLIData(write_jsonl(tmp_path / "rows.jsonl", [ROWS[1]]))
    assert data.columns("train", ["genre"]).to_pylist() == [] == data.columns("train", []).to_pylist()


def test_a_file_that_changes_meanwhile(tmp_path):
    data = NLIData(write_jsonl(tmp_path / "rows.jsonl", ROWS[:9]))
    assert len(data.read("train")) == 6
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    with pytest.raises(InputError, match="rows.jsonl, train: it was changed while it was read"):
        data.columns("train", ["genre"])
