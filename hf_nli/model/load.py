"""A model folder, loaded: stock model, tokenizer, and which of its outputs is which label."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_nli.core.errors import InputError, reason
from hf_nli.core.labels import ID2LABEL, LABEL2ID, LABELS, has_nli_labels, label_order
from hf_nli.settings.recipe import Recipe

logger = logging.getLogger(__name__)

# How a damaged folder, a missing package and an unreachable Hub show in Transformers.
UNLOADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RuntimeError,
    ImportError,
    SafetensorError,
    StrictDataclassError,
    pickle.UnpicklingError,
)


def load_model(
    model_name_or_path: str,
    new_head: bool = False,
    dropout: float | None = None,
    seed: int = Recipe.seed,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a sequence classifier and its tokenizer with the stock Auto classes.

    Args:
        model_name_or_path: A model folder or Hub id.
        new_head: Whether a model without NLI labels, or without a head, may be loaded: it gets a freshly initialised
            head with our labels, to be fine-tuned. A model with NLI labels, in any spelling and order, keeps its own.
        dropout: Dropout of hidden states and attention, instead of what the model's configuration says.
        seed: Seed of a new head; PyTorch's own generator isn't touched.
        revision: The branch, tag or commit of a model on the Hub.
        cache_dir: Where to keep what is downloaded, if not in Hugging Face's cache.

    Returns:
        The model in evaluation mode, float32, and its tokenizer.

    Raises:
        InputError: If there is no such model, if its labels are not entailment, neutral and contradiction, or if its
            file of weights isn't what its configuration describes.
    """
    with _told(model_name_or_path):
        config = AutoConfig.from_pretrained(
            model_name_or_path, revision=revision, cache_dir=cache_dir, trust_remote_code=False
        )
    foreign = not has_nli_labels(config)
    names = ", ".join(map(str, config.id2label.values()))
    if not new_head:
        label_order(config, model_name_or_path)  # which refuses other labels
    if foreign:
        config.id2label, config.label2id = dict(ID2LABEL), dict(LABEL2ID)
        config.problem_type = "single_label_classification"
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    model, absent = _load_weights(model_name_or_path, config, revision, cache_dir)
    head = {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}
    if new_head and (foreign or absent & head):
        why = f"its labels are {names}" if foreign else "it has none"
        logger.warning("%s gets a new head for %s (seed %d): %s", model_name_or_path, ", ".join(LABELS), seed, why)
        # Some models have a pooler only if they were trained with one; it is as new as the head, then.
        head |= {name for name in absent if ".pooler." in name}
        _initialise(model, head, seed)
        absent -= head
    if absent:
        raise InputError(
            f"{model_name_or_path}: its file of weights lacks {min(absent)}"
            + (f" and {len(absent) - 1} others" if len(absent) > 1 else "")
            + ", or has another shape of it, than config.json describes"
        )
    return model.eval(), load_tokenizer(model_name_or_path, revision=revision, cache_dir=cache_dir)


def _load_weights(
    model_name_or_path: str, config: PretrainedConfig, revision: str | None, cache_dir: str | Path | None
) -> tuple[PreTrainedModel, set[str]]:
    """Loads what there is, and gives the names of the weights that are missing or don't fit."""
    with _told(model_name_or_path), torch.random.fork_rng(devices=[]):  # those weights are random numbers
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            model_name_or_path,
            config=config,
            dtype="float32",
            revision=revision,
            cache_dir=cache_dir,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return model, loading["missing_keys"] | {name for name, *_ in loading["mismatched_keys"]}


def _initialise(model: PreTrainedModel, names: set[str], seed: int) -> None:
    """Gives these weights the values that they have in a model that Transformers makes anew."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        fresh = AutoModelForSequenceClassification.from_config(model.config, dtype="float32", trust_remote_code=False)
    weights = fresh.state_dict()
    model.load_state_dict({name: weights[name] for name in names}, strict=False)


def load_tokenizer(
    model_name_or_path: str, revision: str | None = None, cache_dir: str | Path | None = None
) -> PreTrainedTokenizerBase:
    """Loads a model's tokenizer.

    Args:
        model_name_or_path: A model folder or Hub id.
        revision: The branch, tag or commit of a model on the Hub.
        cache_dir: Where to keep what is downloaded, if not in Hugging Face's cache.

    Raises:
        InputError: If there is none, or none that is fast.
    """
    with _told(model_name_or_path):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            model_name_or_path, revision=revision, cache_dir=cache_dir, trust_remote_code=False
        )
    if not tokenizer.is_fast:
        raise InputError(f"{model_name_or_path}: its tokenizer is not a fast one, which is needed here")
    return tokenizer


@contextmanager
def _told(model_name_or_path: str) -> Iterator[None]:
    """Tells in one line what Transformers says of a model that it can't load; nothing of ours belongs inside."""
    try:
        yield
    except Exception as error:
        # The tokenizers library raises the bare `Exception`.
        if type(error) is not Exception and not isinstance(error, UNLOADABLE):
            raise
        raise InputError(
            f"{model_name_or_path}: not a model folder or Hub id that can be loaded ({reason(error)})"
        ) from error


def input_length(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, max_seq_length: int | None = None
) -> int:
    """Finds the length, in tokens, to cut pairs to: what is asked for, as far as model and tokenizer allow.

    Args:
        config: The model's configuration.
        tokenizer: Its tokenizer.
        max_seq_length: What is asked for; None for the longest that they allow.

    Raises:
        InputError: If it is less than 5, which leaves no place for a token of each text.
    """
    limit = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", tokenizer.model_max_length))
    if max_seq_length is None:
        return limit
    if max_seq_length < 5:  # <cls>, two <sep>, and a token of each text
        raise InputError(f"--max_seq_length is {max_seq_length}; it must be at least 5")
    if max_seq_length > limit:
        logger.warning("max_seq_length %d is more than the model's positions: using %d", max_seq_length, limit)
    return min(max_seq_length, limit)
