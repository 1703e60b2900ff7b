"""The evaluations of a model: what was scored, under which conditions, and what a model folder keeps of it.

A calibration is one, too: it is told by what the probabilities are worth before and after it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast, get_type_hints

from hf_nli.core.report import Report
from hf_nli.model.metrics import Scores
from hf_nli.model.precision import Precision
from hf_nli.settings.options import Truncation


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What defines an evaluation beside the model; another value of any field makes it another one.

    Attributes:
        dataset: A data set's id on the Hub, or where it is here.
        dataset_sha256: What `core.files.joint_sha256` gives of files here, None of a data set on the Hub.
        dataset_config: The data set's configuration on the Hub.
        dataset_revision: Its branch, tag or commit.
        split: Which of its splits; None if nothing says so.
        text: Which of the Stanford release's texts.
        premise_column: The column that was named, if one was; likewise for the others.
        label_names: What the label ids mean, if it was given.
        label_map: What other labels mean, likewise.
        max_seq_length: Tokens a pair.
        truncation: How longer pairs were cut.
        mixed_precision: The precision of matrix products.
    """

    dataset: str
    dataset_sha256: str | None
    dataset_config: str | None
    dataset_revision: str | None
    split: str | None
    text: Literal["raw", "parse"]
    premise_column: str | None = None
    hypothesis_column: str | None = None
    label_column: str | None = None
    label_names: list[str] | None = None
    label_map: list[str] | None = None
    max_seq_length: int
    truncation: Truncation
    mixed_precision: Precision

    @property
    def key(self) -> str:
        """Eight hexadecimal digits that tell these conditions from others; files count by their content."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Conditions)}
        if self.dataset_sha256:
            del values["dataset"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True, kw_only=True)
class Evaluation(Scores, Conditions, Report):
    """What a model scores, and under which conditions.

    Attributes:
        model_sha256: Which weights it is about.
        examples: How many pairs were scored.
        dropped: How many more had no gold label.
        merged_labels: The model's labels whose probabilities were added up, by the data set's label.
        merged_gold_labels: The data set's labels that were taken for one, by the model's label.
    """

    model_sha256: str | None
    examples: int
    dropped: int
    merged_labels: dict[str, list[str]] | None = None
    merged_gold_labels: dict[str, list[str]] | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord(Evaluation):
    """An entry of evaluations.json, in words that may be published.

    Attributes:
        hub_id: The data set's id, if it is on the Hub.
        picture: The file of its confusion matrix.
    """

    split: str | None = None
    hub_id: str | None
    picture: str


class Confidence(TypedDict):
    """What a model's probabilities are worth; see `metrics.Scores`."""

    loss: float
    expected_calibration_error: float
    brier_score: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How a model's probabilities became others, with equal labels.

    Attributes:
        temperature: What its logits were divided by.
        fitted_pairs: How many pairs it was fitted on.
        held_out_pairs: How many other ones `before` and `after` are about.
        before: What the probabilities were worth.
        after: What they are worth now.
        changed_labels: Of how many pairs, all together, the label is another one.
        max_abs_difference: The largest difference, in logits, from the old ones divided by the temperature.
    """

    temperature: float
    fitted_pairs: int
    held_out_pairs: int
    before: Confidence
    after: Confidence
    changed_labels: int
    max_abs_difference: float

    @property
    def changes(self) -> list[tuple[str, float, float]]:
        """The figures' names, as reports give them, and what they were before and are after."""
        before, after = cast("dict[str, float]", self.before), cast("dict[str, float]", self.after)
        titles = {each.name: each.metadata["title"] for each in dataclasses.fields(Scores)}
        return [(titles[name], before[name], after[name]) for name in get_type_hints(Confidence)]


@dataclass(frozen=True, kw_only=True)
class CalibrationReport(Calibration, Report):
    """What a model folder keeps of a calibration, in words that may be published, as calibration_report.json.

    Attributes:
        pairs: Which pairs it was done on, by their data set and split.
        max_seq_length: Tokens a pair.
        arguments: The arguments of `calibrate` that aren't its defaults, beside the folders; none if it was a part of
            training.
        versions: The packages.
        base_model_sha256: Which weights it began from.
        model_sha256: Which weights it ended with, once they are written.
        dataset_sha256: What `core.files.joint_sha256` gives of the data set's files, if they are here; training leaves
            it out.
        model: The model that these weights were of, if it wasn't a part of training.
        base: The report on the calibration before, if there was one.
    """

    pairs: str
    max_seq_length: int
    arguments: dict[str, Any]
    versions: dict[str, str]
    base_model_sha256: str | None
    model_sha256: str | None = None
    dataset_sha256: str | None = None
    model: str | None = None
    base: dict[str, Any] | None = None

    @property
    def chain(self) -> list[CalibrationReport]:
        """The calibrations from the first one on; `ValueError` if one isn't what it should be."""
        return [*(CalibrationReport.from_json(self.base).chain if self.base else []), self]
