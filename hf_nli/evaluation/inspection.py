"""What is in a data set: labels, lengths, unknown words, and what a model would not see of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy
from datasets import Dataset
from numpy.typing import NDArray
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from hf_nli.core.disk import check_output
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.report import Report
from hf_nli.data.load import NLIData, chunks
from hf_nli.data.splits import count_shared
from hf_nli.evaluation.figures import length_histogram
from hf_nli.model.load import load_tokenizer
from hf_nli.settings.options import DataOptions
from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, token_counts

RESULTS, HISTOGRAM = "inspect_results.json", "length_histogram.png"
PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True)
class SplitInspection:
    """What is in a split.

    Attributes:
        pairs: Pairs with a gold label.
        dropped: Rows without one.
        labels: Pairs of each label.
        empty: Empty premises and hypotheses.
        tokens: Percentiles of the lengths in tokens of premises, hypotheses, and pairs with their special tokens.
        unk_rate: The share of tokens that the model doesn't know; None where there is no model.
        truncated: Pairs that are longer than `max_seq_length`.
    """

    pairs: int
    dropped: int
    labels: dict[str, int]
    empty: dict[str, int]
    tokens: dict[str, dict[str, int]]
    unk_rate: float | None
    truncated: int


@dataclass(frozen=True)
class InspectionResults(Report):
    """What is in a data set, as written to inspect_results.json.

    Attributes:
        dataset: Where it is from.
        model: The model whose tokens are counted; None where words are.
        max_seq_length: What pairs are cut to.
        splits: What is in each split.
        shared: Training pairs that are validation pairs, too; None if it doesn't have both.
    """

    dataset: str
    model: str | None
    max_seq_length: int
    splits: dict[str, SplitInspection]
    shared: int | None = None

    def summary(self) -> str:
        """Lays the results out for people."""
        unit = "tokens" if self.model else "words"
        text = [self.dataset]
        for name, split in self.splits.items():
            labels = ", ".join(f"{count:,} {label}" for label, count in split.labels.items())
            text.append(f"{name}: {split.pairs:,} pairs ({labels}), {split.dropped:,} without a gold label dropped")
            if any(split.empty.values()):
                text.append("  empty: " + ", ".join(f"{count:,} {column}" for column, count in split.empty.items()))
            ranks = "".join(f"{f'{rank} %':>8}" for rank in PERCENTILES[:-1])
            text.append(f"  {unit + ':':<12}{ranks}  longest")
            for column, lengths in split.tokens.items():
                text.append(f"  {column:<12}" + "".join(f"{length:>8}" for length in lengths.values()))
            if split.unk_rate is not None:
                text.append(f"  unknown to the model: {split.unk_rate:.2%} of the {unit}")
            share = split.truncated / split.pairs
            text.append(f"  longer than {self.max_seq_length}: {split.truncated:,} pairs ({share:.2%})")
        if self.shared is not None:
            text.append(f"{self.shared:,} training pairs are validation pairs, too")
        return "\n".join(text)


def inspect_data(
    dataset: str,
    model_name_or_path: str | None = None,
    output_dir: str | Path | None = None,
    max_seq_length: int = 128,
    data_options: DataOptions | None = None,
) -> InspectionResults:
    """Counts what is in a data set.

    Args:
        dataset: What `data.load_nli` takes.
        model_name_or_path: The model whose tokenizer counts the tokens. Without one, a converted model's words are
            counted, and there is no rate of unknown ones.
        output_dir: The folder to write inspect_results.json and length_histogram.png to, if any.
        max_seq_length: Pairs with more tokens than this, special tokens included, count as truncated.
        data_options: How to read the data.

    Returns:
        The results, as written to inspect_results.json.

    Raises:
        InputError: If the data or the tokenizer can't be loaded.
    """
    if max_seq_length < 1:
        raise InputError(f"--max_seq_length is {max_seq_length}; it must be at least 1")
    if output_dir is not None:
        check_output(output_dir, files=(RESULTS, HISTOGRAM))
    data = NLIData(dataset, data_options)
    if model_name_or_path is not None:
        tokenizer = load_tokenizer(model_name_or_path)
    else:
        tokenizer = build_tokenizer(list(SPECIAL_TOKENS), max_length=max_seq_length)
    pairs = data.read_all()
    splits: dict[str, SplitInspection] = {}
    histograms: dict[str, NDArray[numpy.int64]] = {}
    for name, rows in pairs.items():
        lengths, unknown = _lengths(rows, tokenizer, name)
        histograms[name] = lengths["pair"]
        splits[name] = SplitInspection(
            pairs=len(rows),
            dropped=data.dropped[name],
            labels=_label_counts(rows),
            empty={column: int(lengths[column][0]) for column in ("premise", "hypothesis")},
            tokens={column: _percentiles(counts) for column, counts in lengths.items()},
            unk_rate=unknown if model_name_or_path else None,
            truncated=int(lengths["pair"][max_seq_length + 1 :].sum()),
        )
    validation = [name for name in data.find("validation") if name in pairs and name != "train"]
    both = "train" in pairs and validation
    shared = count_shared(pairs["train"], pairs[validation[0]]) if both else None
    results = InspectionResults(str(dataset), model_name_or_path, max_seq_length, splits, shared)
    if output_dir is not None:
        with staged(output_dir) as folder:
            results.write(folder / RESULTS)
            length_histogram(histograms, max_seq_length, folder / HISTOGRAM)
    return results


def _lengths(
    pairs: Dataset, tokenizer: PreTrainedTokenizerBase, split: str
) -> tuple[dict[str, NDArray[numpy.int64]], float]:
    """How many texts and pairs have 0, 1, … tokens, and the share of unknown tokens."""
    counts: dict[str, Counter[int]] = {"premise": Counter(), "hypothesis": Counter(), "pair": Counter()}
    special, unknown = tokenizer.num_special_tokens_to_add(pair=True), 0
    with tqdm(total=len(pairs), desc=f"Counting {split}", unit=" pairs", dynamic_ncols=True) as bar:
        for batch in pairs.iter(1000):
            texts = (token_counts(tokenizer, batch[column]) for column in ("premise", "hypothesis"))
            for (premise, lacking), (hypothesis, lacking_too) in zip(*texts, strict=True):
                for column, length in zip(counts, (premise, hypothesis, special + premise + hypothesis), strict=True):
                    counts[column][length] += 1
                unknown += lacking + lacking_too
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
    counts: Counter[int] = Counter()
    for labels in chunks(pairs, "label"):
        counts.update(labels.to_pylist())
    return {name: counts[index] for index, name in enumerate(pairs.features["label"].names)}
