"""A file of a net's parameters, as PyTorch or MXNet writes it: named float32 tensors."""

from __future__ import annotations

import io
import mmap
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import DAMAGED_ZIP, is_zip
from hf_nli.d2l.download import Framework
from hf_nli.d2l.mxnet import LIST_MAGIC, DamagedFile, read_arrays

# What `torch.load` raises for a damaged pickle, whose bytes are instructions and can call what PyTorch allows with
# anything. It is caught around that call alone, whose arguments are right: a mistake of ours isn't taken for damage.
_DAMAGED_PICKLE: tuple[type[Exception], ...] = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError, RuntimeError, AssertionError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
)


def load_tensors(parameters: Path | zipfile.Path, source: str) -> tuple[dict[str, Tensor], Framework]:
    """Reads a file of parameters, whichever framework wrote it.

    Args:
        parameters: The file, maybe inside a zip.
        source: What to call it in errors.

    Returns:
        Float32 tensors by the names of d2l's PyTorch nets, and the framework that wrote them.

    Raises:
        InputError: If the file is damaged, or holds anything but named floating point tensors.
    """
    content = parameters if isinstance(parameters, Path) else _unpacked(parameters, source)
    if isinstance(content, Path):
        with content.open("rb") as file:
            start = file.read(len(LIST_MAGIC))
    else:
        start = content[: len(LIST_MAGIC)]
    framework: Framework = "mxnet" if start == LIST_MAGIC else "pytorch"
    state = (_read_mxnet if framework == "mxnet" else _read_pytorch)(content, f"{source}: {parameters.name}")
    tensors = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    if len(tensors) != len(state):
        raise InputError(f"{source}: {parameters.name} holds names both with and without the prefix 'module.'")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(f"{source}: {name} is of type {tensor.dtype}, not floating point")
    return {name: tensor.to(torch.float32) for name, tensor in tensors.items()}, framework


def _unpacked(member: zipfile.Path, source: str) -> bytes:
    try:
        return member.read_bytes()
    except (OSError, *DAMAGED_ZIP) as error:
        raise InputError(f"{source}: {member.name} is in a damaged or encrypted zip ({reason(error)})") from error


def _read_pytorch(content: Path | bytes, name: str) -> Mapping[str, Tensor]:
    # A file is mapped, not read: the pretraining heads, half of bert.base, then never use memory.
    mapped = isinstance(content, Path) and is_zip(content)
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped or None)
    except _DAMAGED_PICKLE as error:
        raise InputError(f"{name} is damaged, or neither a PyTorch state dict of tensors nor an MXNet file") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{name} is not a state dict (names to tensors)")
    return state


def _read_mxnet(content: Path | bytes, name: str) -> Mapping[str, Tensor]:
    if isinstance(content, Path):
        with content.open("rb") as file:  # mapped, as above
            writable: memoryview | bytearray = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    else:
        writable = bytearray(content)
    try:
        arrays = read_arrays(writable)
    except DamagedFile as error:
        raise InputError(f"{name} is a damaged MXNet file: {error}") from error
    return {_from_gluon(name): tensor for name, tensor in arrays.items()}


def _from_gluon(name: str) -> str:
    """PyTorch's name for a parameter of d2l's MXNet net, which has the same ones, called and counted differently."""
    name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
    name = re.sub(r"^hidden\.", "hidden.0.", name)
    # Gluon's dense layer has its ReLU inside.
    return re.sub(r"^mlm\.mlp\.([12])\.", lambda match: f"mlm.mlp.{int(match[1]) + 1}.", name)
