"""Data from every kind of source, and what goes wrong with them."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hub_server import hub
from nli_files import (
    EXPECTED,
    LINE,
    PAIRS,
    write_csv,
    write_gzip,
    write_json,
    write_jsonl,
    write_parquet,
    write_release,
)

from hf_nli.core.errors import InputError
from hf_nli.data.load import NLIData, load_nli


def write_tsv(path, rows):
    return write_csv(path, rows, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)


def gzipped(write):
    def write_gzipped(path, rows):
        write(path.with_suffix(""), rows)
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
        return str(path)

    return write_gzipped


@pytest.mark.parametrize(
    "name, write",
    [
        ("pairs.jsonl", write_jsonl),
        ("pairs.json", write_json),
        ("pairs.csv", write_csv),
        ("pairs.parquet", write_parquet),
        ("pairs.tsv", write_tsv),
        ("pairs.txt", write_tsv),
        ("pairs.jsonl.gz", write_gzip),
        ("pairs.json.gz", gzipped(write_json)),
        ("pairs.csv.gz", gzipped(write_csv)),
        ("pairs.tsv.gz", gzipped(write_tsv)),
        ("pairs.parquet.gz", gzipped(write_parquet)),
        ("pairs [1] (*).jsonl", write_jsonl),
        ("with.dots.and spaces.jsonl", write_jsonl),
        ("PAIRS.CSV", write_csv),
        ("pairs.JSONL.GZ", write_gzip),
        ("lines.json", write_jsonl),
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
    data = NLIData(str(source))
    loaded = data.read_all()
    assert {name: split.to_list() for name, split in loaded.items()} == {
        "train": EXPECTED,
        "validation": EXPECTED[:2],
        "test": EXPECTED[1:],
    }
    assert data.dropped == {"train": 1, "validation": 0, "test": 0}


def test_zip_members_cannot_leave_their_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
        archive.writestr("../../outside_train.jsonl", LINE)
    assert load_nli(str(tmp_path / "hostile.zip"))["train"].to_list() == EXPECTED[:1]
    assert not list(tmp_path.parent.glob("outside*"))


def test_a_changed_file_is_read_again(tmp_path):
    source = write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    assert len(load_nli(source)["train"]) == 3
    write_jsonl(tmp_path / "pairs.jsonl", PAIRS * 2)
    assert len(load_nli(source)["train"]) == 6


def release_zip(name="snli_1.0_train.jsonl"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"snli_1.0/{name}", LINE)
    return file.getvalue()


def parquet_bytes():
    file = io.BytesIO()
    Dataset.from_list(PAIRS).to_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("empty.jsonl", b"", "the file is empty"),
        ("cut.jsonl", LINE + b'{"premise": "x", "hyp', "can't be loaded"),
        ("cut.jsonl.gz", gzip.compress(LINE * 100)[:40], "can't be loaded"),
        ("cut.parquet", b"PAR1xxxxPAR1", "can't be loaded"),
        (
            "latin1.csv",
            "premise,hypothesis,label\né,b,neutral\n".encode("latin-1"),
            ".line 2 of latin1.csv.: .*not UTF-8 .byte 0xe9.; save it as UTF-8",
        ),
        (
            "wide.csv",
            b"premise,hypothesis,label\na,b,neutral\na,b,c,neutral\n",
            r"row 2 .line 3 of wide.csv.: 4 fields, the header has 3",
        ),
        ("wide.csv", b"premise,hypothesis,label\na,b,c,neutral\n", "row 1 .line 2 of .*: 4 fields, the header has 3"),
        (
            "quote.csv",
            b'premise,hypothesis,label\na,b,neutral\na,"b\nb\n' + b"b" * 200_000,
            "row 2 .line 3 of .*: .* never closed",
        ),
        (
            "quote.csv",
            b'premise,hypothesis,label\n"a \\"b\\" c",d,neutral\n',
            "row 1 .line 2 of .*: text follows a closing quotation",
        ),
        (
            "short.csv",
            b"premise,hypothesis,label\na,b,neutral\na,b\n",
            r"row 2 .line 3 of short.csv.: 2 fields, the header has 3",
        ),
        (
            "short.csv",
            b'label,premise,hypothesis\nneutral,"a\nb",c\n\nneutral,d\n',
            "row 2 .line 5 of .*: 2 fields, the header has 3",
        ),
        (
            "short.tsv",
            b"label\tpremise\thypothesis\tk\nneutral\ta\t\tb\nneutral\ta\tb\n",
            "line 3 of .*: 3 fields, the header has 4",
        ),
        (
            "short.csv.gz",
            gzip.compress(b"label,premise,hypothesis\nneutral,a\n"),
            "line 2 of short.csv.gz.*: 2 fields",
        ),
        ("label.csv", b"premise,hypothesis,label\na,b,\n", "row 1 .line 2 of label.csv.: unknown label ''"),
        (
            "label.jsonl",
            LINE + b"\n" + LINE.replace(b"entailment", b"maybe"),
            "row 2 .line 3 of .*unknown label 'maybe'",
        ),
        ("latin1.jsonl", LINE.decode().replace("man", "m\xe4n").encode("latin-1"), "the text is not UTF-8"),
        ("null.json", b"null", "row 1 .line 1 of null.json.: .*null is no JSON object"),
        ("list.json", b'[{"premise": "a"}, 3]', "no column for the hypothesis"),
        (
            "numbers.json",
            b"[" + LINE + b", 3]",
            "row 2 .line 2 of numbers.json.: can't be loaded: 3 is no JSON object",
        ),
        ("cut.json", b"[" + LINE, "can't be loaded"),
        ("deep.jsonl", b"[" * 100_000, "row 1 .line 1 of deep.jsonl.: can't be loaded"),
        ("header.csv", b"premise,hypothesis,label\n", "header.csv, train: it has no rows"),
        ("unlabelled.csv", b"premise,hypothesis,label\na,b,-\n", "no row with a gold label"),
        ("latin1.txt", b"gold_label\tsentence1\tsentence2\nneutral\t\xe9\tb\n", "can't be loaded.*UTF-8"),
        ("half.parquet", parquet_bytes()[:-100], "can't be loaded"),
        ("half.zip", release_zip()[:-30], "not one of .jsonl"),
        ("notes.zip", release_zip("notes.jsonl"), "no files named like"),
        ("nameless.zip", release_zip().replace(b"snli_1.0", b"\0nli_1.0"), "no files named like"),
        ("pairs.xlsx", b"whatever", "not one of .jsonl"),
        ("cut.zip", b"PK\x03\x04", "not one of .jsonl"),
        ("flipped.zip", release_zip().replace(b"premise", b"premisf", 1), "damaged or encrypted zip"),
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
    for source in ("nowhere.jsonl", str(tmp_path / "nowhere"), "a/b/c", "a b"):
        with pytest.raises(InputError, match="no such file or folder"):
            load_nli(source)
    with pytest.raises(InputError, match="no such file or folder"):
        load_nli(f"{tmp_path}/*.jsonl")
    with pytest.raises(InputError, match="no files named like snli_1.0_train.jsonl"):
        load_nli(str(tmp_path))
    with pytest.raises(InputError, match="stanfordnlp/snli.*the Hub can't be reached"):
        load_nli("stanfordnlp/snli")


def test_zip_members_of_one_name_stay_apart(tmp_path, caplog):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("one/train-1.jsonl", LINE)
        archive.writestr("two/train-1.jsonl", LINE)
        archive.writestr("notes/dev.jsonl.md", "no data")
        archive.writestr("/absolute/test.jsonl", LINE)
    splits = load_nli(str(tmp_path / "two.zip"))
    assert {name: len(split) for name, split in splits.items()} == {"train": 2, "test": 1}
    assert "two.zip: files left out, as no split's or the same in another form: notes/dev.jsonl.md" in caplog.text


def test_zip_members_whose_names_flatten_alike_stay_apart(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a/b_train-1.jsonl", LINE)
        archive.writestr("a_b/train-1.jsonl", LINE * 2)
    assert len(load_nli(str(tmp_path / "two.zip"))["train"]) == 3


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("other", ["../a/train.jsonl", "/a/train.jsonl", "a/train.jsonl"])
def test_no_zip_member_takes_the_place_of_another(other, tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a/train.jsonl", LINE)
        archive.writestr(other, LINE * 2)
    with pytest.raises(InputError, match="two.zip: 2 files of it are unpacked as a/train.jsonl; rename them"):
        load_nli(str(tmp_path / "two.zip"))


def test_shards_may_have_other_columns(tmp_path):
    """Each file by its own header, in its own order."""
    write_csv(tmp_path / "train-1.csv", PAIRS[:1])
    rows = [
        {"note": "x", "gold_label": row["label"], "sentence2": row["hypothesis"], "sentence1": row["premise"]}
        for row in PAIRS[1:]
    ]
    write_csv(tmp_path / "train-2.csv", rows)
    assert load_nli(str(tmp_path))["train"].to_list() == EXPECTED
    write_csv(tmp_path / "train-3.csv", [{"premise": "a"}])
    with pytest.raises(InputError, match="train, train-3.csv: no column for the hypothesis .* in premise;"):
        load_nli(str(tmp_path))


def test_a_link_in_a_zip_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(LINE)
    link = zipfile.ZipInfo("snli_1.0_train.jsonl")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, str(tmp_path / "secret"))
    with pytest.raises(InputError, match="link.zip, train, row 1 .line 1 of .*: can't be loaded"):
        load_nli(str(tmp_path / "link.zip"))


def test_shards_by_pattern(tmp_path):
    for index, pair in enumerate(PAIRS):
        write_parquet(tmp_path / f"part-{index}.parquet", [pair])
    assert load_nli(f"{tmp_path}/part-*.parquet")["train"].to_list() == EXPECTED
    assert load_nli(f"{tmp_path}/**/part-[01].parquet")["train"].to_list() == EXPECTED[:2]
    write_jsonl(tmp_path / "part-3.jsonl", PAIRS)
    with pytest.raises(InputError, match="some files are .jsonl and some .parquet; name those of one form"):
        load_nli(f"{tmp_path}/part-*")
    (tmp_path / "part.md").write_text("Notes")
    with pytest.raises(InputError, match="part.md: not one of .jsonl"):
        load_nli(f"{tmp_path}/part*")


@pytest.mark.parametrize("pattern", ["", "/*"])
def test_files_that_name_their_splits(pattern, tmp_path):
    for index, pair in enumerate(PAIRS):
        write_csv(tmp_path / f"train-{index:05}-of-00003.csv", [pair])
    write_csv(tmp_path / "data.validation.csv", PAIRS[:1])
    write_csv(tmp_path / "TEST.csv", PAIRS)
    write_csv(tmp_path / "training.csv", PAIRS)
    splits = load_nli(f"{tmp_path}{pattern}")
    assert {name: split.to_list() for name, split in splits.items()} == {"train": EXPECTED, "validation": EXPECTED[:1]}


def test_two_files_of_one_split_are_not_merged(tmp_path):
    write_jsonl(tmp_path / "snli_1.0_train.jsonl", PAIRS)
    write_jsonl(tmp_path / "old_train.jsonl", PAIRS)
    with pytest.raises(InputError, match="both .*old_train.jsonl and .*snli_1.0_train.jsonl are its split train"):
        load_nli(str(tmp_path))


@pytest.mark.parametrize("dictionary", [False, True])
def test_saved_folder(dictionary, tmp_path):
    """It is read in place, and nothing is written beside its files."""
    labels = ClassLabel(names=["neutral", "entailment", "contradiction"])
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=labels)
    pairs = Dataset.from_list([dict(pair, label=labels.str2int(pair["label"])) for pair in PAIRS], features=features)
    (DatasetDict(test=pairs) if dictionary else pairs).save_to_disk(tmp_path / "saved")
    before = sorted(tmp_path.rglob("*"))
    splits = load_nli(str(tmp_path / "saved"))
    assert {name: split.to_list() for name, split in splits.items()} == {"test" if dictionary else "train": EXPECTED}
    assert sorted(tmp_path.rglob("*")) == before
    for file in (tmp_path / "saved").rglob("*.arrow"):
        file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(InputError, match="saved: can't be loaded"):
        load_nli(str(tmp_path / "saved"))


def test_revisions_are_for_the_hub(tmp_path):
    source = write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    for option in ({"config": "plain_text"}, {"revision": "main"}):
        with pytest.raises(InputError, match="a configuration and a revision are for data sets on the Hub"):
            load_nli(source, **option)


def test_columns_keep_their_type_to_the_end(tmp_path):
    """A reader that guesses types from the first rows fails on the last ones, or finds no text in the first."""
    rows = [{"premise": f"{index}", "hypothesis": "1.50", "label": "1"} for index in range(12_000)]
    rows += [{"premise": "a", "hypothesis": "NA", "label": "-"}, dict(rows[0], premise="b", hypothesis="NA")]
    pairs = load_nli(write_csv(tmp_path / "pairs.csv", rows), label_names=["entailment", "neutral", "contradiction"])[
        "train"
    ]
    assert pairs[0] == {"premise": "0", "hypothesis": "1.50", "label": 1}
    assert (len(pairs), pairs[-1]["premise"], pairs[-1]["hypothesis"]) == (12_001, "b", "NA")


def test_unreadable_row_after_many(tmp_path):
    rows = [dict(PAIRS[0], hypothesis=f"line {index}\nand more") for index in range(3_000)]
    source = write_csv(tmp_path / "pairs.csv", [*rows, dict(PAIRS[0], label="maybe")])
    with pytest.raises(InputError, match=r"row 3001 .line 6002 of pairs.csv.: unknown label 'maybe'"):
        load_nli(source)


NAMES = ["entailment", "neutral", "contradiction"]
CARD = """---
configs:
- config_name: plain
  default: true
  data_files:
  - split: train
    path: plain/train.parquet
- config_name: hard
  data_files:
  - split: test
    path: hard/test.parquet
---
"""
LOAD = """
import json, sys
from hf_nli import load_nli
from hf_nli.core.errors import InputError
for options in json.loads(sys.argv[1]):
    try:
        print(json.dumps({name: split.to_list() for name, split in load_nli(**options).items()}))
    except InputError as error:
        print(json.dumps(str(error)))
"""


def test_hub(tmp_path):
    """A data set on a Hub, with a configuration and a revision whose label ids mean something else."""
    revisions = {}
    for revision, names in (("main", NAMES), ("v1", NAMES[::-1])):
        features = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=names))
        rows = [dict(pair, label=names.index(pair["label"])) for pair in PAIRS]
        files = {"README.md": CARD.encode()}
        for name, part in (("plain/train.parquet", rows), ("hard/test.parquet", rows[:1])):
            content = io.BytesIO()
            Dataset.from_list(part, features=features).to_parquet(content)
            files[name] = content.getvalue()
        revisions[revision] = files
    options = [
        {"source": "team/nli"},
        {"source": "team/nli", "config": "hard"},
        {"source": "team/nli", "revision": "v1"},
        {"source": "team/nli", "revision": "v2"},
        {"source": "team/nli", "config": "easy"},
        {"source": "team/other"},
    ]
    with hub("team/nli", revisions) as endpoint:
        environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        result = subprocess.run(
            [sys.executable, "-c", LOAD, json.dumps(options)],
            env=os.environ
            | environment
            | {"NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_XET": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert result.returncode == 0, result.stderr
    main, hard, first, *errors = [json.loads(line) for line in result.stdout.splitlines()]
    assert main == first == {"train": EXPECTED}
    assert hard == {"test": EXPECTED[:1]}
    assert "team/nli: no such file or folder here. Revision 'v2' doesn't exist" in errors[0]
    assert "can't be loaded" in errors[1] and "'plain', 'hard'" in errors[1]
    assert "team/other: no such file or folder here. Dataset 'team/other' doesn't exist on the Hub" in errors[2]
