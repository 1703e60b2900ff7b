"""MXNet's file format for named arrays, read without MXNet.

A file is a list of NDArrays, all numbers little-endian (`NDArray::Save` and `NDArray::Load` in MXNet's
src/ndarray/ndarray.cc):

    uint64 0x112, uint64 0, uint64 number of arrays
    for each array: uint32 0xF993FAC9 (version 2) or 0xF993FACA (version 3), int32 storage type (0: dense),
        int32 dimensions, int64 for each of them, int32 device type, int32 device id, int32 type of number, the numbers
    uint64 number of names; for each name: uint64 bytes, the name
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

import torch
from torch import Tensor

LIST_MAGIC = struct.pack("<QQ", 0x112, 0)
_ARRAY_MAGICS = (0xF993FAC9, 0xF993FACA)
_DTYPES: Mapping[int, torch.dtype] = {0: torch.float32, 1: torch.float64, 2: torch.float16}
_MAX_DIMENSIONS = 32  # as NumPy


class DamagedFile(ValueError):
    """The bytes are not a list of dense floating point arrays with names; the message says where they go wrong."""


def read_arrays(content: bytearray | memoryview) -> dict[str, Tensor]:
    """Reads the arrays that MXNet's `save_parameters` wrote.

    Every number that says how much is to come is checked against the bytes that there are, before it is believed.

    Args:
        content: The whole file, writable; a mapped one (`mmap.ACCESS_COPY`) is read as its tensors are used.

    Returns:
        Float32, float64 or float16 tensors by name, which share memory with `content`.

    Raises:
        DamagedFile: If the file is cut short, has bytes left over, or holds anything else.
    """
    reader = _Reader(content)
    if reader.take(len(LIST_MAGIC)) != LIST_MAGIC:
        raise DamagedFile("it doesn't begin as MXNet's files do")
    arrays = [reader.array() for _ in range(reader.count("Q", least=32))]
    names = [reader.name() for _ in range(reader.count("Q", least=8))]
    if reader.position != len(content):
        raise DamagedFile(f"{len(content) - reader.position} bytes are left over at its end")
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise DamagedFile(f"it has {len(arrays)} arrays and {len(set(names))} different names")
    return dict(zip(names, arrays, strict=True))


class _Reader:
    """A position in the bytes, which never passes their end."""

    def __init__(self, content: bytearray | memoryview) -> None:
        self.content, self.position = memoryview(content), 0

    def take(self, size: int) -> bytes:
        self._need(size)
        self.position += size
        return bytes(self.content[self.position - size : self.position])

    def numbers(self, letters: str) -> tuple[int, ...]:
        return struct.unpack(f"<{letters}", self.take(struct.calcsize(f"<{letters}")))

    def count(self, letter: str, least: int) -> int:
        """A number of things, of which each takes at least so many bytes."""
        (count,) = self.numbers(letter)
        self._need(count * least)
        return count

    def array(self) -> Tensor:
        start = self.position
        magic, storage, dimensions = self.numbers("Iii")
        if magic not in _ARRAY_MAGICS:
            raise DamagedFile(f"no array of a known version begins at byte {start}")
        if storage != 0:
            raise DamagedFile(f"the array at byte {start} is sparse")
        if not 0 < dimensions <= _MAX_DIMENSIONS:
            raise DamagedFile(f"the array at byte {start} has {dimensions} dimensions")
        shape = self.numbers(f"{dimensions}q")
        *_, kind = self.numbers("iii")
        if min(shape) < 1 or kind not in _DTYPES:
            raise DamagedFile(f"the array at byte {start} has shape {shape} and numbers of type {kind}")
        size = math.prod(shape) * _DTYPES[kind].itemsize
        self._need(size)
        self.position += size
        return torch.frombuffer(self.content[self.position - size : self.position], dtype=_DTYPES[kind]).view(shape)

    def name(self) -> str:
        try:
            return self.take(self.count("Q", least=1)).decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedFile(f"the name that ends at byte {self.position} is not text") from None

    def _need(self, size: int) -> None:
        left = len(self.content) - self.position
        if size > left:
            raise DamagedFile(f"{size} more bytes should be there at byte {self.position}, and there are {left}")
