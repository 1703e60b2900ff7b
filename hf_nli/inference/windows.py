"""Premises that are longer than a model takes, and documents: sentences, windows of them, and what they say together.

A hypothesis follows from a document if it follows from a part of it, and contradicts it if it contradicts a part. So
each part is a premise of its own, and the highest probability over the parts counts: SummaC (Laban et al. 2022, its
zero-shot form) takes sentences, AlignScore (Zha et al. 2023) pieces that end where sentences end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import sentencex
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from hf_nli.text.encoding import plain_backend

_REST = 1  # the label of what no window shows: neutral, and of two labels not_entailment


def split_sentences(text: str) -> list[str]:
    """Splits English text into its sentences, without the blanks around them.

    Args:
        text: Any text.
    """
    return [stripped for sentence in sentencex.segment("en", text) if (stripped := sentence.strip())]


def split_windows(tokenizer: PreTrainedTokenizerBase, premise: str, tokens: int) -> list[str]:
    """Cuts a premise into windows that end where sentences end.

    As many sentences as fit are a window, and the next one begins with the last of them, if it fits beside its own
    first. A sentence that is longer than half a window is cut between words.

    Args:
        tokenizer: What counts tokens.
        premise: A text that has more tokens.
        tokens: The most tokens of a window, at least 2.

    Returns:
        The windows, in order, as they stand in the premise.
    """
    with plain_backend(tokenizer) as backend:
        parts = list(_parts(backend, premise, tokens))
    windows, start = [], 0
    while start < len(parts):
        end, total = start, 0
        while end < len(parts) and total + parts[end][2] <= tokens:
            total += parts[end][2]
            end += 1
        windows.append(premise[parts[start][0] : parts[end - 1][1]].strip())
        overlaps = end < len(parts) and end - 1 > start and parts[end - 1][2] + parts[end][2] <= tokens
        start = end - 1 if overlaps else end
    return windows


def _parts(backend: Tokenizer, premise: str, tokens: int) -> Iterator[tuple[int, int, int]]:
    """The sentences, and pieces of those that are longer than half a window: start, end and number of tokens."""
    start, most = 0, max(1, tokens // 2)
    for sentence in sentencex.segment("en", premise):
        encoding = backend.encode(sentence, add_special_tokens=False)
        first = 0
        while len(encoding) - first > most:
            last = first + most
            words = encoding.word_ids
            while last > first + 1 and words[last] is not None and words[last] == words[last - 1]:
                last -= 1  # the pieces of a word stay together
            yield start + encoding.offsets[first][0], start + encoding.offsets[last][0], last - first
            first = last
        if len(encoding) > first:
            begin = encoding.offsets[first][0] if first else 0
            yield start + begin, start + len(sentence), len(encoding) - first
        start += len(sentence)


def combine(probabilities: NDArray[numpy.float64]) -> tuple[NDArray[numpy.float64], int]:
    """Says what windows say together.

    Entailment and contradiction are the highest of any window, neutral is what they leave, and all three are divided
    by their sum, which is over 1 where one window entails what another one contradicts. Of two labels, not_entailment
    is what the highest entailment leaves.

    Args:
        probabilities: Of each window, (windows, labels), in the order of `labels.LABELS` or `labels.TWO_WAY_LABELS`.

    Returns:
        The probabilities of the labels, and the window in which the most probable of them is highest.
    """
    if len(probabilities) == 1:
        return probabilities[0], 0
    highest = probabilities.max(0)
    highest[_REST] = max(0.0, 1.0 + highest[_REST] - highest.sum())
    joint = highest / highest.sum()
    return joint, int(probabilities[:, joint.argmax()].argmax())


def room_for_premise(hypothesis_tokens: int, budget: int) -> int:
    """The tokens that a window of the premise may have; a hypothesis that is longer than half a pair is cut there.

    Args:
        hypothesis_tokens: Tokens of the hypothesis.
        budget: The most tokens of both together.
    """
    return budget - min(hypothesis_tokens, budget // 2)
