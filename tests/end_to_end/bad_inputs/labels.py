"""Labels in every form, and the names of columns and labels that are given."""

from __future__ import annotations

import json

from bad_inputs.forms import CSV, HEADER, PAIR, parquet
from bad_inputs.rows import EVALUATE, INSPECT, TRAIN, Row, done, refused

NAMES = " --label_names entailment neutral contradiction"
# What people write who have a data set already.
PROGRAM = """
import sys
from datasets import Dataset
from hf_nli import InputError, NLITrainingArguments, make_trainer

rows = Dataset.from_dict({"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [0, -1]})
try:
    make_trainer("m", rows, rows, NLITrainingArguments("new", report_to="none"))
except InputError as error:
    print(f"program: error: {error}", file=sys.stderr)
    sys.exit(2)
"""
CONTRADICTIONS = r"2 pairs \(0 entailment, 0 neutral, 2 contradiction\)"


def labelled(*labels: object) -> str:
    """Lines of pairs with these labels."""
    return "".join(json.dumps(PAIR | {"label": label}) + "\n" for label in labels)


def bad(title: str, label: object, *words: str, flags: str = "", **settings: object) -> Row:
    """A label, in the second row, that is refused."""
    first = 0 if flags == NAMES else "neutral"
    files = {"d.jsonl": labelled(first, label)}
    return refused(
        f"label: {title}", f"{INSPECT}d.jsonl{flags}", r"d\.jsonl", "row 2", "line 2", *words, files=files, **settings
    )


def taken(title: str, labels: list[object], *words: str, flags: str = "", **settings: object) -> Row:
    """Labels that are taken: the counts of each."""
    return done(
        f"label: {title}", f"{INSPECT}d.jsonl{flags}", *words, files={"d.jsonl": labelled(*labels)}, **settings
    )


def counted(entailment: int, neutral: int, contradiction: int) -> str:
    return rf"\({entailment} entailment, {neutral} neutral, {contradiction} contradiction\)"


VALUES = [
    bad("true", True, "true|bool", real=True),
    bad("true where ids are named", True, "true|bool", flags=NAMES),
    bad("false where ids are named", False, "false|bool", flags=NAMES),
    bad("fullwidth digit", "１", "１", flags=NAMES),
    bad("Arabic digit", "٢", "٢", flags=NAMES),
    bad("superscript digit", "²", "²", flags=NAMES),
    bad("a list", ["neutral"], "list|neutral"),
    bad("a dict", {"a": 1}, "dict|object|label"),
    bad("400 digits", int("9" * 400), "label", flags=NAMES),
    bad("400 digits as a text", "9" * 400, "label", flags=NAMES),
    bad("5000 digits", "9" * 5000, "label", flags=NAMES),
    bad("half", 0.5, r"0\.5", flags=NAMES),
    bad("NaN", float("nan"), "nan|no label|missing", flags=NAMES),
    bad("infinity", float("inf"), "inf", flags=NAMES),
    bad("an id too large", 3, "3", flags=NAMES),
    bad("a negative id", -2, "-2", flags=NAMES),
    bad("an id without names", 1, "--label_names"),
    bad("an unknown word", "maybe", "maybe", "--label_map|--label_names", real=True),
    bad("a word with a newline", "may\nbe", r"may\\nbe"),
    bad("a word of a million letters", "x" * 1_000_000, "xxx"),
    bad("an escape sequence", "\x1b[31mred", "red"),
    refused("label: booleans in parquet", f"{INSPECT}d.parquet{NAMES}", r"d\.parquet", "row 1", "true|bool",
            files={"d.parquet": parquet(premise=["a"], hypothesis=["b"], label=[True])}),
    refused("label: lists in parquet", f"{INSPECT}d.parquet", r"d\.parquet", "row 1", "list|neutral",
            files={"d.parquet": parquet(premise=["a"], hypothesis=["b"], label=[["neutral"]])}),
    refused("label: bytes in parquet", f"{INSPECT}d.parquet", r"d\.parquet", "row 1", "bytes|neutral",
            files={"d.parquet": parquet(premise=["a"], hypothesis=["b"], label=[b"neutral\xff"])}),
    refused("label: no row has one", f"{INSPECT}d.jsonl", r"d\.jsonl", "no row", "label", late=True,
            files={"d.jsonl": labelled("-", "-")}),
    refused("label: evaluate, no row has one", EVALUATE + "--dataset d.jsonl", r"d\.jsonl", "no row", "label",
        late=True,
            files={"d.jsonl": labelled("-", "-")}),
    refused("label: train, no row has one", TRAIN + "--dataset d.jsonl", r"d\.jsonl", "no row", "label", late=True,
            files={"d.jsonl": labelled("-", "-")}),
    refused("label: train, two-way data", TRAIN + "--dataset d.jsonl", r"d\.jsonl", "not_entailment", late=True,
            files={"d.jsonl": labelled("entailment", "not_entailment")}),
    done("label: train, two-way data and two labels",
         TRAIN + "--labels two_way --dataset d.jsonl pairs.jsonl --mixing_weights 1 2", "Trained on",
         files={"d.jsonl": labelled("entailment", "not_entailment")}),
    refused("label: train, weights that are none", TRAIN + "--dataset d.jsonl pairs.jsonl --mixing_weights 1 0",
            "--mixing_weights", "0", files={"d.jsonl": labelled("neutral")}),
    refused("label: train, one weight for two", TRAIN + "--dataset d.jsonl pairs.jsonl --mixing_weights 1",
            "--mixing_weights", "2 data sets", files={"d.jsonl": labelled("neutral")}),
    refused("label: train, a second data set that isn't there", TRAIN + "--dataset pairs.jsonl nope.jsonl:train",
            r"nope\.jsonl", "no such file"),
    refused("label: train, a split that isn't there", TRAIN + "--dataset pairs.jsonl:test", r"pairs\.jsonl", "test",
            late=True),
    refused("label: train, names of label ids that are none", TRAIN + "--dataset d.jsonl:a,b,c", "--label_names",
            "entailment", files={"d.jsonl": labelled(0)}),
    refused("label: train, a row that can't be split",
        "train --model_name_or_path m --dataset d.jsonl --output_dir new",
            "--validation_dataset", late=True, files={"d.jsonl": labelled("neutral")}),
]  # fmt: skip

SPELLINGS = [
    taken("XNLI's contradictory", ["contradictory"] * 2, CONTRADICTIONS, real=True),
    taken("ANLI's letters", ["e", "n", "c", "c"], counted(1, 1, 2)),
    taken("capital letters", ["E", "N", "C", "ENTAILMENT", "Neutral"], counted(2, 2, 1)),
    taken("spaces around", [" entailment", "neutral ", "contradiction\t"], counted(1, 1, 1)),
    taken("not-entailment", ["entailment", "not-entailment"], r"1 entailment, 1 not_entailment"),
    taken("not entailment", ["entailment", "not entailment"], r"1 entailment, 1 not_entailment"),
    taken("non_entailment", ["entailment", "non_entailment"], r"1 entailment, 1 not_entailment"),
    taken("-1 is no label", ["0", "1", -1], counted(1, 1, 0), "1 without a gold label", flags=NAMES),
    taken("ids as texts", ["0", "2", "2"], counted(1, 0, 2), flags=NAMES),
    taken("ids as whole floats", [0.0, 2.0], counted(1, 0, 1), flags=NAMES),
    taken("ids in another order", [0, 0, 1], counted(0, 1, 2),
          flags=" --label_names contradiction neutral entailment"),
    taken("a map of one word", ["yes", "neutral"], counted(1, 1, 0), flags=" --label_map yes=entailment", real=True),
    taken("a map of three", ["ja", "vielleicht", "nein", "nein"], counted(1, 1, 2),
          flags=" --label_map ja=entailment vielleicht=neutral nein=contradiction"),
    taken("a map of a spelling that is known", ["e", "c"], counted(0, 1, 1), flags=" --label_map e=neutral"),
    taken("a map of digits", ["1", "2", "3"], counted(1, 1, 1),
          flags=" --label_map 1=entailment 2=neutral 3=contradiction"),
    taken("a map with an equals sign", ["a=b"], counted(1, 0, 0), flags=" --label_map a=b=entailment"),
    done("label: train with a map", TRAIN + "--dataset d.jsonl --validation_dataset d.jsonl --label_map x=neutral",
         "Trained on 3 pairs", files={"d.jsonl": labelled("entailment", "x", "contradiction")}),
    done("label: evaluate with a map", EVALUATE + "--dataset d.jsonl --label_map x=neutral", "on 3 pairs",
         "neutral .*support 2", files={"d.jsonl": labelled("entailment", "x", "x")}),
]  # fmt: skip


def flags(title: str, given: str, *words: str, **settings: object) -> Row:
    """Flags of the data that inspect refuses."""
    return refused(f"label: {title}", f"{INSPECT}d.csv {given}", *words, files={"d.csv": CSV}, **settings)


FLAGS = [
    flags("a name thrice", "--label_names entailment entailment entailment", "--label_names", "entailment", real=True),
    flags("two-way names and neutral", "--label_names entailment not_entailment neutral", "--label_names"),
    flags("two of three names", "--label_names entailment neutral", "--label_names", "contradiction|neutral"),
    flags("one name", "--label_names entailment", "--label_names"),
    flags("four names", "--label_names entailment neutral contradiction neutral", "--label_names"),
    flags("a spelling twice", "--label_names entailment entails neutral", "--label_names"),
    flags("an unknown name", "--label_names entailment neutral maybe", "--label_names", "maybe"),
    flags("an empty name", "--label_names entailment neutral ''", "--label_names"),
    flags("names without a value", "--label_names", "--label_names"),
    flags("a map without =", "--label_map yes", "--label_map", "yes", "="),
    flags("a map to nothing known", "--label_map yes=maybe", "--label_map", "maybe"),
    flags("a map to nothing", "--label_map yes=", "--label_map"),
    flags("a map of a word twice", "--label_map a=neutral a=entailment", "--label_map", r"\ba\b"),
    flags("the same column twice", "--premise_column premise --hypothesis_column premise",
          "--premise_column|--hypothesis_column", "premise", real=True),
    flags("the label is the premise", "--label_column premise", "premise", "label"),
    flags("the hypothesis is the recognized premise", "--hypothesis_column premise", "premise", "hypothesis"),
    flags("a column that isn't there", "--premise_column nope", "nope", "premise, hypothesis, label"),
    flags("a column of another case", "--label_column Label", "Label", "label"),
    refused("label: two columns that may be the premise", f"{INSPECT}d.csv", r"d\.csv", "Premise or PREMISE",
            "--premise_column", files={"d.csv": "Premise,PREMISE,hypothesis,label\na,b,c,neutral\n"}),
    done("label: columns in capitals", f"{INSPECT}d.csv", "2 pairs",
         files={"d.csv": CSV.replace(HEADER, HEADER.upper())}),
    flags("an empty column", "--premise_column ''", "premise"),
    flags("a choice that isn't one", "--text foo", "--text", "foo", "raw", "parse"),
    flags("parses that aren't there", "--text parse", "parse|column", "premise"),
    refused("label: train, the same column twice", TRAIN + "--premise_column premise --hypothesis_column premise",
            "premise", "hypothesis"),
    refused("label: evaluate, a name thrice", EVALUATE + "--label_names neutral neutral neutral", "--label_names"),
    refused("label: -1 in rows of one's own", "{here}/program.py", "train_pairs", "row 2", "-1", "load_nli",
            files={"program.py": PROGRAM}),
    refused("label: empty header name", f"{INSPECT}d.csv", r"d\.csv", "premise", files={"d.csv": ",,\n" + HEADER}),
]  # fmt: skip

ROWS: list[Row] = [*VALUES, *SPELLINGS, *FLAGS]
