"""A model on a data set: numbers and predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel

from hf_nli.core.disk import check_output
from hf_nli.core.environment import accelerate_starts
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.labels import LABELS, MERGED, TWO_WAY_LABELS, model_labels
from hf_nli.core.processes import in_turn, on_main
from hf_nli.data.load import NLIData
from hf_nli.data.rows import two_way_pairs
from hf_nli.data.table import TokenTable
from hf_nli.engine.attach import fast_forward, flat_batches
from hf_nli.evaluation.conditions import describe
from hf_nli.evaluation.figures import confusion_matrix
from hf_nli.evaluation.record import record_evaluation
from hf_nli.inference.predictor import decide
from hf_nli.model.evaluations import Evaluation
from hf_nli.model.folder import holds_model, local_folder, weights_sha256
from hf_nli.model.load import input_length, load_model
from hf_nli.model.precision import Precision, resolve_precision
from hf_nli.model.score import merge_labels, predict_logits, score
from hf_nli.settings.options import DataOptions, Forward, Truncation
from hf_nli.settings.ranges import check_choice, check_number
from hf_nli.settings.recipe import Recipe
from hf_nli.text.encoding import encode

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
    `merged_labels`. For a two-way model, neutral and contradiction of three-way data are not_entailment
    (`merged_gold_labels`).

    Args:
        model_name_or_path: A model folder or Hub id, NLI with any order of labels.
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
    check_number("per_device_eval_batch_size", per_device_eval_batch_size)
    if max_seq_length is not None:
        check_number("max_seq_length", max_seq_length)
    check_choice("truncation", truncation, get_args(Truncation))
    check_choice("forward", forward, get_args(Forward))
    check_choice("mixed_precision", mixed_precision, (*get_args(Precision), "auto"))
    options = data_options or DataOptions()
    with accelerate_starts():
        accelerator = Accelerator()
    precision = resolve_precision(mixed_precision, accelerator.device.type)
    on_main(lambda: _refuse_other_folder(model_name_or_path, output_dir))
    inputs = in_turn(lambda: _load(model_name_or_path, revision, dataset, options, split, max_seq_length, truncation))
    name = f"{model_name_or_path} on {dataset}, pairs with a gold label"
    model = inputs.model.to(accelerator.device)
    with fast_forward(inputs.model, forward) as fast:
        table = inputs.table.to(accelerator.device, fast and flat_batches(accelerator))
        logits, references = predict_logits(accelerator, model, table, per_device_eval_batch_size, precision, name)
    labels = tuple(inputs.pairs.features["label"].names)
    merged = model_labels(inputs.model.config) == LABELS and labels == TWO_WAY_LABELS
    logits = merge_labels(logits) if merged else logits
    results = EvaluationResults(
        **vars(describe(dataset, options, inputs.split, inputs.max_length, truncation, precision)),
        **vars(score(logits, references, labels)),
        model=str(model_name_or_path),
        model_sha256=inputs.model_sha256,
        examples=len(inputs.pairs),
        dropped=inputs.dropped,
        merged_labels=MERGED if merged else None,
        merged_gold_labels=MERGED if inputs.merged else None,
    )
    on_main(lambda: _write(Path(output_dir), results, inputs.pairs, logits, labels))
    return results


@dataclass(frozen=True)
class _Inputs:
    """What is evaluated: a model, its weights, and pairs, whose labels may have been merged, as texts and encoded."""

    model: PreTrainedModel
    model_sha256: str | None
    pairs: Dataset
    merged: bool
    split: str | None
    dropped: int
    table: TokenTable
    max_length: int


def _load(
    model_name_or_path: str,
    revision: str | None,
    dataset: str,
    options: DataOptions,
    split: str | None,
    max_seq_length: int | None,
    truncation: Truncation,
) -> _Inputs:
    data = NLIData(dataset, options)
    wanted = ["test", "validation"] if split is None else data.find(split)
    if not wanted:
        raise InputError(f"{dataset}: no split {split!r}; it has {', '.join(data.names)}")
    data.candidates(*wanted)
    # In a folder, the weights are looked at before they are loaded: they may be replaced meanwhile.
    here = Path(model_name_or_path).is_dir()
    sha256 = weights_sha256(model_name_or_path) if here else None
    model, tokenizer = load_model(model_name_or_path, revision=revision)
    if not here and (cached := local_folder(model_name_or_path, revision)):
        sha256 = weights_sha256(cached)
    length = input_length(model.config, tokenizer, max_seq_length)
    name, pairs = data.read_first(*wanted)
    merged = model_labels(model.config) == TWO_WAY_LABELS and pairs.features["label"].names == list(LABELS)
    pairs = two_way_pairs(pairs) if merged else pairs
    table = TokenTable.open(encode(pairs, tokenizer, length, truncation), tokenizer)
    return _Inputs(model, sha256, pairs, merged, data.public_split(name), data.dropped[name], table, length)


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
