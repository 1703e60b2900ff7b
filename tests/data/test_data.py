"""Rows of every kind in one schema."""

import logging
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest
from datasets import ClassLabel, Dataset, Features, Value, config
from nli_files import EXPECTED, PAIRS, write_csv, write_jsonl, write_release

import hf_nli
from hf_nli.core.errors import InputError
from hf_nli.data.load import NLIData, load_nli, read_texts
from hf_nli.settings.options import DataOptions

CACHE = config.HF_DATASETS_CACHE


def test_genuine_release_has_d2ls_count(shared):
    """d2l's `read_snli` reads 1,273 pairs from this file."""
    for name in ("snli_1.0_dev.txt", "snli_1.0_dev.jsonl"):
        data = NLIData(str(shared / "data/snli" / name))
        assert (len(data.read("train")), data.dropped) == (1273, {"train": 16})
    first = load_nli(str(shared / "data/snli/snli_1.0_dev.txt"))["train"][0]
    assert first["premise"] == "Two women are embracing while holding to go packages." and first["label"] == 1


def test_txt_and_jsonl_of_the_release_agree(shared):
    rows = [
        load_nli(str(shared / f"data/snli/snli_1.0_dev{suffix}"))["train"].to_list() for suffix in (".txt", ".jsonl")
    ]
    assert rows[0] == rows[1]


def test_label_ids_with_names_are_aligned_by_name(tmp_path):
    """Another order of labels, as in other data sets: ids must follow the names."""
    labels = ClassLabel(names=["contradiction", "entailment", "neutral"])
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=labels)
    rows = [dict(pair, label=labels.str2int(pair["label"])) for pair in PAIRS] + [dict(PAIRS[0], label=-1)]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "ids.parquet")
    data = NLIData(str(tmp_path / "ids.parquet"))
    assert data.read("train").to_list() == EXPECTED
    assert data.dropped == {"train": 1}


@pytest.mark.parametrize("label", [-2, 3])
def test_label_ids_outside_the_names_are_refused(label, tmp_path):
    names = ClassLabel(names=["entailment", "neutral", "contradiction"])
    schema = Features(premise=Value("string"), hypothesis=Value("string"), label=names).arrow_schema
    rows = [dict(PAIRS[0], label=0), dict(PAIRS[1], label=label)]
    source = tmp_path / "ids.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), source)  # which doesn't check the ids
    with pytest.raises(InputError, match=f"row 2: unknown label {label}"):
        load_nli(str(source))


@pytest.mark.parametrize(
    "rows, message",
    [
        ([{"premise": "a", "label": "neutral"}], "train: no column for the hypothesis"),
        ([dict(PAIRS[0], label="maybe")], "row 1 .line 1 of wrong.jsonl.: unknown label 'maybe'"),
        (PAIRS + [dict(PAIRS[0], label=0)], "can't be loaded|row 4 .*: the label is the number 0"),
        ([dict(PAIRS[0], label=1)], "row 1 .*: the label is the number 1, and data sets number labels differently"),
        ([dict(PAIRS[0], premise=None)], "row 1 .*: the premise is None"),
        ([dict(PAIRS[0], label=None), PAIRS[1]], "row 1 .*: unknown label None"),
        ([dict(PAIRS[0], label="-")], "no row with a gold label"),
    ],
)
def test_wrong_rows(rows, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        load_nli(write_jsonl(tmp_path / "wrong.jsonl", rows))
    assert "\n" not in str(error.value) and "wrong.jsonl" in str(error.value)


def test_parses_give_what_d2l_reads(shared, d2l, tmp_path):
    """Against d2l's own `read_snli`, which reads the .txt files of the release."""
    (tmp_path / "snli_1.0_test.txt").symlink_to(shared / "data/snli/snli_1.0_dev.txt")
    premises, hypotheses, labels = d2l.read_snli(tmp_path, is_train=False)
    ours = load_nli(str(tmp_path), text="parse")["test"]
    assert ours["premise"][:] == premises and ours["hypothesis"][:] == hypotheses
    assert [
        ("entailment", "contradiction", "neutral").index(ours.features["label"].int2str(i)) for i in ours["label"]
    ] == labels
    jsonl = load_nli(str(shared / "data/snli/snli_1.0_dev.jsonl"), text="parse")["train"]
    assert jsonl["premise"][:] == premises


def test_parses_are_only_in_the_release(tmp_path):
    with pytest.raises(InputError, match="no column for the premise .sentence1_binary_parse. in premise"):
        load_nli(write_jsonl(tmp_path / "pairs.jsonl", PAIRS), text="parse")


def test_the_package_itself_gives_load_nli():
    assert hf_nli.load_nli is load_nli
    with pytest.raises(AttributeError, match="no attribute 'load_snli'"):
        hf_nli.load_snli()


def test_columns_by_name(tmp_path):
    names = {"premise": "context", "hypothesis": "claim", "label": "verdict"}
    rows = [{"premise": "wrong"} | {names[column]: value for column, value in pair.items()} for pair in PAIRS]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows)
    options = {f"{column}_column": name for column, name in names.items()}
    assert load_nli(source, **options)["train"].to_list() == EXPECTED
    with pytest.raises(InputError, match="no column .*.answer. in .*; name it with --hypothesis_column"):
        load_nli(source, **options | {"hypothesis_column": "answer"})


def test_recognized_columns(tmp_path):
    for columns in (("sentence1", "sentence2", "gold_label"), ("text", "text_pair", "label")):
        rows = [dict(zip(columns, pair.values(), strict=True)) for pair in PAIRS]
        assert load_nli(write_jsonl(tmp_path / f"{columns[0]}.jsonl", rows))["train"].to_list() == EXPECTED
    rows = [{"question1": "a", "question2": "b", "label": "neutral"}]
    with pytest.raises(InputError, match="no column for the premise"):
        load_nli(write_jsonl(tmp_path / "questions.jsonl", rows))


@pytest.mark.parametrize("form", [int, str, float], ids=["integers", "text", "floats"])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_declared_label_ids(form, suffix, tmp_path):
    order = ["contradiction", "entailment", "neutral"]
    rows = [dict(pair, label=form(order.index(pair["label"]))) for pair in PAIRS] + [dict(PAIRS[0], label=form(-1))]
    source = (write_jsonl if suffix == ".jsonl" else write_csv)(tmp_path / f"ids{suffix}", rows)
    data = NLIData(source, DataOptions(label_names=order))
    assert (data.read("train").to_list(), data.dropped) == (EXPECTED, {"train": 1})
    with pytest.raises(InputError, match="the label is the number 1, .*--label_names entailment neutral"):
        load_nli(source)
    with pytest.raises(InputError, match="row 2 .*unknown label 2"):
        load_nli(source, label_names=order[:2])


def test_declared_labels_beat_the_class_labels(tmp_path):
    """Some data sets on the Hub name their labels 0, 1, 2."""
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=["0", "1", "2"]))
    rows = [dict(pair, label=index) for index, pair in enumerate(PAIRS)]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "ids.parquet")
    names = ["entailment", "neutral", "contradiction"]
    assert load_nli(str(tmp_path / "ids.parquet"), label_names=names)["train"].to_list() == EXPECTED


def test_wrong_label_names():
    with pytest.raises(InputError, match="--label_names: 'yes' is not one of entailment, neutral, contradiction"):
        DataOptions(label_names=["yes", "no"])


@pytest.mark.parametrize(
    "names", [("Entailment", "NEUTRAL", "contradiction "), ("entailment", "neutral", "contradiction")]
)
def test_label_names_in_any_case(names, tmp_path):
    rows = [dict(pair, label=name) for pair, name in zip(PAIRS, names, strict=True)]
    assert load_nli(write_jsonl(tmp_path / "pairs.jsonl", rows))["train"].to_list() == EXPECTED


@pytest.mark.parametrize(
    "names, ids",
    [
        (("entailment", "not_entailment"), [0, 1]),  # RTE
        (("entailment", "non-entailment"), [0, 1]),  # HANS
        (("entails", "neutral"), [0, 1]),  # SciTail
        (("not_entailment", "entailment"), [1, 0]),
        (("entailment", "not_entailment", "contradiction"), [0, 1, 1]),
    ],
)
@pytest.mark.parametrize("declared", [False, True])
def test_two_way_data(names, ids, declared, tmp_path):
    rows = [
        dict(pair, label=index if declared else name)
        for index, (pair, name) in enumerate(zip(PAIRS, names, strict=False))
    ]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows)
    pairs = load_nli(source, label_names=list(names) if declared else None)["train"]
    assert pairs.features["label"].names == ["entailment", "not_entailment"]
    assert pairs["label"][:] == ids


def test_warnings_count(tmp_path, caplog):
    caplog.set_level(logging.INFO, "hf_nli")
    rows = [*PAIRS, dict(PAIRS[0], premise=" \t"), dict(PAIRS[0], premise=""), dict(PAIRS[0], label="-")]
    for _ in range(2):  # read, and from the cache
        caplog.clear()
        load_nli(write_jsonl(tmp_path / "pairs.jsonl", rows))
        where = f"{tmp_path}/pairs.jsonl, train: "
        assert [record.getMessage().removeprefix(where) for record in caplog.records] == [
            "5 pairs",
            "1 rows without a gold label dropped",
            "2 rows with an empty premise",
            "1 rows with an empty hypothesis",
        ]
        assert {record.levelname for record in caplog.records[1:]} == {"WARNING"}


def test_what_was_read_is_kept(tmp_path, monkeypatch):
    source = write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    first = load_nli(source)
    with monkeypatch.context() as patch:
        patch.delattr("hf_nli.data.load._row")
        assert load_nli(source)["train"].to_list() == EXPECTED
        for change in ({"label_column": "label", "premise_column": "hypothesis"}, {"label_names": ["neutral"]}):
            with pytest.raises(NameError):
                load_nli(source, **change)
        patch.setattr("hf_nli.__version__", "another")
        with pytest.raises(NameError):
            load_nli(source)
    assert all(Path(file["filename"]).is_relative_to(CACHE) for file in first["train"].cache_files)


def test_first_split_with_labels(tmp_path):
    write_release(
        tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS[1:], "test": [dict(PAIRS[0], label="-")]}
    )
    data = NLIData(str(tmp_path / "snli_1.0"))
    name, pairs = data.read_first("test", "validation")
    assert (name, pairs.to_list()) == ("validation", EXPECTED[1:])
    assert "train" not in data.dropped  # it wasn't read
    with pytest.raises(InputError, match="snli_1.0, test: no row with a gold label"):
        data.read_first("test")
    with pytest.raises(InputError, match="no split named dev; it has train, validation, test"):
        data.read_first("dev")
    alone = NLIData(write_jsonl(tmp_path / "pairs.jsonl", PAIRS))
    assert alone.read_first("test")[0] == "train"


def test_read_texts(tmp_path):
    (tmp_path / "text.txt").write_text("One line.\nÄnother\n", encoding="utf-8")
    assert list(read_texts(str(tmp_path / "text.txt"))) == ["One line.", "Änother"]
    pairs = write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    assert sorted(read_texts(pairs)) == sorted(pair[side] for pair in PAIRS for side in ("premise", "hypothesis"))
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    with pytest.raises(InputError, match="latin.txt: can't be read as UTF-8 text"):
        list(read_texts(str(tmp_path / "latin.txt")))
    with pytest.raises(InputError, match="nowhere.txt: no such file"):
        list(read_texts(str(tmp_path / "nowhere.txt")))
