"""What is told of a run when it has ended, and of the model that it started from."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, snapshot_download
from yaml import YAMLError

from hf_nli.core.cache import content_key
from hf_nli.core.files import sha256
from hf_nli.core.hub_ids import public_name
from hf_nli.core.report import Report
from hf_nli.data.mixing import SourceCounts
from hf_nli.model.folder import (
    CALIBRATION,
    CARD,
    CONFIG,
    CONVERSION,
    HISTORY,
    SHA256,
    TRAINING,
    read_report,
    speaks_of,
    weights_sha256,
)
from hf_nli.model.reports import first_weights, uncalibrated
from hf_nli.settings.options import DataOptions


@dataclass(frozen=True)
class TrainingResults(Report):
    """The figures of a run, as in all_results.json.

    Attributes:
        train_loss: The last epoch's mean.
        train_accuracy: Likewise.
        eval_accuracy: The best epoch's, on the validation pairs.
        eval_loss: Likewise.
        best_epoch: The epoch whose weights were kept.
        epochs: How many there were.
        steps: The optimizer steps.
        seconds: What training took, without evaluating and saving.
        examples_per_second: Over these seconds and all processes.
        tokens_per_second: Likewise, without padding.
        padding_fraction: The share of padding in the training batches.
        device: What computed.
        num_processes: How many of them.
        mixed_precision: The precision of matrix products.
        num_train_examples: The training pairs.
        dropped_examples: Training rows without a gold label.
        model_sha256: The SHA-256 of the weights that this is about.
        temperature: What the logits were divided by after training, if the model was calibrated then; the losses here
            are those from before, and calibration_report.json has more.
        softening_factors: What the queries of each layer were multiplied by before training, if any were.
    """

    train_loss: float
    train_accuracy: float
    eval_accuracy: float
    eval_loss: float
    best_epoch: int
    epochs: int
    steps: int
    seconds: float
    examples_per_second: float
    tokens_per_second: float
    padding_fraction: float
    device: str
    num_processes: int
    mixed_precision: str
    num_train_examples: int
    dropped_examples: int
    model_sha256: str
    temperature: float | None = None
    softening_factors: list[float] | None = None


@dataclass(frozen=True)
class TrainingReport(Report):
    """What a run was, as in training.json: all that it takes to say how the model was made.

    Attributes:
        model: The public name of the model that the run started from.
        dataset: That of the data set, or those of several, in the form in which they were given.
        validation: What was validated on.
        arguments: Every other argument of `train` that isn't its default; paths as public names.
        recipe: The settings.
        versions: Those of the packages.
        license: The license of the weights, if it is known.
        base: The report on the training that made the model that the run started from, if there was one.
        base_calibration: The report on the last calibration of the model that the run started from, likewise.
        base_model_sha256: The SHA-256 of the weights that the run started from.
        model_sha256: That of the weights that it ended with, once it has ended.
        sources: What there is of each data set to train on.
    """

    model: str
    dataset: str | list[str]
    validation: str
    arguments: dict[str, Any]
    recipe: dict[str, Any]
    versions: dict[str, str]
    license: str | None = None
    base: dict[str, Any] | None = None
    base_calibration: dict[str, Any] | None = None
    base_model_sha256: str | None = None
    model_sha256: str | None = None
    sources: list[SourceCounts] | None = None


@dataclass(frozen=True)
class BaseModel:
    """The model that a run starts from.

    Attributes:
        name: What may be published of where it is from.
        folder: Where its files are.
        weights: The SHA-256 of its weights, if they are in safetensors files.
        sha256: What identifies it: configuration and weights.
        training: The report on its own training, if it was fine-tuned here.
        calibration: The report on its last calibration, after training, if it was calibrated.
        license: The license that its card names, if it does.
    """

    name: str
    folder: Path
    weights: str | None
    sha256: str
    training: dict[str, Any] | None
    calibration: dict[str, Any] | None
    license: str | None

    @classmethod
    def read(cls, model_name_or_path: str, revision: str | None = None) -> BaseModel:
        """Looks at a model that has been loaded.

        Args:
            model_name_or_path: A model folder or Hub id.
            revision: The branch, tag or commit of a model on the Hub.
        """
        folder = Path(model_name_or_path)
        if not folder.is_dir():
            files = [CONFIG, CARD, *HISTORY]  # the weights are there since it was loaded
            folder = Path(snapshot_download(model_name_or_path, revision=revision, allow_patterns=files))
        weights = weights_sha256(folder)
        calibration = _report_about(folder, CALIBRATION, weights)
        training = _report_about(folder, TRAINING, weights, *uncalibrated(calibration))
        identity, name = content_key(sha256(folder / CONFIG), weights), public_name(model_name_or_path)
        return cls(name, folder, weights, identity, training, calibration, base_license(folder))

    def copy_conversion(self, folder: Path) -> None:
        """Copies the report on the conversion that this model comes from, if there is one."""
        named = speaks_of(self.folder / CONVERSION)
        before = (*uncalibrated(self.calibration), *first_weights(self.training))
        if named is not None and named in (self.weights, *before):
            shutil.copyfile(self.folder / CONVERSION, folder / CONVERSION)


def _report_about(folder: Path, name: str, *weights: str | None) -> dict[str, Any] | None:
    """Reads a report if it is about one of these weights."""
    report = read_report(folder, name)
    return report if report and report.get(SHA256) in weights else None


def base_license(folder: Path) -> str | None:
    """Finds the license that a model's card names; None if there is none, or it can't be read."""
    try:
        card = ModelCard.load(folder / CARD, ignore_metadata_errors=True) if (folder / CARD).exists() else None
    except (ValueError, YAMLError):
        return None
    license = card and card.data.to_dict().get("license")
    return license if isinstance(license, str) else None


def changed_arguments(data_options: DataOptions, **arguments: Any) -> dict[str, Any]:
    """Names the arguments of a command that aren't its defaults, which are None.

    Args:
        data_options: How the data were read.
        **arguments: Others, in words that may be published.
    """
    for each in dataclasses.fields(DataOptions):
        value = getattr(data_options, each.name)
        arguments[each.name] = None if value == each.default else value
    return {name: value for name, value in arguments.items() if value is not None}
