"""A model on a data set: numbers and predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor

from hf_nli.core.disk import check_output
from hf_nli.core.environment import accelerate_starts
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.processes import in_turn, on_main
from hf_nli.evaluation.conditions import describe
from hf_nli.evaluation.figures import confusion_matrix
from hf_nli.evaluation.inputs import check_settings, compute_logits, load_inputs
from hf_nli.evaluation.record import record_evaluation
from hf_nli.inference.predictor import decide
from hf_nli.model.evaluations import Evaluation
from hf_nli.model.folder import holds_model
from hf_nli.model.precision import Precision, resolve_precision
from hf_nli.model.score import merge_labels, score
from hf_nli.settings.options import DataOptions, Forward, Truncation
from hf_nli.settings.ranges import check_choice
from hf_nli.settings.recipe import Recipe

RESULTS, CONFUSION, PREDICTIONS = "eval_results.json", "confusion_matrix.png", "predictions.jsonl"
FILES = (RESULTS, CONFUSION, PREDICTIONS)


@dataclass(frozen=True, kw_only=True)
class EvaluationResults(Evaluation):
    """What `evaluate` found out, as written to eval_results.json.

    Attributes:
        model: The model folder or Hub id.
    """

    model: str


def evaluate(
    model_name_or_path: str,
    dataset: str,
    output_dir: str | Path,
    split: str | None = None,
    per_device_eval_batch_size: int = Recipe.per_device_eval_batch_size,
    max_seq_length: int | None = None,
    truncation: Truncation = "longest_first",
    data_options: DataOptions | None = None,
    revision: str | None = None,
    mixed_precision: Literal["no", "bf16", "fp16", "auto"] = "no",
    forward: Forward = "auto",
) -> EvaluationResults:
    """Scores a model on a data set and writes eval_results.json, confusion_matrix.png and predictions.jsonl.

    A model folder keeps the results, too: in evaluations.json, a picture and README.md. On two-way data (entailment,
    not_entailment) a three-way model's probabilities of neutral and contradiction are added up; the results say so as
    `merged_labels`.

    Args:
        model_name_or_path: A model folder or Hub id, three-way NLI with any order of labels.
        dataset: Any source that `data.load_nli` takes.
        output_dir: The folder to write to.
        split: The split to score on; by default test, or else validation, or else the only one there is.
        per_device_eval_batch_size: Pairs a batch, on each process.
        max_seq_length: Tokens a pair; by default as many as the model takes.
        truncation: How longer pairs are cut.
        data_options: How to read the data.
        revision: The branch, tag or commit of a model on the Hub.
        mixed_precision: The precision of matrix products, float32 by default, whatever was trained in; auto for the
            fast one.
        forward: What computes: our forward pass, for the models that it knows, or always the model's own.

    Returns:
        The results, as written to eval_results.json.

    Raises:
        InputError: If a setting can't be used, the model or the data can't be loaded, `split` isn't there, the device
            lacks the precision, `output_dir` holds another model, or a pair's logits are NaN or infinite.
    """
    check_settings(per_device_eval_batch_size, max_seq_length, truncation, forward)
    check_choice("mixed_precision", mixed_precision, (*get_args(Precision), "auto"))
    options = data_options or DataOptions()
    with accelerate_starts():
        accelerator = Accelerator()
    precision = resolve_precision(mixed_precision, accelerator.device.type)
    on_main(lambda: _refuse_other_folder(model_name_or_path, output_dir))
    splits = ("test", "validation")
    inputs = in_turn(
        lambda: load_inputs(model_name_or_path, revision, dataset, options, split, splits, max_seq_length, truncation)
    )
    name = f"{model_name_or_path} on {dataset}, pairs with a gold label"
    size, labels = per_device_eval_batch_size, inputs.labels
    logits, references = compute_logits(accelerator, inputs.model, inputs.table, size, precision, forward, name)
    logits, merged = merge_labels(logits, labels)
    results = EvaluationResults(
        **vars(describe(dataset, options, inputs.split, inputs.max_length, truncation, precision)),
        **vars(score(logits, references, labels)),
        model=str(model_name_or_path),
        model_sha256=inputs.model_sha256,
        examples=len(inputs.pairs),
        dropped=inputs.dropped,
        merged_labels=merged,
    )
    on_main(lambda: _write(Path(output_dir), results, inputs.pairs, logits, labels))
    return results


def _refuse_other_folder(model_name_or_path: str, output_dir: str | Path) -> None:
    check_output(output_dir, files=FILES)
    if holds_model(output_dir) and Path(output_dir).resolve() != Path(model_name_or_path).resolve():
        raise InputError(f"{output_dir} holds another model than {model_name_or_path}; choose another --output_dir")


def _write(
    output_dir: Path, results: EvaluationResults, pairs: Dataset, logits: Tensor, labels: tuple[str, ...]
) -> None:
    with staged(output_dir) as folder:
        results.write(folder / RESULTS)
        confusion_matrix(results.confusion_matrix, folder / CONFUSION, results.model_sha256)
        with (folder / PREDICTIONS).open("w", encoding="utf-8") as file:
            for pair, row in zip(pairs, logits, strict=True):
                decision = decide(row, labels)
                prediction = {**pair, "label": labels[pair["label"]], "prediction": decision["label"]}
                file.write(json.dumps(prediction | {"scores": decision["scores"]}, ensure_ascii=False) + "\n")
    if Path(results.model).is_dir():
        record_evaluation(results.model, results)
