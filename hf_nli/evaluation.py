"""A model on a data set: numbers and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import DataCollatorWithPadding, PreTrainedModel

from hf_nli.data import find_split, read_nli
from hf_nli.encoding import encode
from hf_nli.errors import InputError
from hf_nli.files import staged, write_json
from hf_nli.inference import decide
from hf_nli.labels import LABELS, label_order
from hf_nli.metrics import NLIMetric
from hf_nli.models import load_model, max_positions
from hf_nli.recipe import Recipe


def evaluate(
    model_name_or_path: str,
    dataset: str,
    output_dir: str | Path,
    split: str | None = None,
    per_device_eval_batch_size: int = Recipe.per_device_eval_batch_size,
) -> dict[str, Any]:
    """Scores a model on a data set and writes eval_results.json and predictions.jsonl.

    Args:
        model_name_or_path: A model folder or Hub id, three-way NLI with any order of labels.
        dataset: Any source that `data.load_nli` takes.
        output_dir: The folder to write to.
        split: The split to score on; by default test, or else validation, or else the only one there is.
        per_device_eval_batch_size: Pairs a batch, on each process.

    Returns:
        The results, as written to eval_results.json.

    Raises:
        InputError: If the model or the data can't be loaded, or `split` isn't there.
    """
    accelerator = Accelerator()
    with accelerator.main_process_first():
        model, tokenizer = load_model(model_name_or_path)
        splits, dropped = read_nli(dataset)
        if split is None:
            split = find_split(splits, dataset, "test", "validation")
        elif split not in splits:
            raise InputError(f"{dataset}: no split {split!r} with gold labels; it has {', '.join(splits)}")
        pairs = splits[split]
        encoded = encode(pairs, tokenizer, max_positions(model.config, tokenizer))
    loader = DataLoader(encoded, per_device_eval_batch_size, collate_fn=DataCollatorWithPadding(tokenizer))
    model, loader = accelerator.prepare(model, loader)
    logits, labels = predict_logits(accelerator, model, loader)
    scores = score(logits, labels)
    results = {
        "model": str(model_name_or_path),
        "dataset": str(dataset),
        "split": split,
        "accuracy": scores.pop("accuracy"),
        "loss": scores.pop("loss"),
        "examples": len(pairs),
        "dropped": dropped[split],
        **scores,
    }
    if accelerator.is_main_process:
        _write(Path(output_dir), results, pairs, logits)
    accelerator.wait_for_everyone()
    return results


def _write(output_dir: Path, results: dict[str, Any], pairs: Dataset, logits: Tensor) -> None:
    with staged(output_dir) as folder:
        write_json(folder / "eval_results.json", results)
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
            for pair, row in zip(pairs, logits, strict=True):
                decision = decide(row)
                prediction = {**pair, "label": LABELS[pair["label"]], "prediction": decision["label"]}
                file.write(json.dumps(prediction | {"scores": decision["scores"]}, ensure_ascii=False) + "\n")


@torch.no_grad()
def predict_logits(accelerator: Accelerator, model: PreTrainedModel, loader: DataLoader) -> tuple[Tensor, Tensor]:
    """Runs a prepared model over a prepared loader, each example once, whatever the number of processes.

    Args:
        accelerator: What prepared them.
        model: A three-way NLI classifier.
        loader: Batches of its inputs and `labels`.

    Returns:
        Float32 logits (examples, 3) in the order of `labels.LABELS`, and labels (examples,), on the CPU.
    """
    order = label_order(accelerator.unwrap_model(model).config)
    model.eval()
    rows = []
    for batch in tqdm(loader, desc="Evaluating", leave=False, disable=not accelerator.is_main_process):
        labels = batch.pop("labels")
        logits = model(**batch).logits[:, order].float()
        rows.append([part.cpu() for part in accelerator.gather_for_metrics((logits, labels))])
    logits, labels = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return logits, labels


def score(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Computes the metrics of `metrics.NLIMetric`, and `loss`, the mean cross-entropy in nats.

    Args:
        logits: Float (examples, 3), in the order of `labels.LABELS`.
        labels: Integer (examples,).
    """
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    return {"loss": loss} | NLIMetric().compute(predictions=logits.argmax(-1), references=labels)
