"""Files by what they hold: each is read rightly, or refused in a line that names the file, the line and the remedy."""

import bz2
import csv
import gzip
import json
import lzma
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nli_files import EXPECTED, LINE, PAIRS, write_csv, write_jsonl

from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS
from hf_nli.data.load import NLIData, load_nli
from hf_nli.data.splits import RunSources
from hf_nli.settings.options import DataOptions
from hf_nli.sources.forms import FORMS

CSV = b"premise,hypothesis,label\na,b,neutral\n"
ROW = {"premise": "a", "hypothesis": "b", "label": 1}


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("xz.csv", lzma.compress(CSV), "compressed by xz; unpack it"),
        ("bz2.csv", bz2.compress(CSV), "compressed by bzip2; unpack it"),
        ("twice.csv.gz", gzip.compress(gzip.compress(CSV)), "compressed twice"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "NUL bytes, as binary files .*; save it as text in UTF-8"),
        ("parquet.csv", b"PAR1\x15\x04", "it is Parquet; name it .parquet"),
        ("utf16.csv", CSV.decode().encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("utf16.jsonl", LINE.decode().encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("no_mark.tsv", CSV.decode().encode("utf-16-le"), "NUL bytes, as .* text in UTF-16 do"),
        ("nul.csv", bytes(100), "NUL bytes"),
        ("text.parquet", CSV, "can't be loaded, it is damaged or can't be read"),
        ("semicolons.csv", CSV.replace(b",", b";"), ".line 1 of .*separated by semicolons; save it with commas"),
        ("tabs.csv", CSV.replace(b",", b"\t"), ".line 1 of .*separated by tabs; save it with commas"),
        ("commas.tsv", CSV, ".line 1 of .*separated by commas; save it with tabs"),
        (
            "twice.csv",
            b"premise,premise,hypothesis,label\na,b,c,neutral\n",
            ".line 1 of .*2 columns are named premise",
        ),
        ("open.csv", b'premise,"hypothesis,label\na,b,neutral\n', ".line 1 of open.csv.: .*never closed"),
        ("header.tsv", b"premise\thypothesis\tlabel\n", "it has no rows"),
        ("newlines.csv", b"\n\r\n\n", "it has no rows"),
        ("list.json", b" [ ] ", "it has no rows"),
        ("newlines.jsonl", b"\n\n", "it has no rows"),
        ("comma.json", b"[\n" + LINE + b",\n]", "row 2 .line 4 of comma.json.: .* at character 1"),
        ("no_comma.json", b"[\n" + LINE + LINE + b"]", ".line 3 of no_comma.json.: .*',' or ']' is missing"),
        ("after.json", b"[" + LINE + b"]\n\nx", ".line 4 of after.json.: text follows the end of the list"),
        (
            "label.json",
            b"[\n" + LINE + b",\n\n" + LINE.replace(b"ent", b"n", 1) + b"]",
            "row 2 .line 5 of .*unknown label",
        ),
        (
            "pretty.json",
            json.dumps(PAIRS[0], indent=1).encode(),
            "row 1 .line 1 .*or all objects in a list, is needed",
        ),
        ("latin.jsonl", LINE * 3 + b'{"premise": "\xe9"}', ".line 4 of .*UTF-8 .byte 0xe9."),
        ("many.csv", b"c" + b",c" * 9_999 + b"\n1\n", "no column for the premise .* and 0 more|no column.*name it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_refused(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_nli(str(tmp_path / name))
    assert name in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "name, content",
    [
        ("compressed.csv", gzip.compress(CSV)),
        ("plain.csv.gz", CSV),
        ("list.jsonl", b"\n[\n" + json.dumps(dict(ROW, label="neutral")).encode() + b"\n]\n"),
        ("mark.csv", b"\xef\xbb\xbf" + CSV),
        ("old_mac.csv", CSV.replace(b"\n", b"\r")),
        ("dos.tsv", CSV.replace(b",", b"\t").replace(b"\n", b"\r\n")),
    ],
)
def test_read_rightly(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert load_nli(str(tmp_path / name))["train"].to_list() == [ROW]


def test_long_texts_and_many_columns(tmp_path):
    long, limit = "word " * 100_000, csv.field_size_limit()
    rows = [dict(PAIRS[0], premise=long)]
    sources = [write_csv(tmp_path / "long.csv", rows), write_jsonl(tmp_path / "long.jsonl", rows)]
    sources.append(write_csv(tmp_path / "long.tsv", [dict(rows[0], hypothesis="b")], delimiter="\t"))
    assert [load_nli(source)["train"]["premise"][:] for source in sources] == [[long]] * 3
    assert csv.field_size_limit() == limit
    many = {f"column {number}": "x" for number in range(10_000)}
    assert load_nli(write_csv(tmp_path / "many.csv", [many | pair for pair in PAIRS]))["train"].to_list() == EXPECTED


def test_lines_are_those_of_an_editor(tmp_path):
    """A form feed, a vertical tab and Unicode's separators end no line; a row of several lines is where it begins."""
    rows = [dict(PAIRS[0], premise="a\x0b\x0c\x85\u2028\u2029b"), dict(PAIRS[0], premise="a\nb\r\nc"), PAIRS[1]]
    rows.append(dict(PAIRS[0], hypothesis="a\nb", label="maybe"))
    source = write_csv(tmp_path / "pairs.csv", rows)
    with pytest.raises(InputError, match="row 4 .line 7 of pairs.csv.: unknown label 'maybe'"):
        load_nli(source)


def test_rows_longer_than_the_header(shared):
    """Rows that would put a label's text into the place of the premise."""
    for name, message in (("longer_rows.csv", "4 fields, the header has 3"), ("longer_rows.tsv", "15 fields, .* 11")):
        with pytest.raises(InputError, match=f"row 1 .line 2 of {name}.: {message}"):
            load_nli(str(shared / "cases" / name))


def test_multinli(shared, tmp_path, caplog):
    names = ("train", "validation_matched", "validation_mismatched")
    for source in (shared / "cases/multinli", shared / "cases/multinli/*.jsonl"):
        data = NLIData(str(source))
        assert data.names == names and data.find("validation") == ["validation_matched"]
        assert data.read_first("test", "validation")[0] == "validation_matched"
    pairs = data.read_all()
    assert [pairs[name]["premise"][0] for name in names] == ["A boy sings.", "Two men sit.", "It rains."]
    runs = RunSources(str(shared / "cases/multinli"), None, DataOptions()).read(0)
    assert runs.validated_on == "multinli, validation_matched" and len(runs.train) == 3
    assert runs.validation["premise"][0] == "Two men sit." and "left out" not in caplog.text
    for number in range(2):
        write_jsonl(tmp_path / f"validation-mismatched-0000{number}-of-00002.jsonl", PAIRS)
    assert NLIData(str(tmp_path)).names == ("validation_mismatched",)


def test_no_file_of_a_folder_is_left_out_in_silence(tmp_path, caplog):
    write_jsonl(tmp_path / "train.jsonl", PAIRS)
    write_csv(tmp_path / "train.txt", PAIRS, delimiter="\t", quotechar="'")
    write_csv(tmp_path / "dev.csv", PAIRS[:1])
    (tmp_path / "more").mkdir()
    for name in ("notes.csv", "dev.xlsx", "more/training.jsonl", ".hidden.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "linked").symlink_to(tmp_path / "more")
    pairs = load_nli(str(tmp_path))
    assert {name: len(split) for name, split in pairs.items()} == {"train": 3, "validation": 1}
    assert caplog.messages == [
        f"{tmp_path}: files left out, as no split's or the same in another form: dev.xlsx, linked, "
        "more/training.jsonl, notes.csv, train.txt",
        f"{tmp_path}, train: 1 rows with an empty hypothesis",
    ]
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress((tmp_path / "train.jsonl").read_bytes()))
    (tmp_path / "train.jsonl").unlink()
    assert load_nli(str(tmp_path))["train"].to_list() == EXPECTED
    (tmp_path / "train.jsonl.gz").rename(tmp_path / "train.jsonl")
    write_csv(tmp_path / "train.csv", PAIRS)
    with pytest.raises(InputError, match="both .*train.csv and .*train.jsonl are its split train; name one"):
        load_nli(str(tmp_path))


def test_shards_and_whole_files_are_not_merged(tmp_path):
    for name in ("train.jsonl", "train1.jsonl"):
        write_jsonl(tmp_path / name, PAIRS)
    with pytest.raises(InputError, match="both .*train.jsonl and .*train1.jsonl are its split train"):
        load_nli(str(tmp_path))
    (tmp_path / "train.jsonl").rename(tmp_path / "train2.jsonl")
    assert len(load_nli(str(tmp_path))["train"]) == 6
    write_csv(tmp_path / "train3.csv", PAIRS)
    with pytest.raises(InputError, match="some files are .csv and some .jsonl; name those of one form"):
        load_nli(str(tmp_path))


def test_an_empty_split_is_refused_and_the_file_of_a_fault_is_named(tmp_path):
    write_csv(tmp_path / "train.csv", PAIRS)
    (tmp_path / "dev.csv").write_bytes(b"premise,hypothesis,label\n")
    with pytest.raises(InputError, match="validation, dev.csv: it has no rows"):
        load_nli(str(tmp_path))
    write_csv(tmp_path / "dev.csv", [{"premise": "a", "label": "neutral"}])
    with pytest.raises(InputError, match="validation, dev.csv: no column for the hypothesis"):
        load_nli(str(tmp_path))
    empty = {name: [] for name in PAIRS[0]}
    Dataset.from_dict(empty).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="none.parquet, train: it has no rows"):
        load_nli(str(tmp_path / "none.parquet"))


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "link.csv").symlink_to("nowhere")
    expected = {
        "": "the name of the data set is empty",
        " \t": "the name of the data set is empty",
        "/dev/null": "/dev/null: a pipe or a device",
        "/dev/zero": "a pipe or a device, not a regular file; write the data to a file first",
        str(tmp_path / "pipe.jsonl"): "pipe.jsonl: a pipe or a device",
        str(tmp_path / "link.csv"): "link.csv: a link to nowhere, which isn't there",
        "x" * 300: "x: can't be read .File name too long",
        "x" * 300 + ".csv": "x: can't be read .File name too long",
        "x" * 300 + "/*.csv": "can't be read .File name too long",
        "a\0b.csv": "can't be read .embedded null byte",
        str(tmp_path / "pipe.jsonl" / "train.csv"): "no such file or folder",
    }
    for source, message in expected.items():
        with pytest.raises(InputError, match=message):
            load_nli(source)
    for name in ("link.csv", "pipe.jsonl"):
        (tmp_path / name).rename(tmp_path / f"train{Path(name).suffix}")
        with pytest.raises(InputError, match="train.csv: a link to what isn't there|train.jsonl: no regular file"):
            load_nli(str(tmp_path))
        (tmp_path / f"train{Path(name).suffix}").unlink()
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="cut.zip: .*a damaged zip"):
        load_nli(str(tmp_path / "cut.zip"))


def test_labels_in_other_words(tmp_path):
    names = [("e", "n", "c"), ("ENTAILMENT", "Neutral", "contradictory"), ("entails", "neutral", "contradicts")]
    for number, spelled in enumerate(names):
        rows = [dict(pair, label=name) for pair, name in zip(PAIRS, spelled, strict=True)]
        assert load_nli(write_jsonl(tmp_path / f"{number}.jsonl", rows))["train"].to_list() == EXPECTED


@pytest.mark.parametrize(
    "labels, label_map",
    [
        (("yes", "perhaps", "no"), ["yes=entailment", "perhaps=neutral", "no=contradiction"]),
        (("a=b", "neutral", "NO"), ["a=b=e", "No=Contradictory"]),
        ((0, "1", 2.0), ["0=entailment", "1=neutral", "2=contradiction"]),
        ((True, "-", "-1"), ["true=entailment", "-=neutral", "-1=contradiction"]),
        (("contradiction", "neutral", ""), ["contradiction=entailment", "=contradiction"]),
    ],
)
def test_label_map(labels, label_map, tmp_path):
    rows = [dict(pair, label=label) for pair, label in zip(PAIRS, labels, strict=True)]
    source = write_jsonl(tmp_path / "pairs.jsonl", [*rows, dict(PAIRS[0], label="unclear")])
    data = NLIData(source, DataOptions(label_map=[*label_map, "unclear=-"]))
    assert (data.read("train").to_list(), data.dropped) == (EXPECTED, {"train": 1})


def test_label_map_of_names_of_ids(tmp_path):
    rows = [dict(pair, label=number) for number, pair in enumerate(PAIRS)]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows)
    options = {"label_names": ["yes", "neutral", "no"], "label_map": ["yes=entailment", "no=contradiction"]}
    assert load_nli(source, **options)["train"].to_list() == EXPECTED
    two = load_nli(source, label_map=["0=entailment", "1=not-entailment", "2=not_entailment"])["train"]
    assert two.features["label"].names == ["entailment", "not_entailment"] and two["label"][:] == [0, 1, 1]


@pytest.mark.parametrize(
    "entries, message",
    [
        (["maybe"], "'maybe' must be a label of the data, =, and one of entailment, neutral"),
        (["a=maybe"], "'a=maybe' must be"),
        (["a="], "'a=' must be"),
        (["a=neutral", "A=contradiction"], "'A' is both neutral and contradiction"),
    ],
)
def test_wrong_label_maps(entries, message):
    with pytest.raises(InputError, match=f"--label_map: {message}"):
        DataOptions(label_map=entries)


PIECES = st.sampled_from(
    [b",", b"\t", b'"', b"\n", b"\r\n", b"[", b"]", b"{", b"}", b'{"premise": "a", "hypothesis": "b", "label": "c"}']
    + [b"premise", b"hypothesis", b"label", b"neutral", b"\0", b"\xff\xfe", b"\x1f\x8b", b"PAR1", b"1", b"null", b"\\"]
)
BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=30).map(b"".join))


@settings(max_examples=300)
@given(BYTES, st.booleans(), st.booleans())
@example(b"", False, False)
@pytest.mark.parametrize("suffix", FORMS)
def test_any_bytes_are_read_or_refused(suffix, content, compressed, header):
    """Each reader ends, with rows or with an error that is told in a line; never in another one."""
    if header and suffix in (".csv", ".tsv", ".txt"):
        content = CSV.replace(b",", b"," if suffix == ".csv" else b"\t") + content
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"pairs{suffix}")
        source.write_bytes(gzip.compress(content) if compressed else content)
        try:
            pairs = load_nli(str(source))["train"]
        except InputError as error:
            assert str(source) in str(error)
        else:
            assert set(pairs["label"]) <= {0, 1, 2}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(LABELS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300)
@given(VALUES, VALUES, st.none() | st.permutations(LABELS))
def test_any_values_are_pairs_or_refused(text, label, names):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "pairs.jsonl")
        source.write_text(json.dumps({"premise": text, "hypothesis": "b", "label": label}))
        try:
            pairs = load_nli(str(source), label_names=names)["train"]
        except InputError as error:
            assert "row 1 (line 1 of pairs.jsonl)" in str(error) or "no row with a gold label" in str(error)
        else:
            assert pairs["premise"][:] == [text]
            by_name = label if isinstance(label, str) and label in LABELS else None
            assert by_name is None or pairs["label"][:] == [LABELS.index(by_name)]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\t"), min_size=1, max_size=9)


@settings(max_examples=200)
@given(st.lists(st.lists(TEXT, min_size=1, max_size=5), min_size=1, max_size=6))
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_rows_of_another_field_count_are_named(suffix, rows):
    options = {} if suffix == ".csv" else {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"rows{suffix}")
        with file.open("w", newline="", encoding="utf-8") as text:
            csv.writer(text, **options).writerows([["one", "two", "three"], *rows])
        wrong = [number for number, row in enumerate(rows) if len(row) != 3]
        read = list(FORMS[suffix].records(file, ["three", "one"], "strict"))
    assert [line for line, _ in read] == list(range(2, len(rows) + 2))
    for index, (line, record) in enumerate(read):
        if index in wrong:
            assert record.line == line and str(record).startswith(f"{len(rows[index])} field")
        else:
            assert [record["three"], record["one"]] == [rows[index][2], rows[index][0]]


UNREADABLE = """
import os, sys
from hf_nli.core.errors import InputError
from hf_nli.data.load import load_nli
if os.getuid() == 0:  # who may read everything
    os.setgid(65534)
    os.setuid(65534)
for source in sys.argv[1:]:
    try:
        load_nli(source)
    except InputError as error:
        print(error)
"""


def test_what_may_not_be_read():
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        for path, mode in ((folder, 0o755), (cache, 0o777)):
            os.chmod(path, mode)
        sources = {"locked": 0, "locked/train.jsonl": 0o644, "open/inner": 0, "file/train.jsonl": 0, "pairs.jsonl": 0}
        for name in sources:
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            if path.suffix:
                write_jsonl(path, PAIRS)
            else:
                path.mkdir(parents=True, exist_ok=True)
        for name, mode in sources.items():
            Path(folder, name).chmod(mode)
        try:
            result = subprocess.run(
                [sys.executable, "-c", UNREADABLE, "locked", "locked/train.jsonl", "open", "file", "pairs.jsonl"],
                cwd=folder,
                env=os.environ | {"HF_HOME": cache, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                timeout=120,
            )
        finally:
            for name in sources:
                Path(folder, name.partition("/")[0]).chmod(0o700)
    assert result.stdout.splitlines() == [
        "locked: can't be read (no permission)",
        "locked/train.jsonl: can't be read (Permission denied)",
        "open/inner: can't be read (Permission denied)",
        "file, train, train.jsonl: can't be loaded, it is damaged or can't be read (Permission denied)",
        "pairs.jsonl: can't be read (no permission)",
    ], result.stderr
