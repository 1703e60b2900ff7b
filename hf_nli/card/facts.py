"""What a model card may say: read from the model, and from the reports that are about its weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hf_nli.card.training import TrainingFacts, calibrations, training_facts
from hf_nli.d2l.report import ConversionReport
from hf_nli.inference.predictor import predict
from hf_nli.model.evaluations import CalibrationReport, EvaluationRecord
from hf_nli.model.folder import CALIBRATION, CONVERSION, TRAINING
from hf_nli.model.load import load_model
from hf_nli.model.reports import FolderReports, Json
from hf_nli.text.rules import TEXT_STYLES

logger = logging.getLogger(__name__)

OLDEST_TRANSFORMERS = "4.28.1"  # that loads the folders that we write
EXAMPLES = (
    ("A soccer game with multiple males playing.", "Some men are playing a sport."),
    ("A man inspects the uniform of a figure.", "The man is sleeping."),
)
T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """A pair, and the model's probabilities by label."""

    premise: str
    hypothesis: str
    scores: dict[str, float]


@dataclass(frozen=True)
class ModelFacts:
    """What the files of the model say.

    Attributes:
        name: The folder's name.
        architecture: The model's class.
        model_type: Its kind, as config.json has it.
        labels: What its outputs mean, in their order.
        vocab_size: Entries of the vocabulary.
        whole_words: Whether these are words, so that others are unknown.
        unknown: The token of an unknown word.
        text_style: The text style of a tokenizer of ours.
        max_length: The tokens to cut a pair to, if the tokenizer doesn't know it.
        examples: What the model says of `EXAMPLES`.
    """

    name: str
    architecture: str
    model_type: str
    labels: list[str]
    vocab_size: int
    whole_words: bool
    unknown: str | None
    text_style: str | None
    max_length: int | None
    examples: list[Example]


@dataclass(frozen=True)
class CardFacts:
    """All that a card says; what isn't known is None or empty.

    Attributes:
        model: Of the model's own files.
        conversion: Of the d2l checkpoint that it comes from.
        training: Of its training.
        calibrations: Of its calibrations after that, from the first one on.
        evaluations: Of what it scores.
        files: The reports and pictures that are about it.
    """

    model: ModelFacts
    conversion: ConversionReport | None
    training: TrainingFacts | None
    calibrations: list[CalibrationReport]
    evaluations: list[EvaluationRecord]
    files: frozenset[str]


def read_facts(folder: Path, reports: FolderReports) -> CardFacts:
    """Reads what a card may say.

    Args:
        folder: The model folder.
        reports: Its reports.

    Raises:
        InputError: If there is no model that can be loaded.
    """
    return CardFacts(
        _model_facts(folder),
        _whole(folder / CONVERSION, reports.conversion, ConversionReport.from_json),
        _whole(folder / TRAINING, reports.training, lambda training: training_facts(training, reports)),
        _whole(folder / CALIBRATION, reports.calibration, calibrations) or [],
        reports.evaluations,
        reports.files,
    )


def _whole(path: Path, content: Json | None, read: Callable[[Json], T]) -> T | None:
    try:
        return None if content is None else read(content)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        logger.warning("%s is left out: it, or what belongs to it, lacks something (%s)", path, error)
        return None


def _model_facts(folder: Path) -> ModelFacts:
    model, tokenizer = load_model(str(folder))
    predictions = predict(model, tokenizer, EXAMPLES)
    limit = getattr(model.config, "max_position_embeddings", None)
    return ModelFacts(
        name=folder.resolve().name,
        architecture=type(model).__name__,
        model_type=model.config.model_type,
        labels=[str(label) for label in (model.config.id2label or {}).values()],
        vocab_size=len(tokenizer),
        whole_words=json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"] == "WordLevel",
        unknown=tokenizer.unk_token,
        text_style=style if (style := tokenizer.init_kwargs.get("text_style")) in TEXT_STYLES else None,
        max_length=limit if limit and limit < tokenizer.model_max_length else None,
        examples=[Example(row["premise"], row["hypothesis"], row["scores"]) for row in predictions],
    )
