"""Logits of a data set, and what they score."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS, label_order
from hf_nli.data.batches import share
from hf_nli.data.table import TokenTable
from hf_nli.engine.attach import fast_forward, flat_batches
from hf_nli.model.precision import Precision, autocast
from hf_nli.settings.options import Forward

if TYPE_CHECKING:
    from hf_nli.model.metrics import Scores


@torch.no_grad()
def predict_logits(
    accelerator: Accelerator,
    model: nn.Module,
    table: TokenTable,
    batch_size: int,
    precision: Precision,
    name: str = "the pairs",
    remedy: str = "",
) -> tuple[Tensor, Tensor]:
    """Runs a model over encoded pairs, each pair once, whatever the number of processes.

    Args:
        accelerator: The processes and their device.
        model: An NLI classifier, on that device; each process has one, or its part of a wrapped one.
        table: The pairs, on the accelerator's device.
        batch_size: Pairs a batch, on each process.
        precision: The precision of matrix products, whatever Accelerate was told before.
        name: What to call the pairs in errors.
        remedy: What to do about logits that aren't finite; for people.

    Raises:
        InputError: If a logit is NaN or infinite; all processes raise it.

    Returns:
        Float32 logits (examples, labels) in the order of the model's `labels.model_labels`, and labels (examples,), on
        the CPU.
    """
    order = label_order(accelerator.unwrap_model(model, keep_torch_compile=False).config)
    model.eval()
    rows = numpy.argsort(-table.lengths, kind="stable")
    logits = torch.zeros(len(table), len(order), device=accelerator.device)
    step = batch_size * accelerator.num_processes
    hidden = not accelerator.is_main_process
    for start in tqdm(range(0, len(rows), step), desc="Evaluating", leave=False, disable=hidden):
        part = share(rows[start : start + step], accelerator.process_index, accelerator.num_processes)[0]
        batch = table.batch(part.rows)
        del batch["labels"]
        with autocast(accelerator.device, precision):
            outputs = model(**batch).logits[:, order].float()
        if part.counts:
            logits[torch.from_numpy(part.rows).to(logits.device)] = outputs
    # A row is another process's where it is zero.
    logits = accelerator.reduce(logits).cpu()
    check_logits(logits, name, remedy if precision == "no" else remedy or "use --mixed_precision no")
    return logits, table.labels.cpu()


def compute_logits(
    accelerator: Accelerator,
    model: PreTrainedModel,
    table: TokenTable,
    batch_size: int,
    precision: Precision,
    forward: Forward,
    name: str,
) -> tuple[Tensor, Tensor]:
    """Does what `predict_logits` does, with our forward pass where that is wanted and known.

    Args:
        accelerator: The processes and their device.
        model: The model, which is moved to the device.
        table: The pairs.
        batch_size: Pairs a batch, on each process.
        precision: The precision of matrix products.
        forward: What computes.
        name: What to call the pairs in errors.

    Returns:
        What `predict_logits` gives.
    """
    model = model.to(accelerator.device)
    with fast_forward(model, forward) as fast:
        table = table.to(accelerator.device, fast and flat_batches(accelerator))
        return predict_logits(accelerator, model, table, batch_size, precision, name)


def check_logits(logits: Tensor, name: str, remedy: str = "", first_row: int = 1) -> None:
    """Refuses logits that say nothing.

    Args:
        logits: Float (examples, labels).
        name: What to call the examples.
        remedy: What to do about it; for people.
        first_row: The number of the first one.

    Raises:
        InputError: If one is NaN or infinite.
    """
    broken = (~logits.isfinite()).any(1).nonzero()
    if len(broken):
        row = first_row + int(broken[0])
        raise InputError(
            f"{name}, row {row}: the model's logits are NaN or infinite" + (f"; {remedy}" if remedy else "")
        )


def merge_labels(logits: Tensor) -> Tensor:
    """Makes a three-way model's logits fit two-way data: the probabilities of neutral and contradiction are added.

    Args:
        logits: Float (examples, 3), in the order of `labels.LABELS`.

    Returns:
        Logits (examples, 2), in the order of `labels.TWO_WAY_LABELS`, whose softmax has these probabilities.
    """
    return torch.stack([logits[:, 0], logits[:, 1:].logsumexp(1)], dim=1)


def score(logits: Tensor, references: Tensor, labels: tuple[str, ...] = LABELS) -> Scores:
    """Computes all metrics.

    Args:
        logits: Float (examples, labels).
        references: The gold labels, integer (examples,).
        labels: The names of the label ids.
    """
    from hf_nli.model.metrics import Scores  # scikit-learn takes a while, and predictions don't need it

    fields = dataclasses.fields(Scores)
    return Scores(**{field.name: field.metadata["compute"](logits, references, labels) for field in fields})
