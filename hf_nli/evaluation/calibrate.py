"""A model whose probabilities are as often right as they say: the same labels, other weights of the last layer."""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import ExitStack
from pathlib import Path

from accelerate import Accelerator

from hf_nli.card.card import card_matters_less, write_card
from hf_nli.core.environment import accelerate_starts, versions
from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import public_name
from hf_nli.core.processes import in_turn, on_main
from hf_nli.core.sole_run import sole_run
from hf_nli.evaluation.conditions import files_sha256
from hf_nli.evaluation.inputs import Inputs, LoadedModel, Reader, check_settings, find
from hf_nli.evaluation.temperature import scale
from hf_nli.model.evaluations import CalibrationReport
from hf_nli.model.folder import CALIBRATION, CARD, HISTORY, model_folder, refuse_other_model, weights_sha256
from hf_nli.model.reports import read_reports
from hf_nli.runs.report import BaseModel, changed_arguments
from hf_nli.settings.options import DataOptions, Forward, Truncation
from hf_nli.settings.ranges import check_number
from hf_nli.settings.recipe import Recipe
from hf_nli.sources.named import name_source
from hf_nli.text.tokenizer import save_tokenizer


def calibrate(
    model_name_or_path: str,
    dataset: str,
    output_dir: str | Path,
    split: str | None = None,
    seed: int = Recipe.seed,
    per_device_eval_batch_size: int = Recipe.per_device_eval_batch_size,
    max_seq_length: int | None = None,
    truncation: Truncation = "longest_first",
    data_options: DataOptions | None = None,
    revision: str | None = None,
    forward: Forward = "auto",
    overwrite_output_dir: bool = False,
) -> CalibrationReport:
    """Writes a model anew whose logits are divided by a temperature, so that its probabilities can be trusted more.

    The temperature is fitted on a half of the pairs, and measured on the other one (see `temperature.scale`). It is in
    the weights: whatever loads the model folder gives calibrated probabilities. The labels are the same.

    Args:
        model_name_or_path: A model folder or Hub id, three-way NLI with any order of labels, fine-tuned.
        dataset: Any source that `data.load_nli` takes; pairs that the model was not trained on.
        output_dir: The model folder to write: model, tokenizer, the reports on the model's making, README.md and
            calibration_report.json.
        split: The split to take; by default validation, or else the only one there is.
        seed: Chooses the half to fit on.
        per_device_eval_batch_size: Pairs a batch, on each process.
        max_seq_length: Tokens a pair; by default as many as the model takes.
        truncation: How longer pairs are cut.
        data_options: How to read the data.
        revision: The branch, tag or commit of a model on the Hub.
        forward: What computes: our forward pass, for the models that it knows, or always the model's own.
        overwrite_output_dir: Whether a model in `output_dir`, also the same one, may be replaced.

    Returns:
        The report, as written to calibration_report.json.

    Raises:
        InputError: If a setting can't be used, the model or the data can't be loaded, the data have other labels, no
            temperature fits, or `output_dir` holds a model that may not be replaced. Nothing is written then.
    """
    check_settings(per_device_eval_batch_size, max_seq_length, truncation, forward)
    check_number("seed", seed)
    options = data_options or DataOptions()
    with accelerate_starts():
        accelerator = Accelerator()
    with ExitStack() as stack:
        on_main(lambda: stack.enter_context(sole_run(output_dir)))
        on_main(lambda: refuse_other_model(output_dir, overwrite_output_dir))

        def load() -> tuple[LoadedModel, Inputs, BaseModel]:
            (asked,) = find([dataset], split, options, ("validation",))
            model = LoadedModel.load(model_name_or_path, revision, max_seq_length)
            return model, Reader(model, truncation).read(asked), BaseModel.read(model_name_or_path, revision)

        model, inputs, base = in_turn(load)
        if inputs.labels != model.labels:
            raise InputError(
                f"{dataset}: its labels are {', '.join(inputs.labels)}, the model's {', '.join(model.labels)}; such "
                "data can be evaluated on only"
            )
        name = f"{model_name_or_path} on {dataset}, pairs with a gold label"
        found = scale(accelerator, model.net, inputs.table, per_device_eval_batch_size, seed, forward, name)
        report = CalibrationReport(
            **vars(found),
            pairs=public_name(inputs.source) + (f", {inputs.split}" if inputs.split else ""),
            dataset_sha256=files_sha256(inputs.source),
            max_seq_length=model.length,
            arguments=changed_arguments(
                options,
                dataset=name_source(dataset).public_name,
                split=split,
                seed=None if seed == Recipe.seed else seed,
                max_seq_length=max_seq_length,
                truncation=None if truncation == "longest_first" else truncation,
                revision=revision,
            ),
            versions=versions(),
            base_model_sha256=model.sha256,
            model=base.name,
            base=base.calibration,
        )
        return on_main(lambda: _write(output_dir, overwrite_output_dir, model, base, report))


def _write(
    output_dir: str | Path, overwrite: bool, model: LoadedModel, base: BaseModel, report: CalibrationReport
) -> CalibrationReport:
    """Writes the model folder, with what remains true of the model; gives the report, complete."""
    with model_folder(output_dir, overwrite) as folder:
        model.net.save_pretrained(folder)
        save_tokenizer(model.tokenizer, folder)
        for file in read_reports(base.folder).files & set(HISTORY):
            shutil.copyfile(base.folder / file, folder / file)
        report = dataclasses.replace(report, model_sha256=weights_sha256(folder))
        report.write(folder / CALIBRATION)
        if (base.folder / CARD).exists():  # of which parts may be kept
            shutil.copyfile(base.folder / CARD, folder / CARD)
        with card_matters_less():
            write_card(folder, f"USER/{folder.name}")  # on the Hub there is the other one
    return report
