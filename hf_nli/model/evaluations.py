"""The evaluations of a model: what was scored, under which conditions, and what a model folder keeps of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

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
