"""Pairs of texts as token ids, truncated as d2l does or in proportion."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tokenizers
from datasets import Dataset, Features, List, Value
from tokenizers import Encoding, Tokenizer
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from hf_nli.core.cache import content_key, kept_folder, read_rows, rows_key, write_rows
from hf_nli.core.content import refuse_surrogates
from hf_nli.settings.options import Truncation

CACHE_VERSION = 1  # to be raised when this module encodes the same pairs in another way

_BACKENDS = threading.Lock()


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
    return encode_noting_cuts(tokenizer, premises, hypotheses, max_length, truncation)[0]


def encode_noting_cuts(
    tokenizer: PreTrainedTokenizerBase,
    premises: Sequence[str],
    hypotheses: Sequence[str],
    max_length: int,
    truncation: Truncation = "longest_first",
) -> tuple[dict[str, list[list[int]]], list[int]]:
    """Does what `encode_pairs` does.

    Args:
        tokenizer: See there, as for all of these.
        premises: The premises.
        hypotheses: The hypotheses.
        max_length: The length.
        truncation: How to cut.

    Returns:
        What `encode_pairs` gives, and the indices of the pairs that were cut.
    """
    cut = []
    texts = list(dict.fromkeys([*premises, *hypotheses]))
    budget = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    encodings = []
    with plain_backend(tokenizer) as backend:
        try:
            words = dict(zip(texts, backend.encode_batch_fast(texts, add_special_tokens=False), strict=True))
        except TypeError:
            refuse_surrogates(*texts)
            raise
        for index, (premise, hypothesis) in enumerate(zip(premises, hypotheses, strict=True)):
            pair = words[premise], words[hypothesis]
            kept = kept_lengths(len(pair[0]), len(pair[1]), budget, truncation)
            if sum(kept) < len(pair[0]) + len(pair[1]):
                cut.append(index)
                pair = Encoding.merge([pair[0]]), Encoding.merge([pair[1]])  # copies: other pairs may share the text
                for encoding, length in zip(pair, kept, strict=True):
                    encoding.truncate(length)
            encodings.append(backend.post_process(*pair))
    attributes = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}
    inputs = {
        name: [getattr(encoding, attribute) for encoding in encodings]
        for name, attribute in attributes.items()
        if name in tokenizer.model_input_names
    }
    return inputs, cut


@contextmanager
def plain_backend(tokenizer: PreTrainedTokenizerBase) -> Iterator[Tokenizer]:
    """Gives what does a tokenizer's work, for a while without truncation and padding.

    Transformers leaves there what it was asked for last, and a tokenizer.json may hold both; afterwards they are as
    they were. One thread at a time, as they are kept with the tokenizer.
    """
    backend: Tokenizer = tokenizer.backend_tokenizer
    with _BACKENDS:
        before = backend.truncation, backend.padding, backend.encode_special_tokens
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        try:
            yield backend
        finally:
            if before[0]:
                backend.enable_truncation(**before[0])
            if before[1]:
                backend.enable_padding(**before[1])
            backend.encode_special_tokens = before[2]


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


def encode(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Truncation = "longest_first",
) -> Dataset:
    """Encodes a data set of pairs for a model; the result is kept, by rows, tokenizer and settings.

    Args:
        dataset: Rows of premise, hypothesis, label.
        tokenizer: Any fast tokenizer.
        max_length: The length to truncate to, special tokens included.
        truncation: What `kept_lengths` keeps.

    Returns:
        Rows of the tokenizer's inputs (not padded; input_ids are int32, the others int8) and `labels` (int64), mapped
        into memory.
    """
    types = {"input_ids": "int32", "token_type_ids": "int8", "attention_mask": "int8"}
    names = [name for name in types if name in tokenizer.model_input_names]
    features = Features({name: List(Value(types[name])) for name in names} | {"labels": Value("int64")})

    def batches() -> Iterator[dict[str, Any]]:
        with tqdm(total=len(dataset), desc="Encoding", unit=" pairs", dynamic_ncols=True) as bar:
            for rows in dataset.with_format(None).iter(1000):
                pairs = encode_pairs(tokenizer, rows["premise"], rows["hypothesis"], max_length, truncation)
                yield {name: pairs[name] for name in names} | {"labels": rows["label"]}
                bar.update(len(rows["label"]))

    backend = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    settings = [backend, tokenizer.split_special_tokens, names, max_length, truncation]
    rows = rows_key(dataset, ("premise", "hypothesis", "label"))
    key = content_key(rows, settings, tokenizers.__version__, CACHE_VERSION)
    return read_rows(kept_folder(f"encoded-{key}", lambda folder: write_rows(folder, features, batches())))
