"""Files of pairs to be answered, and places for the answers."""

from __future__ import annotations

import gzip
import json

from bad_inputs.rows import Content, Row, done, either, refused

FILES = "predict --model_name_or_path m --input_file in.csv --output_file new.csv "
HEADER, LINE = "premise,hypothesis\n", "a man runs.,a man eats.\n"
GOOD = {"in.csv": HEADER + LINE * 2}
JSON = json.dumps({"premise": "a man runs.", "hypothesis": "a man eats."}) + "\n"
ONE = JSON.replace("}", ', "x": 1}')


def bad(title: str, content: Content, *words: str, **settings: object) -> Row:
    """A damaged input."""
    return refused(f"answers: {title}", FILES, "in.csv", *words, files={"in.csv": content}, **settings)


def given(title: str, flags: str, *words: str, **settings: object) -> Row:
    """Flags on an input that is right; the later of two counts."""
    return refused(f"answers: {title}", FILES + flags, *words, files=GOOD, **settings)


def piped(title: str, stdin: str, *words: str, flags: str = "", **settings: object) -> Row:
    """Lines on standard input."""
    return refused(
        f"answers: {title}", f"predict --model_name_or_path m --input_file - {flags}", *words, stdin=stdin, **settings
    )


ROWS = [
    done("answers: a file", FILES, "2 rows", "new.csv", files=GOOD, real=True),
    done("answers: labels are not needed, nor right", FILES, "1 rows",
         files={"in.csv": "label,premise,hypothesis\nwhat?,a,b\n"}),
    done("answers: empty texts", FILES, "2 rows", files={"in.csv": HEADER + ",\n,b\n"}),
    done("answers: by what it holds", FILES, "1 rows", files={"in.csv": gzip.compress((HEADER + LINE).encode())}),
    done("answers: bad rows skipped", FILES + "--skip_bad_rows", "3 rows", "2 without an answer",
         files={"in.csv": (HEADER + LINE + "a\n").encode() + b"\xff,b\n"}),
    done("answers: a blank line of standard input", "predict --model_name_or_path m --input_file -", '"prediction"',
         stdin="\n" + JSON + "\n"),
    done("answers: nothing on standard input", "predict --model_name_or_path m --input_file -", stdin=""),
    bad("too many fields", HEADER + LINE + "a, b,c\n", "row 2", "line 3", "3 fields", "--skip_bad_rows", real=True),
    bad("no rows", HEADER, "no rows"),
    bad("nothing", "", "empty"),
    bad("no hypothesis", "premise,other\na,b\n", "hypothesis", "other", "--hypothesis_column"),
    bad("one column twice", "premise,premise,hypothesis\na,b,c\n", "premise", "rename"),
    bad("another pass-through column twice", "x,x,premise,hypothesis\na,b,c,d\n", "x", "rename"),
    bad("not UTF-8", HEADER.encode() + b"caf\xe9,b\n", "line 2", "UTF-8"),
    bad("UTF-16", (HEADER + LINE).encode("utf-16"), "UTF-16"),
    bad("semicolons", (HEADER + LINE).replace(",", ";"), "semicolons"),
    bad("an open quotation mark", HEADER + '"a,b\n', "quotation mark"),
    bad("a column of ours", "premise,hypothesis,entailment\na,b,c\n", "entailment", "--prefix"),
    refused("answers: no file", FILES, "in.csv", "no such file", real=True),
    refused("answers: a folder of no splits", FILES + "--input_file folder2", "folder2", make=lambda f: (
        f / "folder2").mkdir()),
    refused("answers: two splits", FILES + "--input_file folder", "--split", "train, validation, test"),
    refused("answers: no such split", FILES + "--input_file folder --split dev2", "dev2", "train, validation, test"),
    refused("answers: JSON of two types to Parquet", FILES + "--input_file in.jsonl --output_file new.parquet", "x",
            "several types", ".jsonl", files={"in.jsonl": ONE + ONE.replace("1}", '""}')}),
    refused("answers: a number for a text", FILES + "--input_file in.jsonl", "row 2", "line 2", "the premise is 7",
            files={"in.jsonl": JSON + '{"premise": 7, "hypothesis": "b"}\n'}),
    refused("answers: a text that .tsv can't hold", FILES + "--output_file new.tsv", "row 1", "premise", "tab",
            files={"in.csv": HEADER + '"a\tb",c\n'}),
    given("no ending", "--output_file new", ".jsonl", ".parquet"),
    given("another ending", "--output_file new.txt", ".jsonl", ".parquet"),
    given("there already", "--output_file pairs.jsonl", "pairs.jsonl", "--overwrite"),
    given("a folder there already", "--output_file folder.csv", "folder.csv", make=lambda f: (
        f / "folder.csv").mkdir()),
    given("a file for a folder", "--output_file pairs.jsonl/new.csv", "pairs.jsonl"),
    given("a threshold above 1", "--threshold 1.5", "--threshold", "at most 1"),
    given("no tokens", "--tokens_per_batch 0", "--tokens_per_batch"),
    given("8 bits in PyTorch", "--int8", "--int8", "--backend"),
    given("half precision on a CPU", "--dtype float16 --device cpu", "float16", "GPU"),
    given("no such device", "--device cuda:99", "cuda:99"),
    given("a device of no kind", "--device gpu", "--device gpu"),
    given("a column that isn't there", "--premise_column x", "x", "--premise_column"),
    given("two texts from one column", "--premise_column hypothesis", "hypothesis", "both"),
    given("a pair as well", "--premise a", "--premise", "--input_file"),
    refused("answers: one text alone", "predict --model_name_or_path m --premise a", "--hypothesis", real=True),
    refused("answers: a place for one pair", "predict --model_name_or_path m --premise a --hypothesis b "
            "--output_file new.csv", "--output_file", "--input_file"),
    piped("a line that is no JSON", JSON + "what\n", "standard input", "line 2", "JSON", late=True),
    piped("a list", "[1]\n", "standard input", "line 1", "object"),
    piped("a pair without a hypothesis", '{"premise": "a"}\n', "line 1", "hypothesis"),
    piped("half of a surrogate pair", '{"premise": "\\ud800", "hypothesis": "b"}\n', "line 1", "surrogate"),
    piped("a column of ours", JSON.replace("}", ', "neutral": 1}'), "line 1", "neutral", "--prefix"),
    piped("damage on the way to a file", "what\n", "line 1", "JSON", flags="--output_file new.jsonl"),
    either("answers: a full disk", FILES, "new.csv|space|written", right=("2 rows",), files=GOOD, file_size=64,
           late=True),
]  # fmt: skip
