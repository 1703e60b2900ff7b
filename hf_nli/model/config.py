"""What a model's config.json must say before anything is built of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

from hf_nli.core.errors import InputError
from hf_nli.model.folder import CONFIG
from hf_nli.model.source import ModelSource

_SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")  # as all kinds of models call them
_MANY = 100  # of layers, which are built quickly, and of labels


def read_config(source: ModelSource, tensors: int) -> PretrainedConfig:
    """Reads a model's configuration.

    Args:
        source: Where the model is.
        tensors: How many tensors its weights have: of more layers than that it can't be made.

    Raises:
        InputError: If there is none, or it can't be right.
    """
    content = source.read_config()
    kind = check_config(source, content)
    limit = max(_MANY, tensors)
    for key, value in _numbers(content):
        if re.search("layers?($|_)|_groups?($|_)", key) and value > limit:
            raise InputError(f"{source.name}: {CONFIG}: {key} is {value}; its weights have {tensors} tensors")
    with source.told(f"{CONFIG} describes no {kind} model"):
        config: PretrainedConfig = AutoConfig.from_pretrained(source.name, **source.options)
    for key in _SIZES:
        if (value := getattr(config, key, 1)) == 0:
            raise InputError(f"{source.name}: {CONFIG}: {key} is {value}; it must be at least 1")
    vars(config).pop("auto_map", None)  # code, which is never run, and isn't handed on
    return config


def check_config(source: ModelSource, content: dict[str, Any]) -> str:
    """Refuses a configuration that Transformers must not be given.

    Args:
        source: Where the model is.
        content: Its config.json.

    Returns:
        The kind of model.

    Raises:
        InputError: If it names no known kind of model, or code, or its labels aren't numbered as its outputs are.
    """
    kind = content.get("model_type")
    if kind is None:
        raise InputError(f"{source.name}: {CONFIG} has no model_type; it isn't a Transformers model's")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        code = "; code of its own (auto_map) is never run" if "auto_map" in content else ""
        raise InputError(f"{source.name}: {CONFIG}: model_type is {kind!r}, which Transformers doesn't know{code}")
    for key in ("attn_implementation", "_attn_implementation"):
        if "/" in str(content.get(key)):
            raise InputError(
                f"{source.name}: {CONFIG}: {key} names code on the Hub ({content[key]}), which is never run"
            )
    _check_labels(source, content)
    return kind


def _check_labels(source: ModelSource, content: dict[str, Any]) -> None:
    """Raises `InputError` if the outputs' names aren't numbered as the outputs are."""
    labels, count = content.get("id2label"), content.get("num_labels")
    if isinstance(count, int) and count > 100 * _MANY:
        raise InputError(f"{source.name}: {CONFIG}: num_labels is {count}; NLI has 3")
    if labels is None:
        return
    if not isinstance(labels, dict):
        raise InputError(f"{source.name}: {CONFIG}: id2label is a {type(labels).__name__}, not an object")
    wanted = [str(index) for index in range(len(labels))]
    if set(labels) != set(wanted):
        raise InputError(
            f"{source.name}: {CONFIG}: the keys of id2label are {', '.join(labels)}; they must be {', '.join(wanted)}"
        )


def _numbers(content: object) -> Iterator[tuple[str, int]]:
    """All whole numbers of a JSON object with their keys, those of objects in it included."""
    if isinstance(content, list):
        for each in content:
            yield from _numbers(each)
    elif isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, int):
                yield key, value
            yield from _numbers(value)
