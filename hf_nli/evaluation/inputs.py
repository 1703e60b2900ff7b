"""What is scored: a model and pairs, loaded, encoded and ready for batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.data.load import NLIData
from hf_nli.data.table import TokenTable
from hf_nli.engine.attach import fast_forward, flat_batches
from hf_nli.model.folder import local_folder, weights_sha256
from hf_nli.model.load import input_length, load_model
from hf_nli.model.precision import Precision
from hf_nli.model.score import predict_logits
from hf_nli.settings.options import DataOptions, Forward, Truncation
from hf_nli.settings.ranges import check_choice, check_number
from hf_nli.text.encoding import encode


@dataclass(frozen=True)
class Inputs:
    """What is scored.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        model_sha256: Which weights it has.
        pairs: The pairs with gold labels.
        split: The public name of their split, if it has one.
        dropped: How many more had no gold label.
        table: The pairs, encoded.
        max_length: The tokens that they were cut to.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    model_sha256: str | None
    pairs: Dataset
    split: str | None
    dropped: int
    table: TokenTable
    max_length: int

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the pairs, by their ids."""
        return tuple(self.pairs.features["label"].names)


def check_settings(
    per_device_eval_batch_size: int, max_seq_length: int | None, truncation: Truncation, forward: Forward
) -> None:
    """Refuses settings that can't be used.

    Args:
        per_device_eval_batch_size: Pairs a batch, on each process.
        max_seq_length: Tokens a pair.
        truncation: How longer pairs are cut.
        forward: What computes.

    Raises:
        InputError: If one of them is of another type or out of its range.
    """
    check_number("per_device_eval_batch_size", per_device_eval_batch_size)
    if max_seq_length is not None:
        check_number("max_seq_length", max_seq_length)
    check_choice("truncation", truncation, get_args(Truncation))
    check_choice("forward", forward, get_args(Forward))


def load_inputs(
    model_name_or_path: str,
    revision: str | None,
    dataset: str,
    options: DataOptions,
    split: str | None,
    default_splits: Sequence[str],
    max_seq_length: int | None,
    truncation: Truncation,
) -> Inputs:
    """Loads a model and pairs.

    Args:
        model_name_or_path: A model folder or Hub id.
        revision: The branch, tag or commit of a model on the Hub.
        dataset: Any source that `data.load_nli` takes.
        options: How to read it.
        split: The split that is asked for.
        default_splits: Those to take else, the one that is wanted most first; or the only one there is.
        max_seq_length: Tokens a pair; by default as many as the model takes.
        truncation: How longer pairs are cut.

    Raises:
        InputError: If the model or the data can't be loaded, or the split isn't there.
    """
    data = NLIData(dataset, options)
    wanted = list(default_splits) if split is None else data.find(split)
    if not wanted:
        raise InputError(f"{dataset}: no split {split!r}; it has {', '.join(data.names)}")
    data.candidates(*wanted)
    # In a folder, the weights are looked at before they are loaded: they may be replaced meanwhile.
    here = Path(model_name_or_path).is_dir()
    sha256 = weights_sha256(model_name_or_path) if here else None
    model, tokenizer = load_model(model_name_or_path, revision=revision)
    if not here and (cached := local_folder(model_name_or_path, revision)):
        sha256 = weights_sha256(cached)
    length = input_length(model.config, tokenizer, max_seq_length)
    name, pairs = data.read_first(*wanted)
    table = TokenTable.open(encode(pairs, tokenizer, length, truncation), tokenizer)
    return Inputs(model, tokenizer, sha256, pairs, data.public_split(name), data.dropped[name], table, length)


def compute_logits(
    accelerator: Accelerator,
    model: PreTrainedModel,
    table: TokenTable,
    batch_size: int,
    precision: Precision,
    forward: Forward,
    name: str,
) -> tuple[Tensor, Tensor]:
    """Runs a model over encoded pairs; see `score.predict_logits`.

    Args:
        accelerator: The processes and their device.
        model: The model, which is moved to the device.
        table: The pairs.
        batch_size: Pairs a batch, on each process.
        precision: The precision of matrix products.
        forward: What computes.
        name: What to call the pairs in errors.

    Returns:
        Float32 logits (examples, 3) in the order of `labels.LABELS`, and labels (examples,), on the CPU.
    """
    model = model.to(accelerator.device)
    with fast_forward(model, forward) as fast:
        table = table.to(accelerator.device, fast and flat_batches(accelerator))
        return predict_logits(accelerator, model, table, batch_size, precision, name)
