"""How a model was trained, and what it was trained from: the part of a card's facts that training left."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hf_nli.core.report import checked
from hf_nli.data.mixing import SourceCounts
from hf_nli.model.evaluations import CalibrationReport
from hf_nli.model.precision import Precision
from hf_nli.model.reports import FolderReports, Json
from hf_nli.settings.recipe import Recipe
from hf_nli.sources.named import name_source

# Names that nothing but SNLI has: on the Hub, and of the Stanford release's folder, archive and files.
_SNLI = re.compile(r"stanfordnlp/snli|snli_1\.0([._].*)?")

Flag = str | int | float | bool | list[str] | list[float] | None


@dataclass(frozen=True)
class TrainingStep:
    """One training of a chain, as training.json has it.

    Attributes:
        model: The base model: a Hub id, or the name of its folder.
        datasets: Hub ids and names of files, in the form in which they were given.
        base_model_sha256: The weights that it began from.
        calibrations: The calibrations of the base model, from the first one on.
        validation: What was validated on.
        license: The licence that was given, or that the base model's card has.
        settings: What wasn't a default, by the names of the flags.
        versions: The packages.
        sources: What there was of each data set to train on, if that is known.
    """

    model: str
    datasets: list[str]
    base_model_sha256: str | None
    calibrations: list[CalibrationReport]
    validation: str | None
    license: str | None
    settings: dict[str, Flag]
    versions: dict[str, str]
    sources: list[SourceCounts] = field(default_factory=list)

    @property
    def is_snli(self) -> bool:
        """Whether the names of the data show that they are SNLI: English sentences on image captions."""
        return all(_SNLI.fullmatch(name_source(each).source) for each in self.datasets)

    @property
    def hub_ids(self) -> list[str]:
        """The data sets that are on the Hub."""
        names = [name_source(each).source for each in self.datasets]
        return list(dict.fromkeys(name for name in names if "/" in name))


@dataclass(frozen=True)
class Epoch:
    """A line of the table of epochs; of epoch 0 nothing is known of training."""

    epoch: int
    eval_loss: float
    eval_accuracy: float
    train_loss: float | None = None
    train_accuracy: float | None = None


@dataclass(frozen=True)
class TrainingFacts:
    """How the weights were trained.

    Attributes:
        steps_to_here: The trainings from the first base model on; the last one is that of these weights.
        examples: Pairs trained on.
        steps: Optimizer steps.
        device: What was trained on.
        examples_per_second: How fast.
        best_epoch: The epoch whose weights are kept.
        precision: The precision of matrix products.
        softening_factors: What each layer's queries were scaled by before training; empty if none was.
        epochs: What was measured of each.
    """

    steps_to_here: list[TrainingStep]
    examples: int
    steps: int
    device: str
    examples_per_second: float
    best_epoch: int
    precision: Precision
    softening_factors: list[float]
    epochs: list[Epoch]

    @property
    def last(self) -> TrainingStep:
        """The training that made these weights."""
        return self.steps_to_here[-1]


def training_facts(training: Json, reports: FolderReports) -> TrainingFacts:
    """Gathers what is known of a training.

    Args:
        training: Its training.json.
        reports: The other reports beside it.

    Raises:
        LookupError, ValueError, TypeError or AttributeError: If something is missing, or isn't what it should be.
    """
    results = reports.results or {}
    names = ("epoch", "eval_loss", "eval_accuracy", "train_loss", "train_accuracy")
    facts = TrainingFacts(
        steps_to_here=_steps(training),
        examples=results["num_train_examples"],
        steps=results["steps"],
        device=results["device"],
        examples_per_second=results["examples_per_second"],
        best_epoch=results["best_epoch"],
        precision=results["mixed_precision"],
        softening_factors=results.get("softening_factors") or [],
        epochs=[checked(Epoch(**{name: each[name] for name in names if name in each})) for each in reports.epochs],
    )
    return checked(facts)


def _steps(training: Json) -> list[TrainingStep]:
    """The chain of trainings, from the first one on."""
    default = vars(Recipe())
    recipe = {name: value for name, value in training["recipe"].items() if value != default.get(name)}
    step = TrainingStep(
        model=training["model"],
        datasets=[named] if isinstance(named := training["dataset"], str) else named,
        base_model_sha256=training.get("base_model_sha256"),
        calibrations=calibrations(training.get("base_calibration")),
        validation=training.get("validation"),
        license=training.get("license"),
        settings=training.get("arguments", {}) | recipe,
        versions=training["versions"],
        sources=training.get("sources") or [],
    )
    return [*(_steps(training["base"]) if training.get("base") else []), checked(step)]


def calibrations(report: Json | None) -> list[CalibrationReport]:
    """Reads the calibrations of a model, from the first one on.

    Args:
        report: The last one's calibration_report.json, if there is one.

    Raises:
        ValueError: If something is missing, or isn't what it should be.
    """
    return CalibrationReport.from_json(report).chain if report else []
