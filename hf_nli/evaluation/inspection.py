"""What is in a data set: labels, lengths, unknown words, and what a model would not see of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy
from datasets import Dataset
from numpy.typing import NDArray
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.core.files import staged, write_json
from hf_nli.data.load import NLIData, chunks
from hf_nli.data.splits import count_shared
from hf_nli.evaluation.figures import length_histogram
from hf_nli.model.load import load_tokenizer
from hf_nli.settings.options import DataOptions
from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

PERCENTILES = (50, 90, 99, 100)


def inspect_data(
    dataset: str,
    model_name_or_path: str | None = None,
    output_dir: str | Path | None = None,
    max_seq_length: int = 128,
    data_options: DataOptions | None = None,
) -> dict[str, Any]:
    """Counts what is in a data set.

    Args:
        dataset: What `data.load_nli` takes.
        model_name_or_path: The model whose tokenizer counts the tokens. Without one, a converted model's words are
            counted, and there is no rate of unknown ones.
        output_dir: The folder to write inspect_results.json and length_histogram.png to, if any.
        max_seq_length: Pairs with more tokens than this, special tokens included, count as truncated.
        data_options: How to read the data.

    Returns:
        The results, as written to inspect_results.json: for each split the pairs, rows dropped, labels, empty texts,
        percentiles of the lengths in tokens (of a pair with its special tokens), the share of unknown tokens, and how
        many pairs are truncated; `shared` counts training pairs that are validation pairs, too.

    Raises:
        InputError: If the data or the tokenizer can't be loaded.
    """
    if max_seq_length < 1:
        raise InputError(f"--max_seq_length is {max_seq_length}; it must be at least 1")
    if model_name_or_path:
        tokenizer = load_tokenizer(model_name_or_path)
    else:
        tokenizer = build_tokenizer(list(SPECIAL_TOKENS), max_length=max_seq_length)
    data = NLIData(dataset, data_options)
    splits, histograms = data.read_all(), {}
    results: dict[str, Any] = {
        "dataset": dataset,
        "model": model_name_or_path,
        "max_seq_length": max_seq_length,
        "splits": {},
    }
    for name, pairs in splits.items():
        lengths, unknown = _lengths(pairs, tokenizer, name)
        histograms[name] = lengths["pair"]
        results["splits"][name] = {
            "pairs": len(pairs),
            "dropped": data.dropped[name],
            "labels": _label_counts(pairs),
            "empty": {column: int(lengths[column][0]) for column in ("premise", "hypothesis")},
            "tokens": {column: _percentiles(counts) for column, counts in lengths.items()},
            "unk_rate": unknown if model_name_or_path else None,
            "truncated": int(lengths["pair"][max_seq_length + 1 :].sum()),
        }
    if "train" in splits and "validation" in splits:
        results["shared"] = count_shared(splits["train"], splits["validation"])
    if output_dir:
        with staged(output_dir) as folder:
            write_json(folder / "inspect_results.json", results)
            length_histogram(histograms, max_seq_length, folder / "length_histogram.png")
    return results


def summary(results: dict[str, Any]) -> str:
    """Lays the results of `inspect_data` out for people.

    Args:
        results: What it returned.
    """
    limit = results["max_seq_length"]
    unit = "tokens" if results["model"] else "words"
    text = [str(results["dataset"])]
    for name, split in results["splits"].items():
        labels = ", ".join(f"{count:,} {label}" for label, count in split["labels"].items())
        text.append(f"{name}: {split['pairs']:,} pairs ({labels}), {split['dropped']:,} without a gold label dropped")
        if any(split["empty"].values()):
            text.append("  empty: " + ", ".join(f"{count:,} {column}" for column, count in split["empty"].items()))
        text.append(f"  {unit + ':':<12}" + "".join(f"{f'{rank} %':>8}" for rank in PERCENTILES[:-1]) + "  longest")
        for column, ranks in split["tokens"].items():
            text.append(f"  {column:<12}" + "".join(f"{length:>8}" for length in ranks.values()))
        if split["unk_rate"] is not None:
            text.append(f"  unknown to the model: {split['unk_rate']:.2%} of the {unit}")
        text.append(f"  longer than {limit}: {split['truncated']:,} pairs ({split['truncated'] / split['pairs']:.2%})")
    if "shared" in results:
        text.append(f"{results['shared']:,} training pairs are validation pairs, too")
    return "\n".join(text)


def _lengths(
    pairs: Dataset, tokenizer: PreTrainedTokenizerBase, split: str
) -> tuple[dict[str, NDArray[numpy.int64]], float]:
    """How many texts and pairs have 0, 1, … tokens, and the share of unknown tokens."""
    counts = {"premise": Counter(), "hypothesis": Counter(), "pair": Counter()}
    special, unknown = tokenizer.num_special_tokens_to_add(pair=True), 0
    with tqdm(total=len(pairs), desc=f"Counting {split}", unit=" pairs", dynamic_ncols=True) as bar:
        for batch in pairs.iter(1000):
            lengths = {}
            for column in ("premise", "hypothesis"):
                ids = tokenizer(batch[column], add_special_tokens=False, verbose=False).input_ids
                unknown += sum(row.count(tokenizer.unk_token_id) for row in ids)
                lengths[column] = list(map(len, ids))
            lengths["pair"] = [special + p + h for p, h in zip(*lengths.values(), strict=True)]
            for column, values in lengths.items():
                counts[column].update(values)
            bar.update(len(batch["label"]))
    arrays = {column: numpy.zeros(max(lengths) + 1, numpy.int64) for column, lengths in counts.items()}
    for column, lengths in counts.items():
        arrays[column][list(lengths)] = list(lengths.values())
    total = sum((arrays[column] * numpy.arange(len(arrays[column]))).sum() for column in ("premise", "hypothesis"))
    return arrays, float(unknown / max(total, 1))


def _percentiles(counts: NDArray[numpy.int64]) -> dict[str, int]:
    """The shortest length that so many percent of the texts don't exceed."""
    cumulated = counts.cumsum()
    return {f"p{rank}": int(numpy.searchsorted(cumulated, rank / 100 * cumulated[-1])) for rank in PERCENTILES}


def _label_counts(pairs: Dataset) -> dict[str, int]:
    names, counts = pairs.features["label"].names, Counter()
    for labels in chunks(pairs, "label"):
        counts.update(labels.to_pylist())
    return {name: counts[index] for index, name in enumerate(names)}
