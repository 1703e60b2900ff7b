"""PyTorch's file of a state dict, which is loaded without running any code that it holds."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from torch import Tensor

from hf_nli.core.errors import InputError, listed, reason
from hf_nli.core.files import DAMAGED_ZIP, is_zip, refuse_zip_bomb
from hf_nli.model.weights import unpickled

_PREFIXES = re.compile(r"^(?:(?:_orig_mod|module)\.)+")  # of compiled nets and of DataParallel, in any order
_ENTRIES = ("model_state_dict", "state_dict", "model")  # where training checkpoints have the net
TOKEN_EMBEDDING = "encoder.token_embedding.weight"


def file_size(content: Path | io.BytesIO) -> int:
    """The bytes of a file here or in memory."""
    return content.stat().st_size if isinstance(content, Path) else len(content.getbuffer())


def read_state_dict(content: Path | io.BytesIO, name: str) -> tuple[Mapping[str, Tensor], str | None]:
    """Reads a state dict, also one in a training checkpoint.

    Args:
        content: The file.
        name: What to call it in errors.

    Returns:
        The tensors by their names, without the prefixes that `torch.compile` and `DataParallel` put before them, and
        the key that they were under, if it is a training checkpoint.

    Raises:
        InputError: If the file is damaged, or would become far larger, or holds objects of other types; or if none or
            several of a training checkpoint's state dicts are a d2l BERT's.
    """
    state, entry = _state_dict(_loaded(content, name), name)
    plain = {key: _PREFIXES.sub("", key) for key in state}
    by_prefix = {key.removesuffix(plain[key]): key for key in state}
    if len(by_prefix) > 1:
        raise InputError(
            f"{name} holds names with different prefixes of 'module.' and '_orig_mod.', or none "
            f"({listed(by_prefix.values())}); save the state dict of one net"
        )
    return {plain[key]: tensor for key, tensor in state.items()}, entry


def _loaded(content: Path | io.BytesIO, name: str) -> object:
    # A file is mapped, not read: the pretraining heads, half of bert.base, then never use memory. PyTorch would map
    # compressed numbers, too, as if they weren't.
    mapped = is_zip(content) and _check_zip(content, name) and isinstance(content, Path)
    if isinstance(content, io.BytesIO):
        content.seek(0)
    try:
        return unpickled(content, "cpu", mapped)
    except pickle.UnpicklingError as error:
        if code := re.search(r"nsupported (?:global: )?GLOBAL (\S+)|(TorchScript)", str(error)):
            raise InputError(
                f"{name} holds Python objects ({code[1] or code[2]}), which are not loaded because they can run code; "
                "save the weights alone, where the net can be loaded, with torch.save(net.state_dict(), FILE)"
            ) from error
        raise InputError(
            f"{name} is damaged, or neither a PyTorch state dict of tensors nor an MXNet file; "
            "torch.save(net.state_dict(), FILE) writes the former"
        ) from error


def _check_zip(content: Path | io.BytesIO, name: str) -> bool:
    """Refuses a zip that is encrypted or would become far larger, and says whether nothing in it is compressed."""
    try:
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
    except (OSError, *DAMAGED_ZIP) as error:
        raise InputError(f"{name} is damaged ({reason(error)})") from error
    if any(member.flag_bits & 1 for member in members):
        raise InputError(f"{name} is an encrypted zip; decrypt it first")
    refuse_zip_bomb(name, members, file_size(content))
    return all(member.compress_type == zipfile.ZIP_STORED for member in members)


def _state_dict(content: object, name: str) -> tuple[Mapping[str, Tensor], str | None]:
    """The state dict that a file holds as a whole or, in a training checkpoint, under one of the usual keys."""
    if _is_state_dict(content):
        return content, None
    if not isinstance(content, Mapping):
        raise InputError(f"{name} is not a state dict (names to tensors), but a {type(content).__name__}")
    fitting = [(content[key], key) for key in _ENTRIES if key in content and _is_d2l_bert(content[key])]
    if len(fitting) == 1:
        return fitting[0]
    entries = ", ".join(key for _, key in fitting)
    raise InputError(
        f"{name} is not a state dict (names to tensors); its keys are {listed(sorted(map(str, content)))}, of which "
        + (f"{entries} all fit" if fitting else f"no {' or '.join(_ENTRIES)} is a d2l BERT's state dict")
        + "; save the one that is meant with torch.save(net.state_dict(), FILE)"
    )


def _is_state_dict(content: object) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(content, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    )


def _is_d2l_bert(content: object) -> TypeGuard[Mapping[str, Tensor]]:
    return _is_state_dict(content) and any(_PREFIXES.sub("", key) == TOKEN_EMBEDDING for key in content)
