"""A file of a net's parameters, as PyTorch or MXNet writes it: named float32 tensors."""

from __future__ import annotations

import io
import mmap
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hf_nli.core.errors import InputError
from hf_nli.d2l.download import Framework
from hf_nli.d2l.mxnet import LIST_MAGIC, DamagedFile, read_arrays


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
    with parameters.open("rb") as file:
        framework: Framework = "mxnet" if file.read(len(LIST_MAGIC)) == LIST_MAGIC else "pytorch"
    state = _read_mxnet(parameters, source) if framework == "mxnet" else _read_pytorch(parameters, source)
    tensors = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    if len(tensors) != len(state):
        raise InputError(f"{source}: {parameters.name} holds names both with and without the prefix 'module.'")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(f"{source}: {name} is of type {tensor.dtype}, not floating point")
    return {name: tensor.to(torch.float32) for name, tensor in tensors.items()}, framework


def _read_pytorch(parameters: Path | zipfile.Path, source: str) -> Mapping[str, Tensor]:
    try:
        if isinstance(parameters, Path):
            # Mapped, not read: the pretraining heads, half of bert.base, then never use memory.
            state = torch.load(
                parameters, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(parameters) or None
            )
        else:
            state = torch.load(io.BytesIO(parameters.read_bytes()), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can make the unpickler raise anything
        raise InputError(
            f"{source}: {parameters.name} is damaged, or neither a PyTorch state dict of tensors nor an MXNet file"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{source}: {parameters.name} is not a state dict (names to tensors)")
    return state


def _read_mxnet(parameters: Path | zipfile.Path, source: str) -> Mapping[str, Tensor]:
    try:
        if isinstance(parameters, Path):
            with parameters.open("rb") as file:  # mapped, as above
                content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        else:
            content = bytearray(parameters.read_bytes())
        arrays = read_arrays(content)
    except (OSError, zipfile.BadZipFile, zlib.error, DamagedFile) as error:
        raise InputError(f"{source}: {parameters.name} is a damaged MXNet file: {error}") from error
    return {_from_gluon(name): tensor for name, tensor in arrays.items()}


def _from_gluon(name: str) -> str:
    """PyTorch's name for a parameter of d2l's MXNet net, which has the same ones, called and counted differently."""
    name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
    name = re.sub(r"^hidden\.", "hidden.0.", name)
    # Gluon's dense layer has its ReLU inside.
    return re.sub(r"^mlm\.mlp\.([12])\.", lambda match: f"mlm.mlp.{int(match[1]) + 1}.", name)
