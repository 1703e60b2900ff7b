"""The predictions of two evaluations: read back, by the same labels, and pair by pair."""

from __future__ import annotations

import json
import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from hf_nli.core.errors import InputError, reason
from hf_nli.core.labels import label_id, label_set
from hf_nli.core.report import Report

RESULTS, PREDICTIONS = "eval_results.json", "predictions.jsonl"
_TEXTS = ("premise", "hypothesis", "label", "prediction")


@dataclass(frozen=True, kw_only=True)
class RunResults(Report):
    """Of eval_results.json, what a comparison tells.

    Attributes:
        model: The model folder or Hub id.
        model_sha256: Its weights.
        dataset: The data set's id on the Hub, or where it was.
        split: Its split, if something says so.
        examples: How many pairs were scored.
        accuracy: The share of them that the model got right.
        text: Which of the Stanford release's texts.
        max_seq_length: Tokens a pair.
        truncation: How longer pairs were cut.
        mixed_precision: The precision of matrix products.
    """

    model: str
    model_sha256: str | None
    dataset: str
    split: str | None
    examples: int
    accuracy: float
    text: str
    max_seq_length: int
    truncation: str
    mixed_precision: str


@dataclass(frozen=True)
class Run:
    """An evaluation, as it was written.

    Attributes:
        name: What to call it in errors.
        results: What it came to.
        rows: Of each pair, premise, hypothesis, label, prediction and scores.
    """

    name: str
    results: RunResults
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Answers:
    """What a model says of pairs, by labels that another model has, too.

    Attributes:
        name: What to call them in errors.
        labels: The labels.
        pairs: Premise, hypothesis and gold label of each.
        gold: The gold labels, integers (pairs,).
        predicted: The predictions, integers (pairs,).
        probabilities: Float64 (pairs, labels).
    """

    name: str
    labels: tuple[str, ...]
    pairs: list[tuple[str, str, str]]
    gold: NDArray[numpy.int64]
    predicted: NDArray[numpy.int64]
    probabilities: NDArray[numpy.float64]


def read_run(folder: str | Path, name: str | None = None) -> Run:
    """Reads an output folder of `evaluate`.

    Args:
        folder: The folder.
        name: What to call it in errors, if not by its own name.

    Raises:
        InputError: If there is none, one of its two files is missing or damaged, or they are of two evaluations.
    """
    name, folder = name or str(folder), Path(folder)
    if not folder.is_dir():
        raise InputError(f"{name}: no such folder; give an output folder of hf-nli evaluate, or, with --dataset, a model")
    for file in (RESULTS, PREDICTIONS):
        if not (folder / file).is_file():
            raise InputError(
                f"{name}: no {file}; give an output folder of hf-nli evaluate on one data set, or --dataset, on which "
                "to score models"
            )
    try:
        results = RunResults.from_json(json.loads((folder / RESULTS).read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{name}: {RESULTS} can't be read ({reason(error)}); run hf-nli evaluate again") from error
    try:
        rows = list(_read_rows(folder / PREDICTIONS))
    except (OSError, UnicodeError) as error:
        raise InputError(f"{name}: {PREDICTIONS} can't be read ({reason(error)})") from error
    right = sum(row["label"] == row["prediction"] for row in rows)
    if not rows or len(rows) != results.examples or abs(right / len(rows) - results.accuracy) > 0.5 / len(rows):
        raise InputError(
            f"{name}: {PREDICTIONS} has {right} of {len(rows)} pairs right, {RESULTS} an accuracy of "
            f"{results.accuracy:.4f} on {results.examples}: they are of two evaluations; run hf-nli evaluate again"
        )
    return Run(name, results, rows)


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                fits = all(isinstance(row[name], str) for name in _TEXTS)
                fits = fits and len(row["scores"]) > 1 and all(0 <= score <= 1 for score in row["scores"].values())
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                fits = False
            if not fits:
                raise InputError(
                    f"{path}, line {number}: not a prediction of hf-nli evaluate: an object with the texts "
                    f"{', '.join(_TEXTS)}, and scores, the probability of each label"
                )
            yield {name: row[name] for name in (*_TEXTS, "scores")}


def match_runs(run_a: Run, run_b: Run) -> tuple[Answers, Answers]:
    """Brings two evaluations to the same labels and the same order of pairs.

    Where one of them tells two labels apart and the other one three, neutral and contradiction become not_entailment,
    their probabilities are added up, and the prediction is what is then the most probable, as `evaluate` does on
    two-way data.

    Args:
        run_a: An evaluation.
        run_b: Another one.

    Returns:
        What the two say, in the order of the first one.

    Raises:
        InputError: If they aren't of the same pairs, or it can't be told which pair of one is which of the other.
    """
    labels = label_set(name for run in (run_a, run_b) for row in run.rows[:1] for name in row["scores"])
    one, other = _by_labels(run_a, labels), _by_labels(run_b, labels)
    if one.pairs == other.pairs:
        return one, other
    _refuse_other_pairs(one, other)
    _refuse_ambiguous(one, other)
    size = range(len(one.pairs))
    order = numpy.empty(len(size), numpy.int64)
    order[sorted(size, key=one.pairs.__getitem__)] = sorted(size, key=other.pairs.__getitem__)
    return one, Answers(
        other.name, labels, one.pairs, one.gold, other.predicted[order], other.probabilities[order]
    )


def _by_labels(run: Run, labels: tuple[str, ...]) -> Answers:
    @cache
    def known(name: str) -> int:
        index = label_id(name, labels)
        if index is None:
            raise InputError(f"{run.name}: the label {name!r} in {PREDICTIONS} is none of {', '.join(labels)}")
        return index

    probabilities = numpy.zeros((len(run.rows), len(labels)))
    gold, predicted = (numpy.zeros(len(run.rows), numpy.int64) for _ in range(2))
    for index, row in enumerate(run.rows):
        for name, score in row["scores"].items():
            probabilities[index, known(name)] += score
        merged = len(row["scores"]) > len(labels)
        gold[index] = known(row["label"])
        predicted[index] = probabilities[index].argmax() if merged else known(row["prediction"])
    names = (labels[label] for label in gold)
    pairs = [(row["premise"], row["hypothesis"], name) for row, name in zip(run.rows, names, strict=True)]
    return Answers(run.name, labels, pairs, gold, predicted, probabilities)


def _refuse_other_pairs(a: Answers, b: Answers) -> None:
    for one, other in ((a, b), (b, a)):
        left = Counter(other.pairs)
        for number, pair in enumerate(one.pairs, 1):
            left[pair] -= 1
            if left[pair] < 0:
                labels = {label for *texts, label in other.pairs if tuple(texts) == pair[:2]} - {pair[2]}
                how = "is less often" if pair in other.pairs else "isn't"
                how = f"is {' and '.join(sorted(labels))}" if labels else how
                raise InputError(
                    f"{a.name} and {b.name} aren't of the same data ({len(a.pairs)} and {len(b.pairs)} pairs): "
                    f"{_told(pair)}, line {number} in {one.name}, "
                    f"{how} in {other.name}"
                )


def _refuse_ambiguous(a: Answers, b: Answers) -> None:
    """Refuses pairs that are there repeatedly with several answers of both: which belongs to which nobody knows."""
    found: list[defaultdict[tuple[str, str, str], set[int]]] = [defaultdict(set), defaultdict(set)]
    for sets, answers in zip(found, (a, b), strict=True):
        for pair, predicted in zip(answers.pairs, answers.predicted.tolist(), strict=True):
            sets[pair].add(predicted)
    for pair in a.pairs:
        if all(len(sets[pair]) > 1 for sets in found):
            raise InputError(
                f"{a.name} and {b.name} have their pairs in different orders, and {_told(pair)} is there repeatedly "
                "with different predictions; run hf-nli evaluate on the same file for both"
            )


def _told(pair: tuple[str, str, str]) -> str:
    premise, hypothesis, label = pair
    return f"the pair {reprlib.repr(premise)}, {reprlib.repr(hypothesis)} ({label})"
