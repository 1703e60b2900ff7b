"""Measures encoding: ours from raw sentences against d2l's from words that are apart already, on the same pairs.

    python scripts/benchmarks/encoding.py --dataset DATA [--vocab vocab.json] [--rounds 5]

Ours goes through `datasets` into a file, as training does it; d2l's is the chapter's `SNLIBERTDataset`, four processes
on however many cores there are. Rounds alternate; medians count. Then ours is asked for again, from the cache.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
import unittest.mock
from collections.abc import Callable
from pathlib import Path

from d2l_chapter import SNLIBERTDataset, vocabulary
from datasets import Dataset, DatasetDict, disable_progress_bars
from transformers import PreTrainedTokenizerFast

from hf_nli.data.load import load_nli
from hf_nli.text.encoding import encode
from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

MAX_LENGTH = 128


def words(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[str]:
    """Sets the words of texts apart by spaces, as the parses that d2l reads have them."""
    backend = tokenizer.backend_tokenizer
    normalized = map(backend.normalizer.normalize_str, texts)
    return [" ".join(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)) for text in normalized]


def seconds(run: Callable[[], object]) -> float:
    """Times a call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--vocab", type=Path, help="a d2l vocabulary; by default the words of the data")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    disable_progress_bars()

    splits: DatasetDict = load_nli(arguments.dataset)
    pairs: Dataset = next(iter(splits.values()))
    tokenizer = build_tokenizer(list(SPECIAL_TOKENS), MAX_LENGTH)
    tokenized = [words(tokenizer, pairs[column][:]) for column in ("premise", "hypothesis")]
    if arguments.vocab:
        tokens = json.loads(arguments.vocab.read_text(encoding="utf-8"))
    else:
        tokens = [*SPECIAL_TOKENS, *sorted({word for side in tokenized for text in side for word in text.split()})]
    tokenizer, vocab = build_tokenizer(tokens, MAX_LENGTH), vocabulary(tokens)

    times: dict[str, list[float]] = {"d2l": [], "ours": []}
    for _ in range(arguments.rounds):
        times["d2l"].append(seconds(lambda: SNLIBERTDataset([*tokenized, pairs["label"][:]], MAX_LENGTH, vocab)))
        with tempfile.TemporaryDirectory() as nothing_kept, unittest.mock.patch.dict(os.environ):
            os.environ["HF_DATASETS_CACHE"] = nothing_kept
            times["ours"].append(seconds(lambda: encode(pairs, tokenizer, MAX_LENGTH)))
            cached = seconds(lambda: encode(pairs, tokenizer, MAX_LENGTH))

    print(f"{len(pairs)} pairs, {os.cpu_count()} cores, medians of {arguments.rounds} rounds:")
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"  d2l's SNLIBERTDataset, from words: {len(pairs) / median['d2l']:,.0f} pairs/s")
    print(f"  ours, from raw sentences:          {len(pairs) / median['ours']:,.0f} pairs/s")
    ratios = sorted(theirs / ours for theirs, ours in zip(times["d2l"], times["ours"], strict=True))
    print(f"  ratio {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")
    print(f"  ours again, from the cache:        {cached:.3f} s")


if __name__ == "__main__":
    main()
