"""Rows and files of data that are damaged, or of another form than their name says."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import struct
import zipfile
import zlib
from pathlib import Path

import pyarrow
import pyarrow.parquet

from bad_inputs.rows import (
    EVALUATE,
    INSPECT,
    REPRODUCE,
    TRAIN,
    TRAINER,
    TRUNCATION,
    Content,
    Row,
    done,
    either,
    refused,
)

HEADER = "premise,hypothesis,label\n"
LINE = "a man runs.,a man eats.,neutral\n"
CSV = HEADER + LINE * 2
PAIR = {"premise": "a man runs.", "hypothesis": "a man eats.", "label": "neutral"}
JSON = json.dumps(PAIR) + "\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0" + bytes(range(256))
TWO = r"2 pairs \(0 entailment, 2 neutral, 0 contradiction\)"
# A release's tsv as GLUE has it: 11 names over 15 fields.
GLUE = "\t".join(["gold_label", *map(str, range(4)), "sentence1", "sentence2", "captionID", "pairID", "l1", "l2"])
GLUE += "\n" + "\t".join(["neutral", *"abcd", "A man waits.", "He sits.", "1", "2", *["neutral"] * 6]) + "\n"


def zipped(files: dict[str, bytes | str]) -> bytes:
    """A zip of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def encrypted(archive: bytes) -> bytes:
    """A zip whose members say that they need a password."""
    changed = bytearray(archive)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = archive.find(signature)
        while start >= 0:
            changed[start + flags] |= 1
            start = archive.find(signature, start + 1)
    return bytes(changed)


def zeros(members: int) -> bytes:
    """A raw deflate stream of so many times 16 MiB of spaces, in so many times 16 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * 2**24) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b" " * 2**24) + packer.flush(zlib.Z_FULL_FLUSH)
    return block + again * (members - 1) + packer.flush()


def bomb(name: str, declared: int, members: int = 1) -> bytes:
    """A zip of one member, whose size is said to be `declared`, and is that of `zeros(members)`."""
    stream, path = zeros(members), name.encode()
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(stream), declared, len(path), 0)
    local = b"PK\x03\x04" + head + path + stream
    central = b"PK\x01\x02" + struct.pack("<H", 20) + head + struct.pack("<HHHII", 0, 0, 0, 0, 0) + path
    return local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def parquet(compression: str = "snappy", **columns: object) -> bytes:
    """A parquet file of these columns."""
    content = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), content, compression=compression)
    return content.getvalue().to_pybytes()


PARQUET = parquet(premise=["a man runs."] * 2, hypothesis=["a man eats."] * 2, label=["neutral"] * 2)


def bad(title: str, name: str, content: Content, *words: str, **settings: object) -> Row:
    """A file that inspect refuses, and says which."""
    return refused(
        f"data: {title}", INSPECT + name, name.replace(".", r"\."), *words, files={name: content}, **settings
    )


def good(title: str, name: str, content: Content, *words: str, **settings: object) -> Row:
    """A file that inspect reads."""
    return done(f"data: {title}", INSPECT + name, *words, files={name: content}, **settings)


def unsure(title: str, name: str, content: Content, *words: str, right: tuple[str, ...] = (TWO,)) -> Row:
    """A file that is read rightly, or refused."""
    return either(f"data: {title}", INSPECT + name, *words, right=right, files={name: content})


COUNTS = [
    bad("unquoted commas in all rows", "d.csv", HEADER + "A man, tall,He runs,neutral\n" * 2,
        "row 1", "line 2", "4 fields", "3", real=True),
    bad("an unquoted comma in the second row", "d.csv", HEADER + LINE + "A man, tall,He runs,neutral\n",
        "row 2", "line 3", "4 fields"),
    bad("two commas in the first row", "d.csv", HEADER + "A, man, tall,He runs,neutral\n" + LINE, "row 1", "5 fields"),
    bad("a comma at the end of all rows", "d.csv", HEADER + "a man,he,neutral,\n" * 2, "row 1", "4 fields"),
    bad("a name more than fields", "d.csv", "premise,hypothesis,label,\n" + LINE, "row 1", "line 2", "3"),
    bad("GLUE's longer rows", "d.tsv", GLUE, "row 1", "line 2", "15", "11", real=True),
    bad("longer rows of a release", "snli_1.0_dev.txt", GLUE, "row 1", "line 2", "15", "11"),
    bad("longer rows in gzip", "d.csv.gz", gzip.compress((HEADER + "a, b,c,neutral\n").encode()), "row 1", "4 fields"),
    bad("a field too few", "d.csv", HEADER + "a man runs.,neutral\n", "row 1", "line 2", "2"),
    bad("lines count as an editor counts", "d.csv",
        HEADER + '"a man\nruns.",a man eats.,neutral\n\na man runs.,a man eats.,maybe\n', "row 2", "line 5", "maybe"),
    bad("lines of jsonl with blank ones", "d.jsonl", JSON + "\n\n" + JSON.replace("neutral", "maybe"),
        "row 2", "line 4", "maybe"),
    bad("lines of jsonl with a line separator in a text", "d.jsonl",
        JSON.replace("man", "man\u2028") + JSON.replace("neutral", "maybe"), "row 2", "line 2"),
    bad("a row after the first thousand", "d.csv", HEADER + LINE * 1499 + "a,b,maybe\n", "row 1500", "line 1501"),
    bad("array in line 25", "d.jsonl", JSON * 24 + "[1]\n", "line 25"),
    bad("a line cut off", "d.jsonl", JSON + JSON[:30], "line 2"),
    bad("a Python dict", "d.jsonl", JSON + str(PAIR) + "\n", "line 2"),
    bad("a comma at the end of a list", "d.json", f"[{JSON},\n{JSON},\n]", "line [45]"),
    bad("a bad label in a list", "d.json", json.dumps([PAIR, PAIR | {"label": "maybe"}]), "row 2", "maybe"),
]  # fmt: skip

EMPTY = [
    bad(title, name, content, "empty|no rows?|no data", **settings)
    for title, name, content, settings in [
        ("header alone", "d.csv", HEADER, {"real": True}),
        ("header alone, tabs", "d.tsv", HEADER.replace(",", "\t"), {}),
        ("an empty list", "d.json", "[]", {}),
        ("nothing", "d.csv", "", {}),
        ("nothing in jsonl", "d.jsonl", "", {}),
        ("nothing in json", "d.json", "", {}),
        ("blank lines", "d.csv", "\n\n\n", {}),
        ("blank lines of jsonl", "d.jsonl", "\n \n", {}),
        ("a byte order mark", "d.csv", b"\xef\xbb\xbf", {}),
        ("nothing in gzip", "d.jsonl.gz", gzip.compress(b""), {}),
        ("header alone in gzip", "d.csv.gz", gzip.compress(HEADER.encode()), {}),
        ("no rows of parquet", "d.parquet", parquet(**{name: pyarrow.array([], "string") for name in PAIR}), {}),
        ("a zip of an empty file", "d.zip", zipped({"train.jsonl": ""}), {}),
    ]
]

SHAPES = [
    bad("null", "d.json", "null\n", "object|list", real=True),
    bad("a number", "d.json", "3\n", "object|list"),
    bad("a text", "d.json", '"text"\n', "object|list"),
    bad("a list of null", "d.json", "[null]", "row 1", "object"),
    bad("a list of lists", "d.json", '[["a", "b", "neutral"]]', "row 1", "object"),
    bad("a list of numbers", "d.json", "[1, 2]", "row 1", "object"),
    bad("an empty object", "d.json", "{}", "premise"),
    bad("a dict of columns", "d.json", json.dumps({name: [text] for name, text in PAIR.items()}), "list|not a text"),
    bad("null as a line", "d.jsonl", "null\n", "line 1", "object"),
    bad("deep nesting", "d.json", "[" * 100_000, "nest|deep|recursion|line|JSON"),
    bad("deep nesting in a line", "d.jsonl", '{"premise":' * 100_000, "nest|deep|recursion|line|JSON"),
    bad("a number as premise", "d.jsonl", JSON.replace('"a man runs."', "NaN"), "row 1", "premise|text|NaN"),
    bad("null as premise", "d.jsonl", JSON.replace('"a man runs."', "null"), "row 1", "premise|text|null|None"),
    bad("a list as premise", "d.jsonl", JSON.replace('"a man runs."', '["a"]'), "row 1", "premise|text|list"),
    bad("a key twice in the header", "d.csv", "premise,premise,hypothesis,label\na,b,c,neutral\n", "premise",
        "twice|more than one|2|two|duplicate"),
    bad("no label column", "d.csv", "premise,hypothesis\na,b\n", "label", "--label_column"),
    bad("a newline in a name", "d.csv", '"pre\nmise",hypothesis,label\na,b,neutral\n', r"pre\\nmise",
        "--premise_column"),
    bad("a lone surrogate", "d.jsonl", JSON.replace("man", "\\ud800", 1), "row 1|line 1"),
    bad("an unclosed quotation mark", "d.csv", HEADER + LINE + '"a man runs.,a man eats.,neutral\n' + LINE,
        "row 2", "line [345]|quot"),
    bad("semicolons", "d.csv", CSV.replace(",", ";"), ";|semicolon"),
    bad("tabs in csv", "d.csv", CSV.replace(",", "\t"), r"tab|\\t|\.tsv|delimiter|separat"),
    bad("commas in tsv", "d.tsv", CSV, r"comma|\.csv|delimiter|separat"),
    bad("bars in csv", "d.csv", CSV.replace(",", "|"), r"\||delimiter|separat|column"),
    bad("semicolons and commas", "d.csv", (HEADER + "a, b;c;neutral\n").replace("e,h", "e;h").replace("s,l", "s;l"),
        ";|semicolon"),
]  # fmt: skip

CONTENT = [
    unsure("gzip named csv", "d.csv", gzip.compress(CSV.encode()), "gzip|compress"),
    unsure("gzip named jsonl", "d.jsonl", gzip.compress(JSON.encode() * 2), "gzip|compress"),
    unsure("gzip named parquet", "d.parquet", gzip.compress(PARQUET), "gzip|compress"),
    unsure("bzip2 named csv", "d.csv", bz2.compress(CSV.encode()), "bz|compress"),
    unsure("xz named csv", "d.csv", lzma.compress(CSV.encode()), "xz|lzma|compress"),
    unsure("zstandard named jsonl", "d.jsonl", b"\x28\xb5\x2f\xfd" + bytes(200), "zst|compress"),
    unsure("zip named csv", "d.csv", zipped({"train.csv": CSV}), "zip"),
    unsure("parquet named csv", "d.csv", PARQUET, "parquet"),
    unsure("csv named gz", "d.csv.gz", CSV, "gzip|compress"),
    bad("png named csv", "d.csv", PNG, "png|picture|image|binary|not (a )?text"),
    bad("png named jsonl", "d.jsonl", PNG, "png|picture|image|binary|not (a )?text"),
    bad("a program named csv", "d.csv", b"\x7fELF\2\1\1" + bytes(100), "binary|not (a )?text|NUL"),
    bad("NULs alone", "d.csv", bytes(1000), "NUL|binary|not (a )?text|empty|no rows"),
    bad("NULs alone in jsonl", "d.jsonl", bytes(1000), "NUL|binary|not (a )?text|empty|no rows|line 1"),
    bad("csv named parquet", "d.parquet", CSV, "parquet"),
    bad("parquet cut off", "d.parquet", PARQUET[:-100], "parquet|damaged|truncated"),
    bad("parquet with damage within", "d.parquet", PARQUET[:4] + bytes(60) + PARQUET[64:], "parquet|damaged"),
    bad("gzip cut off", "d.csv.gz", gzip.compress(CSV.encode())[:-9], "damaged|cut|truncated|end"),
    bad("gzip of wrong sum", "d.csv.gz", gzip.compress(CSV.encode())[:-8] + bytes(8), "damaged|CRC"),
    unsure("UTF-16 jsonl", "d.jsonl", (JSON * 2).encode("utf-16"), "UTF-"),
    unsure("UTF-16 csv", "d.csv", CSV.encode("utf-16"), "UTF-"),
    unsure("UTF-16 without a mark", "d.csv", CSV.encode("utf-16-le"), "UTF-|NUL|not (a )?text|binary"),
    unsure("UTF-32 json", "d.json", json.dumps([PAIR] * 2).encode("utf-32"), "UTF-|NUL|not (a )?text|binary"),
    bad("Latin-1", "d.csv", (HEADER + LINE + "café,b,neutral\n").encode("latin-1"), "UTF-8", "line 3|row 2"),
    bad("a zip cut off", "d.zip", zipped({"train.jsonl": JSON * 50})[:-30], "damaged|truncated|cut", "zip"),
    bad("a zip with a password", "d.zip", encrypted(zipped({"train.jsonl": JSON})), "encrypt|password"),
    bad("a zip without data", "d.zip", zipped({"README": "nothing"}), r"no .*(file|data|named)", r"jsonl|csv"),
    bad("a zip of nothing", "d.zip", zipped({}), r"no .*(file|data|named)|empty"),
    bad("text named zip", "d.zip", "text", "zip"),
    bad("a zip bomb that says so", "d.zip", lambda: bomb("train.jsonl", 4_000_000_000),
        "bytes|large|big|size|damaged"),
    bad("a zip bomb that lies", "d.zip", lambda: bomb("train.jsonl", 1000, 256), "large|big|size|damaged|more|line 1"),
    *[bad(f"a gzip bomb{title}", name, lambda piece=piece: gzip.compress(piece) * 256, "become")
      for title, name, piece in (("", "d.jsonl.gz", b" " * 2**24), (", json", "d.json.gz", b"[" + b" " * 2**24),
                                 (", csv", "d.csv.gz", b"a" * 2**24))],
    bad("a parquet bomb", "d.parquet", lambda: parquet("zstd", **{name: [" " * 2**27] for name in PAIR}), "become"),
    good("a byte order mark and other line ends", "d.csv", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode(), TWO),
    good("old Macintosh's line ends", "d.csv", CSV.replace("\n", "\r"), TWO),
    good("no newline at the end", "d.jsonl", (JSON * 2).strip(), TWO),
    good("a suffix in capitals", "D.CSV", CSV, TWO),
    good("a dictionary column", "d.parquet", parquet(
        premise=["a"] * 2, hypothesis=["b"] * 2, label=pyarrow.array(["neutral"] * 2).dictionary_encode()), TWO),
    good("a text over 128 KiB", "d.csv", HEADER + "man " * 50_000 + ",a,neutral\n" + LINE, TWO, "premise .*50000"),
    good("a text over 128 KiB, tabs", "d.tsv", (HEADER + "man " * 50_000 + ",a,neutral\n" + LINE).replace(",", "\t"),
         TWO, "premise .*50000"),
    good("a text over 128 KiB in jsonl", "d.jsonl", JSON + JSON.replace("man", "man " * 50_000, 1), TWO, "5000[0-9]"),
    good("a quoted text over 128 KiB with commas", "d.csv", HEADER + '"' + "man, " * 50_000 + '",a,neutral\n' + LINE,
        TWO),
    good("a million words", "d.jsonl", JSON + JSON.replace("man", "man " * 1_000_000, 1), TWO, "100000[0-9]"),
    good("ten thousand columns", "d.csv",
         "\n".join([",".join([*PAIR, *map(str, range(10_000))]), *[",".join([*PAIR.values(), *"0" * 10_000])] * 2]),
             TWO),
]  # fmt: skip


def special(title: str, path: str, *words: str, make=None, **settings: object) -> Row:
    """A path that is no data file, for several commands."""
    return refused(f"path: {title}", f"{INSPECT}{path} ", *words, make=make, limit=20, **settings)


def saved(name: str, content: str):
    def make(folder: Path) -> None:
        (folder / "saved").mkdir()
        (folder / "saved" / name).write_text(content)

    return make


PATHS = [
    special("nothing there", "d.csv", r"d\.csv", "no such|not found|doesn't exist"),
    special("nothing there, no suffix", "some/where/else", "some/where/else", "no such"),
    special("an empty name", "''", "--dataset|empty"),
    special("a very long name", "x" * 300 + ".csv", "xxx", "long|no such"),
    special("a very long folder name", "x" * 300, "xxx", "long|no such"),
    special("a newline in the name", "'no\nsuch.csv'", r"no\\nsuch\.csv"),
    special("bytes that aren't text", "\udcff\udcfe.csv", r"\.csv", "no such"),
    special("a null device", "/dev/null", "/dev/null", "regular file|not a file|device|empty"),
    special("a device without an end", "/dev/zero", "/dev/zero", "regular file|not a file|device"),
    special("standard input", "/dev/stdin", "/dev/stdin", r"regular file|device|pipe|\.jsonl"),
    special("a pipe that nobody writes", "d.csv", r"d\.csv", "regular file|not a file|pipe|fifo",
            make=lambda folder: os.mkfifo(folder / "d.csv")),
    special("a dangling link", "d.csv", r"d\.csv", "link|no such", make=lambda f: (f / "d.csv").symlink_to("nowhere")),
    special("a link to itself", "d.csv", r"d\.csv", "link|no such|symbolic",
        make=lambda f: (f / "d.csv").symlink_to("d.csv")),
    special("an empty folder with a suffix", "d.csv", r"d\.csv", "folder|no files|empty",
        make=lambda f: (f / "d.csv").mkdir()),
    special("a path below a file", "pairs.jsonl/train.csv", "pairs.jsonl", "no such|not a (folder|directory)"),
    special("a folder of a model", "m", r"\bm\b", "no (data )?files|named"),
    special("a pattern of nothing", "'*.parquet'", r"\*\.parquet", "no (such )?files?|match"),
    special("a pattern that is damaged", "'[.csv'", r"\[\.csv", "no such|match"),
    special("an unknown suffix", "d.xlsx", r"d\.xlsx", r"\.csv",
        make=lambda f: (f / "d.xlsx").write_bytes(zipped({"x.xml": ""}))),
    special("a dataset on the Hub, offline", "user/name", "user/name", "Hub|offline"),
    special("a damaged saved dataset", "saved", "saved", make=saved("state.json", "{")),
    special("a saved dataset of other shape", "saved", "saved", make=saved("dataset_dict.json", "[]")),
    special("a saved dataset without its files", "saved", "saved", make=saved("dataset_dict.json",
        '{"splits": ["train"]}')),
    special("a configuration of files here", "pairs.jsonl --dataset_config x", "Hub",
        "configuration|--dataset_config"),
    refused("path: validation data that aren't there", TRAIN + "--validation_dataset nope.csv", "nope.csv", "no such"),
    *[refused(f"path: {title} that aren't there, {name}", command + flag, r"nope\.csv", "no such")
      for title, flag in (("data", "--dataset nope.csv"), ("validation data", "--validation_dataset nope.csv"))
      for name, command in (("the Trainer", TRAINER), ("compare_truncation", TRUNCATION + "--max_seq_lengths 16 "))],
    *[refused(f"path: data that aren't there, {name}", command + "--dataset nope.csv", r"nope\.csv", "no such")
      for name, command in (("train", TRAIN), ("evaluate", EVALUATE), ("reproduce", REPRODUCE),
          ("inspect with a model", INSPECT + "pairs.jsonl --model_name_or_path m "))],
    refused("path: train, a pipe", TRAIN + "--dataset d.jsonl", r"d\.jsonl", "regular file|not a file|pipe|fifo",
            make=lambda folder: os.mkfifo(folder / "d.jsonl"), limit=20),
    refused("path: evaluate, a split that isn't there", EVALUATE + "--dataset folder --split nope", "nope",
            "train", "validation", "test"),
    refused("path: train, no training split", TRAIN + "--dataset two", "two", "train", "validation, test",
            files={"two/dev.csv": CSV, "two/test.csv": CSV}),
    refused("path: evaluate, an empty split name", EVALUATE + "--dataset folder --split ''", "split"),
]  # fmt: skip

ROWS = [*COUNTS, *EMPTY, *SHAPES, *CONTENT, *PATHS]
