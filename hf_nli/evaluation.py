"""A model on a data set: numbers and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from hf_nli.batching import TokenTable, share
from hf_nli.card import add_evaluation, card_matters_less, write_card
from hf_nli.data import NLIData
from hf_nli.encoding import encode
from hf_nli.errors import InputError
from hf_nli.figures import confusion_matrix
from hf_nli.files import staged, write_json
from hf_nli.inference import decide
from hf_nli.labels import LABELS, TWO_WAY_LABELS, label_order
from hf_nli.metrics import NLIMetric
from hf_nli.models import input_length, load_model
from hf_nli.options import DataOptions, Truncation
from hf_nli.recipe import Recipe


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
        encoded = encode(pairs, tokenizer, length, truncation)
        table = TokenTable.open(encoded, tokenizer).to(accelerator.device)
    model = accelerator.prepare_model(model, evaluation_mode=True)
    logits, labels = predict_logits(accelerator, model, table, per_device_eval_batch_size)
    logits, merged = merge_labels(logits, data.labels)
    scores = score(logits, labels, data.labels)
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
        _write(Path(output_dir), results, pairs, logits, data.labels)
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


@torch.no_grad()
def predict_logits(
    accelerator: Accelerator, model: PreTrainedModel, table: TokenTable, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Runs a model over encoded pairs, each pair once, whatever the number of processes.

    Args:
        accelerator: What prepared the model.
        model: A three-way NLI classifier.
        table: The pairs, on the accelerator's device.
        batch_size: Pairs a batch, on each process.

    Returns:
        Float32 logits (examples, 3) in the order of `labels.LABELS`, and labels (examples,), on the CPU.
    """
    order = label_order(accelerator.unwrap_model(model).config)
    model.eval()
    rows = numpy.argsort(-table.lengths, kind="stable")
    logits = torch.zeros(len(table), len(order), device=accelerator.device)
    step = batch_size * accelerator.num_processes
    hidden = not accelerator.is_main_process
    for start in tqdm(range(0, len(rows), step), desc="Evaluating", leave=False, disable=hidden):
        part, counts = share(rows[start : start + step], accelerator.process_index, accelerator.num_processes)[0]
        batch = table.batch(part)
        del batch["labels"]
        outputs = model(**batch).logits[:, order].float()
        if counts:
            logits[torch.from_numpy(part).to(logits.device)] = outputs
    # A row is another process's where it is zero.
    return accelerator.reduce(logits).cpu(), table.labels.cpu()


def merge_labels(logits: Tensor, labels: tuple[str, ...]) -> tuple[Tensor, dict[str, list[str]] | None]:
    """Makes a three-way model's logits fit the labels of a data set.

    Args:
        logits: Float (examples, 3), in the order of `labels.LABELS`.
        labels: `labels.LABELS`, or `labels.TWO_WAY_LABELS`: the probabilities of neutral and contradiction are added.

    Returns:
        Logits (examples, labels) whose softmax has these probabilities, and what was merged, by the new label.
    """
    if labels != TWO_WAY_LABELS:
        return logits, None
    merged = {label: list(LABELS[1:]) for label in labels[1:]}
    return torch.stack([logits[:, 0], logits[:, 1:].logsumexp(1)], dim=1), merged


def score(logits: Tensor, references: Tensor, labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """Computes the metrics of `metrics.NLIMetric`, and `loss`, the mean cross-entropy in nats.

    Args:
        logits: Float (examples, labels).
        references: The gold labels, integer (examples,).
        labels: The names of the label ids.
    """
    loss = torch.nn.functional.cross_entropy(logits, references).item()
    return {"loss": loss} | NLIMetric(labels).compute(predictions=logits.argmax(-1), references=references)
