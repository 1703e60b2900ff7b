"""A model on a data set: numbers and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor

from hf_nli.card.card import add_evaluation, card_matters_less, write_card
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged, write_json
from hf_nli.data.load import NLIData
from hf_nli.data.table import TokenTable
from hf_nli.evaluation.figures import confusion_matrix
from hf_nli.inference.predictor import decide
from hf_nli.model.load import input_length, load_model
from hf_nli.model.score import merge_labels, predict_logits, score
from hf_nli.settings.options import DataOptions, Truncation
from hf_nli.settings.recipe import Recipe
from hf_nli.text.encoding import encode


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
) -> dict[str, Any]:
    """Scores a model on a data set and writes eval_results.json and predictions.jsonl.

    On two-way data (entailment, not_entailment) a three-way model's probabilities of neutral and contradiction are
    added up; the results say so as `merged_labels`.

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

    Returns:
        The results, as written to eval_results.json.

    Raises:
        InputError: If the model or the data can't be loaded, or `split` isn't there.
    """
    accelerator = Accelerator()
    with accelerator.main_process_first():
        model, tokenizer = load_model(model_name_or_path, revision=revision)
        length = input_length(model.config, tokenizer, max_seq_length)
        data = NLIData(dataset, data_options)
        if split is not None and split not in data.names:
            raise InputError(f"{dataset}: no split {split!r}; it has {', '.join(data.names)}")
        split, pairs = data.read_first(*((split,) if split else ("test", "validation")))
        label_names = tuple(pairs.features["label"].names)
        encoded = encode(pairs, tokenizer, length, truncation)
        table = TokenTable.open(encoded, tokenizer).to(accelerator.device)
    model = accelerator.prepare_model(model, evaluation_mode=True)
    logits, labels = predict_logits(accelerator, model, table, per_device_eval_batch_size)
    logits, merged = merge_labels(logits, label_names)
    scores = score(logits, labels, label_names)
    results = {
        "model": str(model_name_or_path),
        "dataset": str(dataset),
        "split": split,
        "accuracy": scores.pop("accuracy"),
        "loss": scores.pop("loss"),
        "examples": len(pairs),
        "dropped": data.dropped[split],
        **({"merged_labels": merged} if merged else {}),
        **scores,
    }
    if accelerator.is_main_process:
        _write(Path(output_dir), results, pairs, logits, label_names)
        if Path(model_name_or_path).is_dir():
            with card_matters_less():
                add_evaluation(model_name_or_path, results, data_options.dataset_revision if data_options else None)
                write_card(model_name_or_path)
    accelerator.wait_for_everyone()
    return results


def _write(output_dir: Path, results: dict[str, Any], pairs: Dataset, logits: Tensor, labels: tuple[str, ...]) -> None:
    with staged(output_dir) as folder:
        write_json(folder / "eval_results.json", results)
        confusion_matrix(results["confusion_matrix"], folder / "confusion_matrix.png")
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
            for pair, row in zip(pairs, logits, strict=True):
                decision = decide(row, labels)
                prediction = {**pair, "label": labels[pair["label"]], "prediction": decision["label"]}
                file.write(json.dumps(prediction | {"scores": decision["scores"]}, ensure_ascii=False) + "\n")
