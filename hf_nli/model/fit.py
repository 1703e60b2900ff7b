"""Whether a tokenizer is there, and fits its model."""

from __future__ import annotations

from typing import cast

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.model.folder import CONFIG
from hf_nli.model.source import ModelSource
from hf_nli.settings.ranges import SHORTEST_PAIR

LONGEST = 100_000  # tokens of a pair, where neither model nor tokenizer has a limit: attention over more is hopeless

# One of them has the vocabulary.
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
# Kinds of models that count positions from the padding token's id on, which takes that many of them.
_AFTER_PADDING = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "data2vec-text"}
_AFTER_PADDING |= {"ibert", "longformer", "xmod", "mpnet"}


def has_tokenizer(source: ModelSource) -> bool:
    """Says whether a model has a tokenizer's files; without any, Transformers makes up an empty tokenizer.

    Args:
        source: Where the model is.
    """
    return any(source.find(name) for name in _VOCABULARIES)


def check_tokenizer(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses a tokenizer that can't encode pairs for any model.

    Args:
        source: Where its model is.
        tokenizer: The tokenizer.

    Raises:
        InputError: If it isn't a fast one, has no words, no padding token, or no place for a pair.
    """
    if not tokenizer.is_fast:
        raise InputError(f"{source.name}: its tokenizer is not a fast one, which is needed here")
    if set(tokenizer.get_vocab().values()) <= set(tokenizer.all_special_ids):
        raise InputError(f"{source.name}: its tokenizer has no words; all would be unknown")
    if tokenizer.pad_token_id is None:
        raise InputError(f"{source.name}: tokenizer_config.json names no pad_token, which batches need")
    length = tokenizer.model_max_length
    whole = isinstance(length, int | float) and not isinstance(length, bool) and not length % 1
    if not whole or length < SHORTEST_PAIR:
        raise InputError(
            f"{source.name}: tokenizer_config.json: model_max_length is {length!r}; it must be a whole number, at "
            f"least {SHORTEST_PAIR}"
        )


def check_fit(source: ModelSource, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses a tokenizer whose output its model can't take.

    Args:
        source: Where they are.
        model: The model.
        tokenizer: A tokenizer that `check_tokenizer` passes.

    Raises:
        InputError: If it has ids of tokens or types that the model has no embeddings of, or the model has no positions
            for a pair.
    """
    config = model.config
    entries = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
    token, largest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if largest >= entries:
        raise InputError(
            f"{source.name}: the tokenizer's id of {token!r} is {largest}, but the model's vocabulary ({CONFIG}'s "
            f"vocab_size) has {entries} entries; its files are another model's, or incomplete"
        )
    with source.told("its tokenizer can't encode a pair"):
        types = tokenizer("a", "b").get("token_type_ids") or [0]
    if 0 < getattr(config, "type_vocab_size", 0) <= max(types):
        raise InputError(
            f"{source.name}: {CONFIG}: type_vocab_size is {config.type_vocab_size}, but the tokenizer gives a pair's "
            f"two texts the types 0 to {max(types)}"
        )
    if longest_input(config, tokenizer) < SHORTEST_PAIR:
        raise InputError(
            f"{source.name}: {CONFIG}: max_position_embeddings is {config.max_position_embeddings}, which is too few "
            f"for a pair: at least {SHORTEST_PAIR} are needed"
        )


def longest_input(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Finds how many tokens a pair may have, as far as model and tokenizer allow.

    Args:
        config: The model's configuration.
        tokenizer: Its tokenizer.
    """
    positions = getattr(config, "max_position_embeddings", None) or LONGEST
    if config.model_type in _AFTER_PADDING:
        positions -= (config.pad_token_id or 0) + 1
    return int(min(tokenizer.model_max_length, positions, LONGEST))
