"""Rows of every kind in one schema."""

import json
import logging
from hashlib import sha256
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from nli_files import EXPECTED, PAIRS, write_csv, write_gzip, write_jsonl, write_parquet, write_release

import hf_nli
from hf_nli.core.errors import InputError
from hf_nli.data.cache import cache_entries
from hf_nli.data.load import NLIData, load_nli, read_texts
from hf_nli.data.rows import CACHE_VERSION
from hf_nli.settings.options import DataOptions

DEVELOPMENT_PAIRS = "69f29f80811931bae560a7580dbaf62b0b21f20dbc7bfd9684806d9451dbb5ed"


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
        ([dict(PAIRS[0], label=None), PAIRS[1]], "row 1 .*: the label is missing; a row without a gold label has"),
        ([dict(PAIRS[0], label=["neutral"])], r"row 1 .*: unknown label \['neutral'\]; it must be a name"),
        ([dict(PAIRS[0], label={"neutral": 1})], "row 1 .*: unknown label {'neutral': 1}; it must be a name"),
        ([dict(PAIRS[0], label=True)], "row 1 .*: unknown label True; it must be a name or an id"),
        ([dict(PAIRS[0], label=0.5)], "row 1 .*: unknown label 0.5; it must be a name or an id"),
        ([dict(PAIRS[0], label="9" * 5000)], "row 1 .*: unknown label '9{59}…; expected"),
        ([dict(PAIRS[0], label=10**400)], "row 1 .*: unknown label 10{59}…; it must be"),
        ([dict(PAIRS[0], label="１")], "row 1 .*: unknown label '１'; expected .*--label_map"),
        ([dict(PAIRS[0], label="٢")], "row 1 .*: unknown label '٢'; expected"),
        ([dict(PAIRS[0], premise=["a"] * 100)], r"row 1 .*: the premise is \['a', .{50,60}…, not a text"),
        ([PAIRS[0], dict(PAIRS[0], premise="half \ud83d")], "row 2 .*: .* holds half of a surrogate pair"),
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
    write = write_jsonl if suffix == ".jsonl" else write_csv
    source = write(tmp_path / f"more{suffix}", [*rows, dict(PAIRS[0], label=form(3))])
    with pytest.raises(InputError, match="row 5 .*unknown label 3; there are names for 0 to 2"):
        load_nli(source, label_names=order)


def test_declared_labels_beat_the_class_labels(tmp_path):
    """Some data sets on the Hub name their labels 0, 1, 2."""
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=["0", "1", "2"]))
    rows = [dict(pair, label=index) for index, pair in enumerate(PAIRS)]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "ids.parquet")
    names = ["entailment", "neutral", "contradiction"]
    assert load_nli(str(tmp_path / "ids.parquet"), label_names=names)["train"].to_list() == EXPECTED


def test_wrong_label_names():
    for names in (
        ["yes", "no"],
        ["entailment"] * 3,
        ["entailment", "neutral"],
        ["entailment", "not_entailment", "neutral"],
        ["entailment", "neutral", "contradiction", "contradictory"],
        [],
    ):
        with pytest.raises(
            InputError, match=f"--label_names: {', '.join(map(repr, names))}; it must be entailment, n"
        ):
            DataOptions(label_names=names)


def test_columns_must_differ(tmp_path):
    with pytest.raises(InputError, match="--premise_column and --hypothesis_column are both a; they must differ"):
        DataOptions(premise_column="a", hypothesis_column="a")
    with pytest.raises(InputError, match="--hypothesis_column and --label_column are both b"):
        DataOptions(hypothesis_column="b", label_column="b")
    with pytest.raises(InputError, match="--label_column is empty"):
        DataOptions(label_column="")
    source = write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(InputError, match="premise and hypothesis are both column hypothesis; .*--hypothesis_column"):
        load_nli(source, premise_column="hypothesis")


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
        (("entailment", "not entailment"), [0, 1]),
        (("Entailment", "NotEntailment"), [0, 1]),
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


def test_contradiction_among_two_way_labels(tmp_path):
    """As in HANS beside MultiNLI: what isn't entailed has one label."""
    names = ("entailment", "not_entailment", "contradiction")
    rows = [dict(pair, label=name) for pair, name in zip(PAIRS, names, strict=True)]
    assert load_nli(write_jsonl(tmp_path / "pairs.jsonl", rows))["train"]["label"][:] == [0, 1, 1]


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


def kept():
    return {entry.path.name for entry in cache_entries() if entry.kind == "pairs"}


def test_what_was_read_is_kept(tmp_path, monkeypatch):
    """The key is what the result depends on, the code that reads among it, and nothing else."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    source = write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    changes = [
        lambda: load_nli(
            source,
            premise_column="label",
            label_column="premise",
            label_map=[f"{PAIRS[0]['premise']}=-"] + [f"{PAIRS[1]['premise']}=neutral"],
        ),
        lambda: load_nli(source, label_names=["neutral", "entailment", "contradiction"]),
        lambda: load_nli(source, label_map=["neutral=contradiction"]),
        lambda: load_nli(write_jsonl(tmp_path / "pairs.jsonl", PAIRS[1:])),
        lambda: monkeypatch.setattr("hf_nli.data.rows.CACHE_VERSION", -1) or load_nli(source),
    ]
    first = load_nli(source)
    before = kept()
    assert load_nli(source, premise_column="premise")["train"].to_list() == first["train"].to_list() == EXPECTED
    assert len(before) == 1 and kept() == before
    for change in changes:
        change()
        assert len(kept() - before) == 1
        before = kept()
    files = [Path(file["filename"]) for file in first["train"].cache_files]
    assert all(file.is_relative_to(tmp_path / "cache/hf_nli") for file in files) and files


def test_reading_in_another_way_needs_another_version(shared):
    """If this fails because rows are read in another way than they were, raise `rows.CACHE_VERSION`."""
    source = str(shared / "data/snli/snli_1.0_dev.txt")
    pairs = [load_nli(source, text=text)["train"].to_list() for text in ("raw", "parse")]
    assert (CACHE_VERSION, sha256(json.dumps(pairs).encode()).hexdigest()) == (3, DEVELOPMENT_PAIRS)


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


def test_each_split_is_read_by_itself(tmp_path):
    """In any order, with the same result; an error in one split is no error of another."""
    wrong = [dict(PAIRS[0], label="maybe")]
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS[:2], "test": wrong})
    for order in (("train", "validation"), ("validation", "train", "validation")):
        data = NLIData(str(tmp_path / "snli_1.0"))
        read = {name: data.read(name).to_list() for name in order}
        assert read == {"train": EXPECTED, "validation": EXPECTED[:2]}
    for _ in range(2):
        with pytest.raises(InputError, match="test, row 1 .line 1 of snli_1.0_test.jsonl.: unknown label 'maybe'"):
            data.read("test")


@pytest.mark.parametrize(
    "name, public",
    [
        ("snli_1.0_dev.jsonl", "validation"),
        ("snli_1.0_train.jsonl", "train"),
        ("test.jsonl.gz", "test"),
        ("validation-00000-of-00001.parquet", "validation"),
        ("pairs.jsonl", None),
        ("training.jsonl", None),
    ],
)
def test_public_names_of_splits(name, public, tmp_path):
    """A file is its split if its name says so; nothing is called training data that isn't said to be."""
    write = {".jsonl": write_jsonl, ".gz": write_gzip, ".parquet": write_parquet}[Path(name).suffix]
    data = NLIData(write(tmp_path / name, PAIRS))
    assert data.names == ("train",) and data.public_split("train") == public
    assert data.read_first("validation")[1].to_list() == data.read_first("train")[1].to_list() == EXPECTED


def test_public_names_of_splits_in_folders(tmp_path):
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS})
    for index in range(2):
        write_jsonl(tmp_path / f"part-{index}.jsonl", PAIRS)
    Dataset.from_list(PAIRS).save_to_disk(tmp_path / "saved")
    Dataset.from_list(PAIRS, split="test").save_to_disk(tmp_path / "known")
    expected = {
        "snli_1.0": {"train": "train", "validation": "validation"},
        "part-*.jsonl": {"train": None},
        "snli_1.0/*dev*": {"validation": "validation"},
        "saved": {"train": None},
        "known": {"train": "test"},
    }
    for source, names in expected.items():
        data = NLIData(str(tmp_path / source))
        assert {name: data.public_split(name) for name in data.names} == names


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
    with pytest.raises(InputError, match="can't be read .File name too long"):
        list(read_texts("x" * 300 + ".md"))
