"""Pairs of texts to logits: each distinct text is encoded once, each distinct pair is scored once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from threading import Barrier

import numpy
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.data.batches import fill
from hf_nli.inference.backends import Backend, Logits
from hf_nli.settings.options import Truncation
from hf_nli.text.encoding import encode_noting_cuts

Pair = tuple[str, str]


@dataclass(frozen=True)
class Encoded:
    """Pairs as token ids.

    Attributes:
        inputs: What the tokenizer gives for each distinct pair, not padded.
        index: Which distinct pair each pair is, (pairs,).
        cut: Whether each distinct pair was cut.
    """

    inputs: dict[str, list[list[int]]]
    index: NDArray[numpy.int64]
    cut: NDArray[numpy.bool_]


class Scorer:
    """Encodes pairs, and computes their logits.

    Args:
        backend: What computes.
        tokenizer: The model's tokenizer.
        max_length: The most tokens of a pair.
        truncation: How longer ones are cut.
        tokens_per_batch: Tokens a batch, padding included; by default what suits the backend.
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        truncation: Truncation = "longest_first",
        tokens_per_batch: int | None = None,
    ) -> None:
        self.tokenizer, self.max_length, self._truncation = tokenizer, max_length, truncation
        self._backend, self._tokens = backend, tokens_per_batch or backend.tokens

    def encode(self, pairs: Sequence[Pair]) -> Encoded:
        """Encodes pairs.

        Args:
            pairs: Premises and hypotheses, at least one.
        """
        distinct = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
        premises, hypotheses = zip(*distinct, strict=True)
        inputs, indices = encode_noting_cuts(self.tokenizer, premises, hypotheses, self.max_length, self._truncation)
        cut = numpy.zeros(len(distinct), bool)
        cut[indices] = True
        return Encoded(inputs, numpy.array([distinct[pair] for pair in pairs]), cut)

    def score(self, encoded: Encoded) -> Logits:
        """Computes the logits of each pair, float32 (pairs, labels), in the order of the backend's labels.

        Batches are made of pairs of like length, by what was encoded alone: so are the logits, to the last bit.
        """
        lengths = numpy.array([len(ids) for ids in encoded.inputs["input_ids"]])
        batches = fill(numpy.argsort(-lengths, kind="stable"), lengths, self._tokens)
        futures = [self._pool.submit(self._score, encoded, rows) for rows in batches]
        logits = numpy.zeros((len(lengths), len(self._backend.labels)), numpy.float32)
        try:
            for rows, future in zip(batches, futures, strict=True):
                logits[rows] = future.result()
        finally:
            _cancel(futures)
        return logits[encoded.index]

    def _score(self, encoded: Encoded, rows: NDArray[numpy.int64]) -> Logits:
        """Computes the logits of a batch, of its halves if memory can't hold it."""
        try:
            return self._backend({name: [each[row] for row in rows] for name, each in encoded.inputs.items()})
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                length = len(encoded.inputs["input_ids"][rows[0]])
                raise InputError(f"not enough memory for one pair of {length} tokens; try --device cpu") from error
        halves = numpy.array_split(rows, 2)
        return numpy.concatenate([self._score(encoded, half) for half in halves])

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        """Threads that compute a batch each, with one thread of PyTorch's each if there are several."""
        workers, threads = self._backend.workers, torch.get_num_threads()
        pool = ThreadPoolExecutor(workers, "hf_nli", _keep_to, (max(1, threads // workers),))
        all_there = Barrier(workers)  # else one that is idle by then gets the next task, and the last one starts later
        list(pool.map(lambda _: all_there.wait(), range(workers)))
        torch.set_num_threads(threads)  # PyTorch takes what a thread sets for the default of threads to come, too
        return pool


def _keep_to(threads: int) -> None:
    """Sets the threads that PyTorch takes for the work of this one."""
    torch.set_num_threads(threads)
    torch.get_num_threads()  # a thread takes the default, as it is by then, when it is first looked at: it is this now


def _cancel(futures: Sequence[Future[Logits]]) -> None:
    for future in futures:
        future.cancel()
