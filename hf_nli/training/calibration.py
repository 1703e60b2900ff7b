"""The end of a run that shall be calibrated: the best model's logits are divided by a temperature."""

from __future__ import annotations

import logging

from hf_nli.core.environment import versions
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.processes import in_turn, on_main
from hf_nli.evaluation.temperature import scale
from hf_nli.model.evaluations import CalibrationReport
from hf_nli.model.folder import weights_sha256
from hf_nli.model.load import load_model
from hf_nli.settings.options import Forward
from hf_nli.training.loop import Run

logger = logging.getLogger(__name__)


def calibrate_best(run: Run, forward: Forward, pairs: str, max_seq_length: int) -> CalibrationReport | None:
    """Calibrates the best model of a run on the validation pairs, where the run keeps it; checkpoints keep theirs.

    All processes have to call it.

    Args:
        run: The run, which has ended.
        forward: What computes.
        pairs: Which pairs it was validated on, in words that may be published.
        max_seq_length: The tokens that they were cut to.

    Returns:
        The report, but for the weights that it is about; None if no temperature fits, which is logged: the model is
        what it was.
    """
    recipe, folder = run.plan.recipe, run.folder.model
    before = on_main(lambda: weights_sha256(folder))
    model, _ = in_turn(lambda: load_model(str(folder)))
    size, name = recipe.per_device_eval_batch_size, "the model on the validation pairs"
    try:
        found = scale(run.accelerator, model, run.tables["validation"], size, recipe.seed, forward, name)
    except InputError as error:
        logger.warning("The model isn't calibrated: %s", error)
        return None

    def save() -> None:
        with staged(folder) as temporary:
            model.save_pretrained(temporary)

    on_main(save)
    return CalibrationReport(
        **vars(found),
        pairs=pairs,
        max_seq_length=max_seq_length,
        arguments={},
        versions=versions(),
        base_model_sha256=before,
    )
