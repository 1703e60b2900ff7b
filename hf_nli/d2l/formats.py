"""A file of a net's parameters, as PyTorch or MXNet writes it: named float32 tensors."""

from __future__ import annotations

import io
import mmap
import re
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import DAMAGED_ZIP, refuse_bomb
from hf_nli.d2l.download import Framework
from hf_nli.d2l.mxnet import LIST_MAGIC, DamagedFile, read_arrays
from hf_nli.d2l.pytorch import file_size, read_state_dict

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Parameters:
    """What a file of parameters holds.

    Attributes:
        tensors: Float32 tensors by the names of d2l's PyTorch nets.
        framework: What wrote the file.
        entry: The key that they were under, if the file is a training checkpoint.
    """

    tensors: Mapping[str, Tensor]
    framework: Framework
    entry: str | None = None


def load_tensors(parameters: Path | zipfile.Path, source: str) -> Parameters:
    """Reads a file of parameters, whichever framework wrote it.

    Args:
        parameters: The file, maybe inside a zip.
        source: What to call it in errors.

    Returns:
        Its tensors, and what is known of the file.

    Raises:
        InputError: If the file can't be read, is damaged, or holds anything but named, dense floating point tensors.
    """
    name = f"{source}: {parameters.name}"
    try:
        content = parameters if isinstance(parameters, Path) else unpacked(parameters)
        with content.open("rb") if isinstance(content, Path) else nullcontext(content) as file:
            start = file.read(len(LIST_MAGIC))
    except OSError as error:
        raise InputError(f"{name} can't be read ({error.strerror})") from error
    except DAMAGED_ZIP as error:
        raise InputError(f"{name} is in a damaged or encrypted zip ({reason(error)})") from error
    if start == LIST_MAGIC:
        framework: Framework = "mxnet"
        tensors, entry = _read_mxnet(content, name), None
    else:
        framework = "pytorch"
        tensors, entry = read_state_dict(content, name)
    _check_kinds(tensors, source)
    sizes = {key: tensor.numel() * tensor.itemsize for key, tensor in tensors.items()}
    if largest := max(sizes, key=sizes.__getitem__, default=None):
        name += f" (most of it {largest}, of shape {tuple(tensors[largest].shape)})"
    refuse_bomb(name, sum(sizes.values()), file_size(content))
    return Parameters({key: tensor.detach().to(torch.float32) for key, tensor in tensors.items()}, framework, entry)


def unpacked(member: zipfile.Path) -> io.BytesIO:
    """Unpacks a member of a zip, in pieces: at once, `zipfile` unpacks more than the size that the member declares.

    Raises:
        OSError, one of `core.files.DAMAGED_ZIP`: If the zip is damaged or encrypted.
    """
    content = io.BytesIO()
    with member.open("rb") as file:
        shutil.copyfileobj(file, content, 4096)
    content.seek(0)
    return content


def _check_kinds(tensors: Mapping[str, Tensor], source: str) -> None:
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_nested:
            raise InputError(f"{source}: {name} is sparse or nested; save it as a dense tensor (tensor.to_dense())")
        if tensor.is_meta:
            raise InputError(
                f"{source}: {name} has a shape and no values (device meta); save the net with its weights"
            )
        if tensor.dtype not in _DTYPES:
            raise InputError(f"{source}: {name} is of type {tensor.dtype}, not floating point of 16, 32 or 64 bits")


def _read_mxnet(content: Path | io.BytesIO, name: str) -> Mapping[str, Tensor]:
    if isinstance(content, Path):
        with content.open("rb") as file:  # mapped, as above
            writable = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    else:
        writable = content.getbuffer()
    try:
        arrays = read_arrays(writable)
    except DamagedFile as error:
        raise InputError(f"{name} is a damaged MXNet file: {error}") from error
    tensors = {_from_gluon(name): tensor for name, tensor in arrays.items()}
    if len(tensors) != len(arrays):
        raise InputError(f"{name} holds the same parameter both by MXNet's name and by PyTorch's")
    return tensors


def _from_gluon(name: str) -> str:
    """PyTorch's name for a parameter of d2l's MXNet net, which has the same ones, called and counted differently."""
    name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
    name = re.sub(r"^hidden\.", "hidden.0.", name)
    # Gluon's dense layer has its ReLU inside.
    return re.sub(r"^mlm\.mlp\.([12])\.", lambda match: f"mlm.mlp.{int(match[1]) + 1}.", name)
