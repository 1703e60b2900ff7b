"""NLI from every kind of source, and what goes wrong with them."""

import csv
import gzip
import io
import json
import logging
import zipfile

import pyarrow
import pyarrow.parquet as parquet
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_nli.data import find_split, load_nli, read_nli, train_and_validation
from hf_nli.errors import InputError

PAIRS = [
    {"premise": 'A man says "hi" (twice).', "hypothesis": "A man speaks.", "label": "entailment"},
    {"premise": "A dog runs.", "hypothesis": "N/A", "label": "neutral"},
    {"premise": "A dog runs.", "hypothesis": "", "label": "contradiction"},
]
GOOD_LINE = (json.dumps(PAIRS[0]) + "\n").encode()
EXPECTED = [dict(pair, label=label) for pair, label in zip(PAIRS, (0, 1, 2), strict=True)]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_csv(path, rows, **options):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def release_rows(pairs):
    names = {"label": "gold_label", "premise": "sentence1", "hypothesis": "sentence2"}
    return [{names[name]: text for name, text in pair.items()} | {"captionID": "1.jpg"} for pair in pairs]


def write_release(folder, suffix, splits):
    folder.mkdir(parents=True)
    for split, pairs in splits.items():
        path = folder / f"snli_1.0_{split}{suffix}"
        if suffix == ".jsonl":
            write_jsonl(path, release_rows(pairs))
        else:
            tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
            write_csv(path, release_rows(pairs), **tabs)


def write_parquet(path, rows):
    Dataset.from_list(rows).to_parquet(path)
    return str(path)


def write_json(path, rows):
    path.write_text(json.dumps(rows))
    return str(path)


def write_gzip(path, rows):
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return str(path)


@pytest.mark.parametrize(
    "name, write",
    [
        ("pairs.jsonl", write_jsonl),
        ("pairs.json", write_json),
        ("pairs.csv", write_csv),
        ("pairs.parquet", write_parquet),
        ("pairs.jsonl.gz", write_gzip),
        ("with.dots.and spaces.jsonl", write_jsonl),
    ],
)
def test_single_files(name, write, tmp_path):
    splits = load_nli(write(tmp_path / name, PAIRS))
    assert list(splits) == ["train"]
    assert splits["train"].to_list() == EXPECTED
    assert splits["train"].features == Features(
        premise=Value("string"),
        hypothesis=Value("string"),
        label=ClassLabel(names=["entailment", "neutral", "contradiction"]),
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".txt"])
@pytest.mark.parametrize("zipped", [False, True])
def test_stanford_release(suffix, zipped, tmp_path):
    splits = {"train": PAIRS + [dict(PAIRS[0], label="-")], "dev": PAIRS[:2], "test": PAIRS[1:]}
    write_release(tmp_path / "snli_1.0", suffix, splits)
    source = tmp_path / "snli_1.0"
    if zipped:
        source = tmp_path / "snli_1.0.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in (tmp_path / "snli_1.0").iterdir():
                archive.write(file, f"snli_1.0/{file.name}")
                archive.writestr(f"__MACOSX/snli_1.0/._{file.name}", b"\x00resource fork")
    loaded, dropped = read_nli(str(source))
    assert {name: split.to_list() for name, split in loaded.items()} == {
        "train": EXPECTED,
        "validation": EXPECTED[:2],
        "test": EXPECTED[1:],
    }
    assert dropped == {"train": 1, "validation": 0, "test": 0}


def test_genuine_release_has_d2ls_count(shared):
    """d2l's `read_snli` reads 1,273 pairs from this file."""
    for name in ("snli_1.0_dev.txt", "snli_1.0_dev.jsonl"):
        splits, dropped = read_nli(str(shared / "data/snli" / name))
        assert (len(splits["train"]), dropped["train"]) == (1273, 16)
    first = load_nli(str(shared / "data/snli/snli_1.0_dev.txt"))["train"][0]
    assert first["premise"] == "Two women are embracing while holding to go packages." and first["label"] == 1


def test_txt_and_jsonl_of_the_release_agree(shared):
    rows = [
        load_nli(str(shared / f"data/snli/snli_1.0_dev{suffix}"))["train"].to_list() for suffix in (".txt", ".jsonl")
    ]
    assert rows[0] == rows[1]


def test_zip_members_cannot_leave_their_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
        archive.writestr("../../outside_train.jsonl", GOOD_LINE)
    assert load_nli(str(tmp_path / "hostile.zip"))["train"].to_list() == EXPECTED[:1]
    assert not list(tmp_path.parent.glob("outside*"))


def test_label_ids_with_names_are_aligned_by_name(tmp_path):
    """Another order of labels, as in other data sets: ids must follow the names."""
    labels = ClassLabel(names=["contradiction", "entailment", "neutral"])
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=labels)
    rows = [dict(pair, label=labels.str2int(pair["label"])) for pair in PAIRS] + [dict(PAIRS[0], label=-1)]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "ids.parquet")
    splits, dropped = read_nli(str(tmp_path / "ids.parquet"))
    assert splits["train"].to_list() == EXPECTED
    assert dropped == {"train": 1}


@pytest.mark.parametrize("label", [-2, 3])
def test_label_ids_outside_the_names_are_refused(label, tmp_path):
    names = ClassLabel(names=["entailment", "neutral", "contradiction"])
    schema = Features(premise=Value("string"), hypothesis=Value("string"), label=names).arrow_schema
    rows = [dict(PAIRS[0], label=0), dict(PAIRS[1], label=label)]
    source = tmp_path / "ids.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), source)  # which doesn't check the ids
    with pytest.raises(InputError, match=f"row 2: unknown label {label}"):
        load_nli(str(source))


def test_a_changed_file_is_read_again(tmp_path):
    source = write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    assert len(load_nli(source)["train"]) == 3
    write_jsonl(tmp_path / "pairs.jsonl", PAIRS * 2)
    assert len(load_nli(source)["train"]) == 6


@pytest.mark.parametrize(
    "rows, message",
    [
        ([{"premise": "a", "label": "neutral"}], "train: no column for the hypothesis"),
        ([dict(PAIRS[0], label="maybe")], "row 1: unknown label 'maybe'"),
        (PAIRS + [dict(PAIRS[0], label=0)], "can't be loaded|row 4: the label is the number 0"),
        ([dict(PAIRS[0], label=1)], "row 1: the label is the number 1, and data sets number labels differently"),
        ([dict(PAIRS[0], premise=None)], "row 1: the premise is None"),
        ([dict(PAIRS[0], label=None), PAIRS[1]], "row 1: unknown label None"),
        ([dict(PAIRS[0], label="-")], "no row with a gold label"),
    ],
)
def test_wrong_rows(rows, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        load_nli(write_jsonl(tmp_path / "wrong.jsonl", rows))
    assert "\n" not in str(error.value) and "wrong.jsonl" in str(error.value)


def flipped_zip():
    """A zip of a release with one byte of its content changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("snli_1.0/snli_1.0_train.jsonl", GOOD_LINE)
    return file.getvalue().replace(b"premise", b"premisf", 1)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("empty.jsonl", b"", "the file is empty"),
        ("cut.jsonl", GOOD_LINE + b'{"premise": "x", "hyp', "can't be loaded"),
        ("cut.jsonl.gz", gzip.compress(GOOD_LINE * 100)[:40], "can't be loaded"),
        ("cut.parquet", b"PAR1xxxxPAR1", "can't be loaded"),
        ("latin1.csv", "premise,hypothesis,label\né,b,neutral\n".encode("latin-1"), "can't be loaded.*codec"),
        ("wide.csv", b"premise,hypothesis,label\na,b,neutral\na,b,c,neutral\n", "can't be loaded.*line 3"),
        ("short.csv", b"premise,hypothesis,label\na,b,neutral\na,b\n", "row 2: unknown label ''"),
        ("pairs.xlsx", b"whatever", "not one of .jsonl"),
        ("cut.zip", b"PK\x03\x04", "not one of .jsonl"),
        ("flipped.zip", flipped_zip(), "damaged or encrypted zip"),
    ],
    # Archives hold the time: the names of the tests must not, or parallel workers collect different ones.
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_damaged_files(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_nli(str(tmp_path / name))
    assert "\n" not in str(error.value) and name in str(error.value)


def test_sources_that_are_not_there(tmp_path):
    for source in ("nowhere.jsonl", str(tmp_path / "nowhere"), "a/b/c"):
        with pytest.raises(InputError, match="no such file or folder"):
            load_nli(source)
    with pytest.raises(InputError, match="no files named like snli_1.0_train.jsonl"):
        load_nli(str(tmp_path))
    with pytest.raises(InputError, match="stanfordnlp/snli.*the Hub can't be reached"):
        load_nli("stanfordnlp/snli")


def test_split_set_aside_by_seed(tmp_path, caplog):
    rows = [dict(PAIRS[0], hypothesis=f"{index}") for index in range(100)]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows)
    caplog.set_level(logging.INFO, "hf_nli")
    train, validation, dropped = train_and_validation(source, None, seed=1)
    assert (len(train), len(validation), dropped) == (95, 5, 0)
    assert sorted([*train["hypothesis"], *validation["hypothesis"]]) == sorted(row["hypothesis"] for row in rows)
    assert "5 of 100 training rows (5%) set aside by seed 1" in caplog.text
    assert train_and_validation(source, None, seed=1)[1].to_list() == validation.to_list()
    assert train_and_validation(source, None, seed=2)[1].to_list() != validation.to_list()


def test_validation_comes_from_where_it_is_said_to(tmp_path):
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS[:1], "test": PAIRS[:2]})
    release, other = str(tmp_path / "snli_1.0"), write_jsonl(tmp_path / "other.jsonl", PAIRS[2:])
    assert [part.to_list() for part in train_and_validation(release, None, 0)[:2]] == [EXPECTED, EXPECTED[:1]]
    assert train_and_validation(release, other, 0)[1].to_list() == EXPECTED[2:]
    assert train_and_validation(other, release, 0)[1].to_list() == EXPECTED[:1]
    with pytest.raises(InputError, match="one row can't be split"):
        train_and_validation(other, None, 0)


def test_find_split(tmp_path):
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "test": PAIRS[:2]})
    splits = load_nli(str(tmp_path / "snli_1.0"))
    assert find_split(splits, "x", "validation", "test") == "test"
    with pytest.raises(InputError, match="no split named validation; it has train, test"):
        find_split(splits, "x", "validation")
