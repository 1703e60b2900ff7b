"""What a model folder keeps of its evaluations: each one, whoever evaluates beside it."""

from __future__ import annotations

import logging
import re
from fnmatch import fnmatch
from pathlib import Path

from hf_nli.card.card import card_matters_less, write_card
from hf_nli.core.files import locked, staged, write_json
from hf_nli.core.hub_ids import hub_id, public_name
from hf_nli.evaluation.figures import confusion_matrix
from hf_nli.model.evaluations import Evaluation, EvaluationRecord
from hf_nli.model.folder import CONFUSION, EVALUATIONS, weights_sha256
from hf_nli.model.reports import read_evaluations

logger = logging.getLogger(__name__)


def record_evaluation(folder: str | Path, evaluation: Evaluation) -> None:
    """Keeps an evaluation in the folder of its model, and writes the card anew; what keeps it from that is logged.

    Args:
        folder: The model folder.
        evaluation: What the model scores.
    """
    with card_matters_less():
        if add_evaluation(folder, evaluation):
            with locked(folder):
                write_card(folder)


def add_evaluation(folder: str | Path, evaluation: Evaluation) -> bool:
    """Adds an evaluation to evaluations.json; of equal conditions the last one counts. Records of other weights go.

    Args:
        folder: The model folder.
        evaluation: What the model scores.

    Returns:
        Whether it was added: not if the folder holds other weights by now, which is logged.
    """
    folder = Path(folder)
    with locked(folder):
        if weights_sha256(folder) != evaluation.model_sha256:
            logger.warning("%s holds other weights than those that were evaluated: it keeps nothing of that", folder)
            return False
        record = _record(evaluation)
        others = [each for each in read_evaluations(folder, record.model_sha256) if each.key != record.key]
        with staged(folder) as temporary:
            write_json(temporary / EVALUATIONS, [each.as_dict() for each in [*others, record]])
            confusion_matrix(record.confusion_matrix, temporary / record.picture, record.model_sha256)
        for picture in folder.iterdir():
            if fnmatch(picture.name, CONFUSION) and picture.name not in {each.picture for each in [*others, record]}:
                picture.unlink()
    return True


def _record(evaluation: Evaluation) -> EvaluationRecord:
    dataset = public_name(evaluation.dataset)
    names = "-".join(["confusion_matrix", dataset, *([evaluation.split] if evaluation.split else []), evaluation.key])
    public = {"dataset": dataset, "hub_id": hub_id(evaluation.dataset)}
    picture = re.sub(r"[^\w.-]+", "-", f"{names}.png")
    return EvaluationRecord.from_json(evaluation.as_dict() | public | {"picture": picture})
