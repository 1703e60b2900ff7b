"""Evaluations, read back from the folders that `evaluate` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_nli.core.errors import InputError, reason
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
        raise InputError(f"{name}: no such folder; give one that hf-nli evaluate wrote, or models and --dataset")
    for file in (RESULTS, PREDICTIONS):
        if not (folder / file).is_file():
            raise InputError(
                f"{name}: no {file}; give a folder that hf-nli evaluate wrote of one data set, or models and --dataset"
            )
    results = _read_results(folder / RESULTS)
    rows = list(_read_rows(folder / PREDICTIONS))
    right = sum(row["label"] == row["prediction"] for row in rows)
    if not rows or len(rows) != results.examples or abs(right / len(rows) - results.accuracy) > 0.5 / len(rows):
        raise InputError(
            f"{name}: {PREDICTIONS} has {right} of {len(rows)} pairs right, {RESULTS} an accuracy of "
            f"{results.accuracy:.4f} on {results.examples}: they are of two evaluations; run hf-nli evaluate again"
        )
    return Run(name, results, rows)


def _read_results(path: Path) -> RunResults:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it is a {type(content).__name__}, not an object")
        return RunResults.from_json(content)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} can't be read: {reason(error)}; run hf-nli evaluate again") from error


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            yield _row(line, f"{path}, line {number}")
    except OSError as error:
        raise InputError(f"{path} can't be read: {reason(error)}") from error


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        fits = all(isinstance(row[name], str) for name in _TEXTS) and len(row["scores"]) > 1
        if fits and all(0 <= score <= 1 for score in row["scores"].values()):
            return {name: row[name] for name in (*_TEXTS, "scores")}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise InputError(
        f"{where}: it isn't a prediction of hf-nli evaluate: an object with the texts {', '.join(_TEXTS)}, and with "
        "scores, the probability of each label"
    )
