"""NLI data in every kind of file, for the tests of what reads them."""

import csv
import gzip
import json

from datasets import Dataset

PAIRS = [
    {"premise": 'A man says "hi" (twice).', "hypothesis": "A man speaks.", "label": "entailment"},
    {"premise": "A dog runs.", "hypothesis": "N/A", "label": "neutral"},
    {"premise": "A dog runs.", "hypothesis": "", "label": "contradiction"},
]
LINE = (json.dumps(PAIRS[0]) + "\n").encode()
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
