"""Pairs of texts as token ids, truncated as d2l does or in proportion."""

from __future__ import annotations

import json
from collections.abc import Sequence

from datasets import Dataset
from datasets.fingerprint import Hasher
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

import hf_nli
from hf_nli.core.errors import InputError
from hf_nli.settings.options import Truncation


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    premises: Sequence[str],
    hypotheses: Sequence[str],
    max_length: int,
    truncation: Truncation = "longest_first",
) -> dict[str, list[list[int]]]:
    """Turns pairs into token ids, truncated by what `kept_lengths` keeps.

    tokenizers' own `longest_first` differs from d2l's by a token where both sides are cut. So texts are encoded and
    cut here one by one; each once, as data sets repeat their premises.

    Args:
        tokenizer: Any fast tokenizer.
        premises: The premises.
        hypotheses: As many hypotheses.
        max_length: The length to truncate to, special tokens included.
        truncation: How to cut.

    Returns:
        Lists by the tokenizer's input names (input_ids, token_type_ids, attention_mask), not padded.

    Raises:
        InputError: If a text holds half of a surrogate pair, as texts with undecodable bytes do.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation(), backend.no_padding()  # it keeps what was asked of it before
    texts = list(dict.fromkeys([*premises, *hypotheses]))
    try:
        words = dict(zip(texts, backend.encode_batch_fast(texts, add_special_tokens=False), strict=True))
    except TypeError:
        refuse_surrogates(*texts)
        raise
    budget = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    encodings = []
    for premise, hypothesis in zip(premises, hypotheses, strict=True):
        pair = words[premise], words[hypothesis]
        kept = kept_lengths(len(pair[0]), len(pair[1]), budget, truncation)
        if sum(kept) < len(pair[0]) + len(pair[1]):
            pair = Encoding.merge([pair[0]]), Encoding.merge([pair[1]])  # copies: other pairs may share the text
            for encoding, length in zip(pair, kept, strict=True):
                encoding.truncate(length)
        encodings.append(backend.post_process(*pair))
    attributes = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}
    return {
        name: [getattr(encoding, attribute) for encoding in encodings]
        for name, attribute in attributes.items()
        if name in tokenizer.model_input_names
    }


def kept_lengths(p: int, h: int, budget: int, truncation: Truncation) -> tuple[int, int]:
    """Says how many tokens of the premise and of the hypothesis stay; they are the first ones of each.

    `longest_first` is d2l's (section "Fine-Tuning BERT"): while the pair is too long, the last token is taken off the
    premise if that is the longer one, else off the hypothesis. `proportional` is the alternative that the section's
    exercises propose: the ratio of the two lengths stays, to the nearest token (of two equally near, the one that
    gives the premise more), and each text that has tokens keeps at least one.

    Args:
        p: Tokens of the premise.
        h: Tokens of the hypothesis.
        budget: The most tokens of both together, at least 2.
        truncation: Which of the two.
    """
    if p + h <= budget:
        return p, h
    if truncation == "longest_first":
        return min(p, max(budget - budget // 2, budget - h)), min(h, max(budget // 2, budget - p))
    premise = (2 * budget * p + p + h) // (2 * (p + h))
    premise = min(max(premise, min(p, 1)), budget - min(h, 1))
    return premise, budget - premise


def refuse_surrogates(*texts: str) -> None:
    """Raises `InputError` if a text isn't Unicode: Python reads undecodable bytes as halves of surrogate pairs."""
    for text in texts:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"{text!r} holds half of a surrogate pair, which is no character; give the text as UTF-8")


def encode(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Truncation = "longest_first",
) -> Dataset:
    """Encodes a data set of pairs for a model; `datasets` caches the result by data, tokenizer and settings.

    Args:
        dataset: Rows of premise, hypothesis, label.
        tokenizer: Any fast tokenizer.
        max_length: The length to truncate to, special tokens included.
        truncation: What `kept_lengths` keeps.

    Returns:
        Rows of the tokenizer's inputs (not padded) and `labels`.
    """

    def convert(batch: dict[str, list]) -> dict[str, list]:
        pairs = encode_pairs(tokenizer, batch["premise"], batch["hypothesis"], max_length, truncation)
        return pairs | {"labels": batch["label"]}

    # Ours, because the one that `datasets` computes follows what the tokenizer did before, and not our code.
    backend = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    settings = [backend, tokenizer.split_special_tokens, tokenizer.model_input_names, max_length, truncation]
    return dataset.map(
        convert,
        batched=True,
        remove_columns=dataset.column_names,
        desc="Encoding",
        new_fingerprint=Hasher.hash([dataset._fingerprint, *settings, hf_nli.__version__]),
    )
