"""The reports in a model folder that are about its weights; those about others are told and left out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from hf_nli.model.evaluations import EvaluationRecord
from hf_nli.model.folder import (
    CALIBRATION,
    CONFUSION,
    CONVERSION,
    CURVES,
    EVALUATIONS,
    LOG,
    RESULTS,
    SHA256,
    TRAINING,
    read_epochs,
    read_json,
    read_report,
    speaks_of,
    weights_sha256,
)

logger = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True)
class FolderReports:
    """What is reported of the weights in a model folder; what there is no valid report of is None or empty.

    Attributes:
        sha256: The weights.
        conversion: Of the d2l checkpoint that they, or the weights that training began from, are converted from.
        training: What they were trained on, and how.
        results: What that training came to.
        epochs: Its epochs.
        calibration: Of the last calibration; what is reported of training and conversion is of the weights before it.
        evaluations: What they score.
        files: The files of all that, pictures included.
    """

    sha256: str | None
    conversion: Json | None = None
    training: Json | None = None
    results: Json | None = None
    epochs: list[Json] = field(default_factory=list)
    calibration: Json | None = None
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    files: frozenset[str] = frozenset()


def read_reports(folder: str | Path) -> FolderReports:
    """Reads the reports in a model folder.

    Args:
        folder: The model folder.
    """
    folder, sha256 = Path(folder), weights_sha256(folder)

    def valid(name: str, *others: str | None) -> bool:
        return (folder / name).exists() and _is_about(folder / name, sha256, *others)

    calibration = read_report(folder, CALIBRATION) if valid(CALIBRATION) else None
    before = uncalibrated(calibration)
    training = read_report(folder, TRAINING) if valid(TRAINING, *before) else None
    files = {name for name in (RESULTS, LOG, CURVES) if valid(name, *before)}
    files |= {name for name, report in ((TRAINING, training), (CALIBRATION, calibration)) if report}
    if valid(CONVERSION, *before, *first_weights(training)):
        files.add(CONVERSION)
    evaluations = read_evaluations(folder, sha256)
    if evaluations:
        files.add(EVALUATIONS)
    files |= {each.picture for each in evaluations if _is_picture(each.picture) and valid(each.picture)}
    return FolderReports(
        sha256,
        conversion=read_report(folder, CONVERSION) if CONVERSION in files else None,
        training=training,
        results=read_report(folder, RESULTS) if RESULTS in files else None,
        epochs=_epochs(folder) if LOG in files else [],
        calibration=calibration,
        evaluations=evaluations,
        files=frozenset(files),
    )


def read_evaluations(folder: str | Path, sha256: str | None) -> list[EvaluationRecord]:
    """Reads what a model folder keeps of the evaluations of its weights.

    Args:
        folder: The model folder.
        sha256: Its weights.
    """
    path, records, valid = Path(folder) / EVALUATIONS, read_json(folder, EVALUATIONS), []
    if not isinstance(records, list):
        if records is not None:
            logger.warning("%s is left out: it holds a %s, not a list", path, type(records).__name__)
        return []
    others = 0
    for number, each in enumerate(records, 1):
        if not isinstance(each, dict):
            logger.warning("%s: entry %d is left out: it is a %s, not an object", path, number, type(each).__name__)
            continue
        if each.get(SHA256) != sha256:
            others += 1
            continue
        try:
            valid.append(EvaluationRecord.from_json(each))
        except ValueError as error:
            logger.warning("%s: an evaluation on %s is left out: %s", path, each.get("dataset"), error)
    if others:
        logger.warning(
            "%s: %d of %d evaluations are left out: they are of other weights than those beside it",
            *(path, others, len(records)),
        )
    return valid


def first_weights(training: Json | None) -> list[str | None]:
    """Finds which weights the first of a chain of trainings began from.

    Args:
        training: The last one's training.json, which holds that of its base model as `base`.

    Returns:
        Their SHA-256, if it is known, and those that they had before they were calibrated.
    """
    while training and isinstance(training.get("base"), dict):
        training = training["base"]
    training = training or {}
    return [training.get("base_model_sha256"), *uncalibrated(training.get("base_calibration"))]


def uncalibrated(calibration: Json | None) -> list[str | None]:
    """Finds which weights became others by calibration alone.

    Args:
        calibration: The last calibration's calibration_report.json, which holds the one before as `base`.

    Returns:
        The SHA-256 of those before each calibration, the last one's first.
    """
    weights: list[str | None] = []
    while isinstance(calibration, dict):
        weights.append(calibration.get("base_model_sha256"))
        calibration = calibration.get("base")
    return weights


def _epochs(folder: Path) -> list[Json]:
    """The epochs of a log; of a damaged one none, which is told."""
    try:
        return read_epochs(folder)
    except (ValueError, TypeError) as error:
        logger.warning("%s is left out: it can't be read (%s)", folder / LOG, error)
        return []


def _is_picture(name: str) -> bool:
    """Whether it is a confusion matrix in the folder itself, and none that the name leads to elsewhere."""
    return fnmatch(name, CONFUSION) and Path(name).name == name


def _is_about(path: Path, *weights: str | None) -> bool:
    """Whether a report is about one of these weights; tells if it isn't."""
    named = speaks_of(path)
    if named is not None and named in weights:
        return True
    why = (
        f"it is about other weights (SHA-256 {str(named)[:12]}…) than those beside it"
        if named
        else "it names no weights"
    )
    logger.warning("%s is left out: %s", path, why)
    return False
