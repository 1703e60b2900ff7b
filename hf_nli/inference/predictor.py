"""Pairs of texts to predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, get_args

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.labels import LABELS, label_order
from hf_nli.model.load import input_length
from hf_nli.model.score import check_logits
from hf_nli.settings.options import Truncation
from hf_nli.settings.ranges import check_choice, check_number
from hf_nli.text.encoding import encode_pairs


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[tuple[str, str]],
    batch_size: int = 64,
    max_seq_length: int | None = None,
    truncation: Truncation = "longest_first",
) -> Iterator[dict[str, Any]]:
    """Predicts the relation of each pair, in order, reading the pairs as they are needed.

    Args:
        model: A three-way NLI classifier in evaluation mode, with any order of labels.
        tokenizer: Its tokenizer.
        pairs: Premises and hypotheses.
        batch_size: Pairs a batch.
        max_seq_length: Tokens a pair; by default as many as the model takes.
        truncation: How longer pairs are cut.

    Raises:
        InputError: If the model's labels aren't entailment, neutral and contradiction, a text isn't Unicode, a setting
            can't be used, or a pair's logits are NaN or infinite.

    Yields:
        `premise`, `hypothesis`, the `label` and the `scores` (probabilities) by the label's name.
    """
    check_number("batch_size", batch_size)
    check_choice("truncation", truncation, get_args(Truncation))
    pairs, first = iter(pairs), 1
    max_length = input_length(model.config, tokenizer, max_seq_length)
    order = label_order(model.config)
    while batch := list(islice(pairs, batch_size)):
        premises, hypotheses = zip(*batch, strict=True)
        encoded = encode_pairs(tokenizer, premises, hypotheses, max_length, truncation)
        inputs = tokenizer.pad(encoded, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            logits = model(**inputs).logits[:, order]
        check_logits(logits, "the pairs", first_row=first)
        first += len(batch)
        for (premise, hypothesis), row in zip(batch, logits, strict=True):
            yield {"premise": premise, "hypothesis": hypothesis} | decide(row)


def decide(logits: Tensor, labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """The label and the scores of one pair.

    Args:
        logits: One value a label.
        labels: The labels.

    Returns:
        The `label` with the highest score and the `scores` by name, which add up to 1.
    """
    scores = logits.double().softmax(-1).tolist()
    return {"label": labels[int(logits.argmax())], "scores": dict(zip(labels, scores, strict=True))}
