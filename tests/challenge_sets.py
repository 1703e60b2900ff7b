"""Files of the shapes in which challenge sets are published, with sentences that are made up."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, Value

NLI = ("entailment", "neutral", "contradiction")
PARSES = ("sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse")
# Sentences with what is read wrongly by a reader of another form: quotation marks, also alone, and commas.
PAIRS = [
    ('A man says "hi", twice.', "A man speaks."),
    ("The dog ran, the cat slept.", 'The cat said "no.'),
    ('"Go," he said.', "He said nothing."),
]


def fields(rows: list[dict[str, str]]) -> str:
    """Lines of fields between tabs, without quoting."""
    return "".join("\t".join(line) + "\n" for line in [list(rows[0]), *(list(row.values()) for row in rows)])


def objects(rows: list[dict[str, object]]) -> str:
    """Lines of JSON."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def quoted(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    """Lines of fields with quotation marks around those that need them, as csv writers and pandas write them."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def parses(premise: str, hypothesis: str) -> dict[str, str]:
    """The release's parses, of which the first two are read."""
    texts = [f"( {text} )" for text in (premise, hypothesis)]
    return dict(zip(PARSES, [*texts, "(ROOT)", "(ROOT)"], strict=True))


def hans_rows(labels: list[str]) -> list[dict[str, str]]:
    """McCoy et al. (2019): heuristics_evaluation_set.txt."""
    return [
        {"gold_label": label}
        | parses(premise, hypothesis)
        | {"sentence1": premise, "sentence2": hypothesis, "pairID": f"ex{number}"}
        | {"heuristic": ("lexical_overlap", "subsequence", "constituent")[number], "subcase": f"le_{number}"}
        | {"template": f"temp{number}"}
        for number, ((premise, hypothesis), label) in enumerate(zip(PAIRS, labels, strict=True))
    ]


HANS = hans_rows(["entailment", "non-entailment", "non-entailment"])


def write_hans_of_the_hub(folder: Path) -> str:
    """The Hub's HANS: label ids with their names, and the parses under other names."""
    labels = ClassLabel(names=["entailment", "non-entailment"])
    names = ("parse_premise", "parse_hypothesis", "binary_parse_premise", "binary_parse_hypothesis")
    names += ("heuristic", "subcase", "template")
    features = {"premise": Value("string"), "hypothesis": Value("string"), "label": labels}
    rows = [
        {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": labels.str2int(row["gold_label"])}
        | {name: row.get(name, "") for name in names}
        for row in HANS
    ]
    Dataset.from_list(rows, Features(features | {name: Value("string") for name in names})).save_to_disk(folder)
    return str(folder)


def release_row(number: int, label: str, annotators: list[str]) -> dict[str, object]:
    """A line of SNLI or MultiNLI; SNLI's has a captionID, MultiNLI's a genre and a promptID."""
    premise, hypothesis = PAIRS[number]
    return (
        {"annotator_labels": annotators, "genre": ("fiction", "slate", "travel")[number], "gold_label": label}
        | {"pairID": f"{number}n", "promptID": str(number), "sentence1": premise, "sentence2": hypothesis}
        | parses(premise, hypothesis)
    )


# Five annotators, one alone, and five who don't agree.
RELEASE = [
    release_row(0, "entailment", ["entailment", "entailment", "neutral", "entailment", "entailment"]),
    release_row(1, "-", ["entailment", "neutral", "neutral", "entailment", "contradiction"]),
    release_row(2, "contradiction", ["contradiction"]),
]


def release_fields(order: list[str]) -> str:
    """The lines of `RELEASE` as a table: the annotators' labels in five columns, the last of which may be empty."""
    rows = []
    for number, row in enumerate(RELEASE):
        said = [*row["annotator_labels"], *[""] * 5][:5]
        values = row | {f"label{place}": label for place, label in enumerate(said, 1)} | {"index": str(number)}
        rows.append({name: values[name] for name in order})
    return fields(rows)


TEXTS = [*PARSES, "sentence1", "sentence2"]
EACH = [f"label{place}" for place in range(1, 6)]
SICK = ("pair_ID", "sentence_A", "sentence_B", "entailment_label", "relatedness_score", "entailment_AB")
SICK += ("entailment_BA", "sentence_A_original", "sentence_B_original", "sentence_A_dataset", "sentence_B_dataset")
SICK += ("SemEval_set",)
ESNLI = ("Explanation_1", "WorkerId", "Sentence1_marked_1", "Sentence2_marked_1", "Sentence1_Highlighted_1")
ESNLI += ("Sentence2_Highlighted_1",)


def labelled(*names: str) -> list[dict[str, str]]:
    """The three pairs with each label, under the names of premise, hypothesis and label."""
    return [dict(zip(names, (*pair, label), strict=True)) for pair, label in zip(PAIRS, NLI, strict=True)]


def anli_rows() -> list[dict[str, object]]:
    """Nie et al. (2020): R1/dev.jsonl."""
    return [
        {"uid": f"u{number}", "context": premise, "hypothesis": hypothesis, "label": label[0], "model_label": "n"}
        | {"emturk": False, "genre": "wiki", "reason": "It is so.", "tag": None}
        for number, ((premise, hypothesis), label) in enumerate(zip(PAIRS, NLI, strict=True))
    ]


def sick_rows() -> list[dict[str, str]]:
    """Marelli et al. (2014): SICK.txt."""
    rows = []
    for number, ((premise, hypothesis), label) in enumerate(zip(PAIRS, NLI, strict=True)):
        values = [str(number), premise, hypothesis, label.upper(), "4.5", "A_neutral_B", "B_neutral_A"]
        values += [f"{premise} (original)", hypothesis, "FLICKR", "SEMEVAL", ("TRAIN", "TRIAL", "TEST")[number]]
        rows.append(dict(zip(SICK, values, strict=True)))
    return rows


def old_sick_rows() -> list[dict[str, str]]:
    """SICK_test_annotated.txt, as it was for SemEval 2014."""
    names = ("pair_ID", "sentence_A", "sentence_B", "relatedness_score", "entailment_judgment")
    return [
        dict(zip(names, (str(number), *pair, "3.3", label.upper()), strict=True))
        for number, (pair, label) in enumerate(zip(PAIRS, NLI, strict=True))
    ]


def breaking_rows() -> list[dict[str, object]]:
    """Glockner et al. (2018): data/dataset.jsonl."""
    return [
        row
        | {"category": ("colors", "drinks", "rooms")[number], "annotator_labels": [NLI[number]] * 3, "pairID": number}
        for number, row in enumerate(labelled("sentence1", "sentence2", "gold_label"))
    ]


def esnli_rows() -> list[dict[str, str]]:
    """Camburu et al. (2018): esnli_train_1.csv."""
    return [
        {"pairID": f"{number}.jpg", "gold_label": row["gold_label"]}
        | {"Sentence1": row["sentence1"], "Sentence2": row["sentence2"]}
        | dict(zip(ESNLI, ("Because,\nas I say.", "AO1", "A *man*", "B", "1", "{}"), strict=True))
        for number, row in enumerate(labelled("sentence1", "sentence2", "gold_label"))
    ]


def augmented_rows() -> list[dict[str, str]]:
    """Kaushik et al. (2020): NLI/revised_combined/dev.tsv, which pandas wrote."""
    return labelled("sentence1", "sentence2", "gold_label")


# The name of each file, and what is in it; all have the three pairs.
THREE_WAY = {
    "SICK.txt": fields(sick_rows()),
    "SICK_test_annotated.txt": fields(old_sick_rows()),
    "R1_dev.jsonl": objects(anli_rows()),
    "dataset.jsonl": objects(breaking_rows()),
    "esnli_train_1.csv": quoted(esnli_rows()),
    "revised_dev.tsv": quoted(augmented_rows(), "\t"),
    "original_dev.tsv": fields(augmented_rows()),
    "diagnostic-full.tsv": fields(labelled("Premise", "Hypothesis", "Label")),
}
# Those of which the second row has no gold label.
RELEASES = {
    "snli_1.0_test_hard.jsonl": objects(RELEASE),
    "multinli_1.0_dev_matched.jsonl": objects(RELEASE),
    "multinli_1.0_dev_mismatched.txt": release_fields(["gold_label", *TEXTS, "promptID", "pairID", "genre", *EACH]),
    "dev_matched.tsv": release_fields(["index", "promptID", "pairID", "genre", *TEXTS, *EACH, "gold_label"]),
}
TWO_WAY = {
    "heuristics_evaluation_set.txt": fields(HANS),
    "heuristics_evaluation_set.jsonl": objects(HANS),
}


def write(folder: Path, name: str) -> str:
    """Writes one of the files."""
    (folder / name).write_text((THREE_WAY | RELEASES | TWO_WAY)[name], encoding="utf-8")
    return str(folder / name)
