"""Pairs of texts as token ids, truncated as d2l does."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Dataset
from transformers import PreTrainedTokenizerBase


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase, premises: Sequence[str], hypotheses: Sequence[str], max_length: int
) -> dict[str, list[list[int]]]:
    """Turns pairs into token ids, truncated token by token as d2l does (section "Fine-Tuning BERT").

    d2l takes the last token off the premise while it is the longer one, else off the hypothesis. tokenizers' own
    `longest_first` differs by a token where both sides are cut, so pairs are encoded whole and cut here.

    Args:
        tokenizer: Any fast tokenizer.
        premises: The premises.
        hypotheses: As many hypotheses.
        max_length: The length to truncate to, special tokens included.

    Returns:
        Lists by the tokenizer's input names (input_ids, token_type_ids, attention_mask), not padded.
    """
    encoded = tokenizer(list(premises), list(hypotheses), verbose=False)
    for row, encoding in enumerate(encoded.encodings or ()):
        if len(encoding) > max_length:
            kept = _kept_positions(encoding.sequence_ids, max_length)
            for values in encoded.values():
                values[row] = [values[row][position] for position in kept]
    return dict(encoded)


def _kept_positions(sequence_ids: list[int | None], max_length: int) -> list[int]:
    """Positions that d2l keeps: with a budget B for p + h tokens, of the premise min(p, max(B - B//2, B - h))."""
    p, h = sequence_ids.count(0), sequence_ids.count(1)
    budget = max_length - sequence_ids.count(None)
    left = {0: min(p, max(budget - budget // 2, budget - h)), 1: min(h, max(budget // 2, budget - p))}
    kept = []
    for position, sequence in enumerate(sequence_ids):
        if sequence is not None:
            left[sequence] -= 1
        if sequence is None or left[sequence] >= 0:
            kept.append(position)
    return kept


def encode(dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Encodes a data set of pairs for a model; `datasets` caches the result.

    Args:
        dataset: Rows of premise, hypothesis, label.
        tokenizer: Any fast tokenizer.
        max_length: The length to truncate to, special tokens included.

    Returns:
        Rows of the tokenizer's inputs (not padded) and `labels`.
    """

    def convert(batch: dict[str, list]) -> dict[str, list]:
        return encode_pairs(tokenizer, batch["premise"], batch["hypothesis"], max_length) | {"labels": batch["label"]}

    return dataset.map(convert, batched=True, remove_columns=dataset.column_names, desc="Encoding")
