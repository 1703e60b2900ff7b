"""A model folder, loaded: stock model, tokenizer, and which of its outputs is which label."""

from __future__ import annotations

import logging
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_nli.core.errors import InputError, reason
from hf_nli.core.labels import ID2LABEL, LABEL2ID, label_order

logger = logging.getLogger(__name__)


def load_model(
    model_name_or_path: str, new_head: bool = False, dropout: float | None = None, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a sequence classifier and its tokenizer with the stock Auto classes.

    Args:
        model_name_or_path: A model folder or Hub id.
        new_head: Whether a model without NLI labels may be loaded: it gets a new head with ours, to be fine-tuned.
        dropout: Dropout of hidden states and attention, instead of what the model's configuration says.
        options: For a model on the Hub, what `from_pretrained` takes (`revision`, `cache_dir`).

    Returns:
        The model in evaluation mode, float32, and its tokenizer.

    Raises:
        InputError: If there is no such model, or if its labels are not entailment, neutral and contradiction.
    """
    try:
        config = AutoConfig.from_pretrained(model_name_or_path, **options)
        if dropout is not None:
            config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
        if label_order(config) is None and new_head:
            config.id2label, config.label2id = ID2LABEL, LABEL2ID
        if label_order(config) is None:
            raise InputError(
                f"{model_name_or_path}: its labels are {', '.join(config.id2label.values())}, not "
                f"{', '.join(LABEL2ID)}; fine-tune it first, or set id2label in its config.json"
            )
        settings = {"config": config, "dtype": "float32", **options}
        model = AutoModelForSequenceClassification.from_pretrained(model_name_or_path, **settings)
        return model.eval(), load_tokenizer(model_name_or_path, **options)
    except InputError:
        raise
    except Exception as error:  # a damaged folder and an unreachable Hub show in many ways
        raise _unloadable(model_name_or_path, error) from error


def load_tokenizer(model_name_or_path: str, **options: Any) -> PreTrainedTokenizerBase:
    """Loads a model's tokenizer.

    Args:
        model_name_or_path: A model folder or Hub id.
        options: As for `load_model`.

    Raises:
        InputError: If there is none, or none that is fast.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, **options)
    except Exception as error:  # as in load_model
        raise _unloadable(model_name_or_path, error) from error
    if not tokenizer.is_fast:
        raise InputError(f"{model_name_or_path}: its tokenizer is not a fast one, which is needed here")
    return tokenizer


def _unloadable(model_name_or_path: str, error: Exception) -> InputError:
    return InputError(f"{model_name_or_path}: not a model folder or Hub id that can be loaded ({reason(error)})")


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
