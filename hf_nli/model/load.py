"""A model folder, loaded whole or not at all: stock model, tokenizer, and which of its outputs is which label."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_nli.core.errors import InputError, listed
from hf_nli.core.labels import LABELS, model_labels, nli_labels
from hf_nli.model.config import check_config, read_config
from hf_nli.model.fit import check_fit, check_tokenizer, has_tokenizer, longest_input
from hf_nli.model.folder import CONFIG
from hf_nli.model.source import ModelSource
from hf_nli.model.weights import broken_weight, check_described, left_out, stored_tensors
from hf_nli.settings.ranges import check_number
from hf_nli.settings.recipe import Recipe

logger = logging.getLogger(__name__)


def load_model(
    model_name_or_path: str,
    new_head: bool = False,
    dropout: float | None = None,
    seed: int = Recipe.seed,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    labels: tuple[str, ...] = LABELS,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a sequence classifier and its tokenizer with the stock Auto classes.

    Args:
        model_name_or_path: A model folder or Hub id.
        new_head: Whether a model with other labels than `labels`, or without a head, may be loaded: it gets a freshly
            initialised head with them, to be fine-tuned. A model that has them, in any spelling and order, keeps its
            own.
        dropout: Dropout of hidden states and attention, instead of what the model's configuration says.
        seed: Seed of a new head; PyTorch's own generator isn't touched.
        revision: The branch, tag or commit of a model on the Hub.
        cache_dir: Where to keep what is downloaded, if not in Hugging Face's cache.
        labels: `labels.LABELS` or `labels.TWO_WAY_LABELS`: what a new head is to tell apart.

    Returns:
        The model in evaluation mode, float32, and its tokenizer.

    Raises:
        InputError: If there is no such model, if its labels are neither entailment, neutral and contradiction nor
            entailment and not_entailment, if its weights aren't what its configuration describes, each with its shape
            and finite, or if its tokenizer doesn't fit. Code of a model folder is never run.
    """
    source = ModelSource(str(model_name_or_path), revision, cache_dir)
    stored = stored_tensors(source) if source.find(CONFIG) else {}
    config = read_config(source, len(stored))
    names = ", ".join(map(str, (config.id2label or {}).values()))
    if not new_head:
        labels = model_labels(config, source.name)  # which refuses other labels
    foreign = nli_labels(config) != labels
    if foreign:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
        config.problem_type = "single_label_classification"
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    check_described(source, config, stored, any_head=foreign)
    model, absent = _load_weights(source, config)
    head = {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}
    renewed = new_head and (foreign or head <= absent)
    if renewed:
        # Some models have a pooler only if they were trained with one; it is as new as the head, then.
        head |= {name for name in absent if ".pooler." in name}
        _initialise(model, head, seed)
        absent -= head
    _refuse_incomplete(source, model, absent)
    tokenizer = load_tokenizer(source.name, revision=revision, cache_dir=cache_dir)
    check_fit(source, model, tokenizer)
    if renewed:
        why = f"its labels are {names}" if foreign else "it has none"
        logger.warning("%s gets a new head for %s (seed %d): %s", source.name, ", ".join(labels), seed, why)
    return model.eval(), tokenizer


def _load_weights(source: ModelSource, config: PretrainedConfig) -> tuple[PreTrainedModel, set[str]]:
    """Loads what there is, and gives the names of the weights that are missing or don't fit."""
    loading: dict[str, Any]
    with source.told(), torch.random.fork_rng(devices=[]):  # those weights are random numbers
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            source.name,
            config=config,
            dtype="float32",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **source.options,
        )
    if messages := loading["error_msgs"]:
        raise InputError(f"{source.name}: its weights can't be loaded ({' '.join(str(messages[0]).split())})")
    if others := left_out(model, set(loading["unexpected_keys"])):
        raise InputError(
            f"{source.name}: its weights have {listed(others, 1)}, for which there is no place in the "
            f"{config.model_type} that {CONFIG} describes"
        )
    return model, set(loading["missing_keys"]) | {name for name, *_ in loading["mismatched_keys"]}


def _refuse_incomplete(source: ModelSource, model: PreTrainedModel, absent: set[str]) -> None:
    """Raises `InputError` if a weight isn't from the files, or isn't finite."""
    if absent:
        raise InputError(
            f"{source.name}: its file of weights lacks {listed(sorted(absent), 1)}, or has another shape of it, than "
            f"{CONFIG} (model_type {model.config.model_type}) describes"
        )
    if name := broken_weight(model):
        raise InputError(f"{source.name}: the weights are NaN or infinite ({name}); the model is of no use")


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
        InputError: If there is none, none that is fast, or one that takes too short pairs.
    """
    source = ModelSource(str(model_name_or_path), revision, cache_dir)
    if config := source.read_object(CONFIG):  # at which Transformers looks, too
        check_config(source, config)
    if not has_tokenizer(source):
        raise source.lacks("tokenizer (tokenizer.json, or a vocabulary such as vocab.txt)")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        source.read_object(name)  # which refuses a damaged one
    with source.told("its tokenizer (tokenizer.json, tokenizer_config.json) can't be loaded"):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source.name, **source.options)
    check_tokenizer(source, tokenizer)
    return tokenizer


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
    limit = longest_input(config, tokenizer)
    if max_seq_length is None:
        return limit
    check_number("max_seq_length", max_seq_length)
    if max_seq_length > limit:
        logger.warning("max_seq_length %d is more than the model's positions: using %d", max_seq_length, limit)
    return min(max_seq_length, limit)
