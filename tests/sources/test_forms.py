"""Whatever texts are written in a form are read back from it, with the line of each row."""

import csv
import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nli_files import write_csv, write_json, write_jsonl, write_parquet

from hf_nli.sources.forms import FORMS, stem_and_suffix

COLUMNS = ("premise", "label")
TABS = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# A csv's line ends are any of three in its fields, too; and older Pythons' readers stop at NUL.
FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\t"), max_size=20)


def rows_of(text, least=1):
    return st.lists(
        st.fixed_dictionaries({column: text for column in (*COLUMNS, "other")}), min_size=least, max_size=5
    )


def read_back(write, suffix, rows, compressed):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"rows{suffix}"
        write(file, rows)
        if compressed:
            file = file.with_name(f"{file.name}.gz")
            file.write_bytes(gzip.compress(file.with_suffix("").read_bytes()))
        form = FORMS[stem_and_suffix(file)[1]]
        assert set(COLUMNS) < set(form.columns(file, "strict"))
        assert dict(form.columns(file, "strict")) == dict.fromkeys(rows[0])
        read = list(form.records(file, COLUMNS, "strict"))
        assert [record for _, record in form.records(file, None, "strict")] == rows
    assert [{column: record[column] for column in COLUMNS} for _, record in read] == [
        {column: row[column] for column in COLUMNS} for row in rows
    ]
    return [line for line, _ in read]


@settings(max_examples=30, deadline=None)
@given(rows=rows_of(ANY), compressed=st.booleans())
@pytest.mark.parametrize("write, suffix", [(write_jsonl, ".jsonl"), (write_json, ".json"), (write_jsonl, ".json")])
def test_json(write, suffix, rows, compressed):
    lines = read_back(write, suffix, rows, compressed)
    assert lines == ([1] * len(rows) if write is write_json else list(range(1, len(rows) + 1)))


@settings(max_examples=30, deadline=None)
@given(rows=rows_of(FIELD), compressed=st.booleans())
def test_quoted_fields(rows, compressed):
    lines = read_back(write_csv, ".csv", rows, compressed)
    taken = [sum(text.count("\n") for text in row.values()) + 1 for row in rows]
    assert lines == [2 + sum(taken[:number]) for number in range(len(rows))]


@settings(max_examples=30, deadline=None)
@given(rows=rows_of(LINE.filter(lambda text: '""' not in text)), compressed=st.booleans())
@pytest.mark.parametrize("suffix", [".tsv", ".txt"])
def test_fields_between_tabs(suffix, rows, compressed):
    lines = read_back(lambda file, rows: write_csv(file, rows, **TABS), suffix, rows, compressed)
    assert lines == list(range(2, len(rows) + 2))


@settings(max_examples=30, deadline=None)
@given(before=rows_of(LINE.filter(lambda text: '"' not in text), 0), rows=rows_of(FIELD), compressed=st.booleans())
def test_quoted_fields_between_tabs(before, rows, compressed):
    """The first text with a quotation mark tells that they are quoted, and the lines are those of the file."""
    rows = [*before, {"premise": 'A man says "hi".', "label": "neutral", "other": ""}, *rows]
    lines = read_back(lambda file, rows: write_csv(file, rows, delimiter="\t"), ".tsv", rows, compressed)
    taken = [sum(text.count("\n") for text in row.values()) + 1 for row in rows]
    assert lines == [2 + sum(taken[:number]) for number in range(len(rows))]


@pytest.mark.parametrize(
    "suffix, fields",
    [
        (".tsv", ['"Go," he said.', '"a ""b"""']),  # the first one says that the file isn't quoted
        (".tsv", ['"Go."', '"a ""b"""']),
        (".tsv", ['say "', '""']),
        (".txt", ['"a ""b"""', "c"]),  # the Stanford release never is
    ],
)
def test_quotation_marks_that_belong_to_the_texts(suffix, fields, tmp_path):
    file = tmp_path / f"rows{suffix}"
    file.write_text("premise\n" + "".join(f"{field}\n" for field in fields))
    assert [record for _, record in FORMS[suffix].records(file, None, "strict")] == [
        {"premise": field} for field in fields
    ]


def test_what_is_wrong_in_quoted_fields_between_tabs(tmp_path):
    file = tmp_path / "rows.tsv"
    file.write_text('premise\tlabel\na\tb\n"say ""a"""\tb\n"c\nd"\te\n"f" g\th\ni\tj\tk\n')
    read = list(FORMS[".tsv"].records(file, None, "strict"))
    assert read[:3] == [
        (2, {"premise": "a", "label": "b"}),
        (3, {"premise": 'say "a"', "label": "b"}),
        (4, {"premise": "c\nd", "label": "e"}),
    ]
    assert [(line, str(problem).partition(";")[0]) for line, problem in read[3:]] == [
        (6, "text follows a closing quotation mark"),
        (7, "3 fields, the header has 2"),
    ]


@settings(max_examples=10, deadline=None)
@given(rows=rows_of(ANY), compressed=st.booleans())
def test_parquet(rows, compressed):
    assert read_back(write_parquet, ".parquet", rows, compressed) == [None] * len(rows)


@pytest.mark.parametrize(
    "name, parts",
    [
        ("data/snli_1.0_dev.TXT.gz", ("snli_1.0_dev", ".txt")),
        ("train.CSV", ("train", ".csv")),
        ("train.jsonl.GZ", ("train", ".jsonl")),
        ("archive.tar.gz", ("archive", ".tar")),
        ("folder.csv/train", ("train", "")),
        (".jsonl", (".jsonl", "")),
    ],
)
def test_names(name, parts):
    assert stem_and_suffix(name) == parts
