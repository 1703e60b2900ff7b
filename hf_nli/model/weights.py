"""The weights of a model: what their files hold, compared with what the configuration describes before it is built."""

from __future__ import annotations

import io
import math
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from hf_nli.core.errors import InputError
from hf_nli.core.files import DAMAGED_ZIP, is_zip
from hf_nli.model.folder import CONFIG, WEIGHTS
from hf_nli.model.source import ModelSource

PICKLE = "pytorch_model.bin"
# In the order in which Transformers looks for them.
_FILES = (WEIGHTS, f"{WEIGHTS}.index.json", PICKLE, f"{PICKLE}.index.json")
_FLOATS = {"F64", "F32", "F16", "BF16", "torch.float64", "torch.float32", "torch.float16", "torch.bfloat16"}
# What files of encoders hold beside what a classifier takes: harmless, and new poolers come with new heads.
_LEFT_OVER = {"pooler", "position_ids", "version", "inv_freq"}
# What `torch.load` raises for a damaged pickle, whose bytes are instructions and can call what PyTorch allows with
# anything. It is caught around that call alone, whose arguments are right: a mistake of ours isn't taken for damage.
_DAMAGED_PICKLE: tuple[type[Exception], ...] = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError, RuntimeError, AssertionError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError),
)
_SMALL = 10**7  # parameters that may be missing, whatever the file holds


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Attributes:
        file: The file's name.
        shape: Its shape.
        dtype: The type of its numbers, as the file's format calls it.
    """

    file: str
    shape: tuple[int, ...]
    dtype: str


def stored_tensors(source: ModelSource) -> dict[str, Stored]:
    """Reads which tensors a model's files of weights hold, without reading the tensors.

    Args:
        source: Where the model is.

    Raises:
        InputError: If there are none, one is missing, or one can't be read; pickled objects are never loaded.
    """
    tensors: dict[str, Stored] = {}
    for path in _weight_files(source):
        with source.told(f"{path.name} is damaged"):
            tensors |= _in_pickle(source, path) if path.suffix == ".bin" else dict(_in_safetensors(path))
    return tensors


def _weight_files(source: ModelSource) -> list[Path]:
    for name in _FILES:
        if name.endswith(".json"):
            index = source.read_object(name)
            if index is not None:
                return _shards(source, name, index)
        elif path := source.find(name):
            return [path]
    raise source.lacks(f"weights ({WEIGHTS})")


def _shards(source: ModelSource, name: str, index: Mapping[str, object]) -> list[Path]:
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(each, str) for each in places.values()):
        raise InputError(f"{source.name}: {name}: weight_map doesn't say which tensor is in which file")
    files = {each: source.find(each) for each in sorted(set(places.values()))}
    for each, path in files.items():
        if path is None:
            raise InputError(f"{source.name}: {name} names {each}, which isn't there")
    return [path for path in files.values() if path]


def _in_safetensors(path: Path) -> Iterator[tuple[str, Stored]]:
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (it is no mapping)
            tensor = file.get_slice(key)
            yield key, Stored(path.name, tuple(tensor.get_shape()), tensor.get_dtype())


def _in_pickle(source: ModelSource, path: Path) -> dict[str, Stored]:
    refusal = InputError(
        f"{source.name}: {path.name} is refused: it is damaged, or holds code or objects beside tensors, which are "
        f"never loaded; save the weights alone, as {WEIGHTS}"
    )
    members: list[zipfile.ZipInfo] = []
    try:
        if zipped := is_zip(path):
            with zipfile.ZipFile(path) as file:
                members = file.infolist()
    except DAMAGED_ZIP as error:
        raise refusal from error
    if any(each.compress_type != zipfile.ZIP_STORED for each in members):
        raise InputError(f"{source.name}: {path.name} is compressed, which PyTorch's own files never are")
    try:
        content = unpickled(path, "meta", zipped)
    except pickle.UnpicklingError as error:
        raise refusal from error
    if not isinstance(content, dict) or not all(map(_is_plain, content.values())):
        raise refusal
    return {str(key): Stored(path.name, tuple(each.shape), str(each.dtype)) for key, each in content.items()}


def unpickled(content: Path | io.BytesIO, device: str, mapped: bool) -> object:
    """Loads what `torch.save` wrote, without running any code that it holds.

    Args:
        content: The file.
        device: Where to load it.
        mapped: Whether to map the file, not to read it; PyTorch does so with a zip alone.

    Raises:
        pickle.UnpicklingError: If it is damaged, or holds code or objects of other types, as PyTorch words it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come before refusals, and for files that are read well
            return torch.load(content, map_location=device, weights_only=True, mmap=mapped or None)
    except _DAMAGED_PICKLE as error:
        raise pickle.UnpicklingError(str(error)) from error


def _is_plain(value: object) -> bool:
    """Whether it is a tensor that has all of its numbers."""
    return isinstance(value, Tensor) and value.layout == torch.strided


def check_described(
    source: ModelSource, config: PretrainedConfig, stored: Mapping[str, Stored], any_head: bool
) -> None:
    """Compares what a configuration describes with what the files hold; takes no memory for weights.

    Args:
        source: Where the model is.
        config: Its configuration.
        stored: As from `stored_tensors`.
        any_head: Whether the head may be another one, or missing.

    Raises:
        InputError: If no classifier can be built, a tensor has another shape, or the files hold far fewer numbers.
    """
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise InputError(f"{source.name}: {CONFIG}: Transformers has no classifier of model_type {config.model_type}")
    with source.told(f"{CONFIG} describes no classifier that can be built"), torch.device("meta"):
        described = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    expected, prefix = described.state_dict(), f"{described.base_model_prefix}."
    for key, tensor in stored.items():
        name = key if key in expected else prefix + key
        if name not in expected:
            continue
        if tensor.dtype not in _FLOATS and expected[name].is_floating_point():
            raise InputError(f"{source.name}: {tensor.file}: {key} holds numbers of type {tensor.dtype}, not floats")
        shape = tuple(expected[name].shape)
        if tensor.shape != shape and not (any_head and not name.startswith(prefix)):
            raise InputError(
                f"{source.name}: {tensor.file}: {key} has the shape {tensor.shape}, {CONFIG} describes {shape}"
            )
    wanted = sum(parameter.numel() for parameter in described.parameters())
    there = sum(math.prod(tensor.shape) for tensor in stored.values())
    if wanted > 4 * there + _SMALL:
        raise InputError(f"{source.name}: {CONFIG} describes {wanted} weights, its files hold {there}")


def left_out(model: PreTrainedModel, unexpected: set[str]) -> list[str]:
    """Finds which tensors of an encoder a model has no use for: its configuration isn't that of the weights.

    Args:
        model: The loaded model.
        unexpected: The names of what its files hold beside it.
    """
    parts = {model.base_model_prefix} | {name for name, _ in model.base_model.named_children()}
    inside = {name for name in unexpected if name.split(".")[0] in parts}
    return sorted(name for name in inside if not _LEFT_OVER & set(name.split(".")))


def broken_weight(model: nn.Module) -> str | None:
    """Finds a parameter that is NaN or infinite somewhere; None if there is none.

    Args:
        model: Any model.
    """
    return next((name for name, each in model.named_parameters() if not each.detach().isfinite().all()), None)
