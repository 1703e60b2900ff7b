"""MXNet's files: written by hand after its format, and a real one of MXNet's own."""

import json
import mmap
import random
import shutil
import struct
import zipfile

import numpy as np
import pytest
import torch
from helpers import SPECIAL_TOKENS
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from hf_nli.core.errors import InputError
from hf_nli.d2l.checkpoint import read_checkpoint
from hf_nli.d2l.convert import convert
from hf_nli.d2l.mxnet import LIST_MAGIC, DamagedFile, read_arrays

TYPES = {"<f4": 0, "<f8": 1, "<f2": 2, "|u1": 3}


def array(values: np.ndarray, magic: int = 0xF993FACA, storage: int = 0, device: int = 1) -> bytes:
    head = struct.pack(f"<Iii{values.ndim}q", magic, storage, values.ndim, *values.shape)
    return head + struct.pack("<iii", device, 0, TYPES[values.dtype.str]) + values.tobytes()


def file(arrays: dict[str, bytes], magic: int = 0x112) -> bytearray:
    names = b"".join(struct.pack("<Q", len(name.encode())) + name.encode() for name in arrays)
    content = struct.pack("<QQQ", magic, 0, len(arrays)) + b"".join(arrays.values())
    return bytearray(content + struct.pack("<Q", len(arrays)) + names)


GOOD = {
    "a.weight": np.arange(6, dtype="<f4").reshape(2, 3),
    "b": np.array([1.5, -2.0], dtype="<f8"),
    "c.gamma": np.array([[[0.5]]], dtype="<f2"),
}


def content() -> bytearray:
    return file({name: array(values, 0xF993FAC9 + index % 2) for index, (name, values) in enumerate(GOOD.items())})


def test_arrays_of_each_type_and_version():
    arrays = read_arrays(content())
    assert list(arrays) == list(GOOD)
    for name, values in GOOD.items():
        assert torch.equal(arrays[name], torch.from_numpy(values))


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"a": array(np.ones(2, dtype="<f4"), magic=0xF993FAC8)}, "known version begins at byte 24"),
        ({"a": array(np.ones(2, dtype="<f4"), storage=1)}, "byte 24 is sparse"),
        ({"a": array(np.ones(2, dtype="|u1"))}, "numbers of type 3"),
        ({"a": array(np.float32(1))}, "has 0 dimensions"),
        ({"a": struct.pack("<Iiiqiii", 0xF993FACA, 0, 1, -1, 1, 0, 0)}, r"shape \(-1,\)"),
        (
            {"a": struct.pack("<Iiiqqqiii", 0xF993FACA, 0, 3, 2**62, 2**62, 2**62, 1, 0, 0)},
            "more bytes should be there",
        ),
        ({"a": struct.pack("<Iii", 0xF993FACA, 0, 2**31 - 1) + bytes(99)}, "has 2147483647 dimensions"),
    ],
)
def test_what_is_not_a_dense_array_of_numbers(arrays, message):
    with pytest.raises(DamagedFile, match=message):
        read_arrays(file(arrays))


def test_counts_are_not_believed():
    head = struct.pack("<QQ", 0x112, 0)
    for claim in (head + struct.pack("<Q", 2**60), head + struct.pack("<QQQ", 0, 1, 2**62)):
        with pytest.raises(DamagedFile, match="more bytes should be there"):
            read_arrays(bytearray(claim))


def test_every_shorter_file_is_noticed():
    whole = content()
    for size in range(len(whole)):
        with pytest.raises(DamagedFile):
            read_arrays(whole[:size])
    with pytest.raises(DamagedFile, match="1 bytes are left over"):
        read_arrays(whole + b"\0")


def test_every_flipped_bit_is_noticed_or_harms_one_thing():
    """The format has no checksum: what can pass is another number, another letter or another device."""
    whole, noticed = content(), 0
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            arrays = read_arrays(flipped)
        except DamagedFile:
            noticed += 1
            continue
        shapes = [(tensor.shape, tensor.dtype) for tensor in arrays.values()]
        assert shapes == [(values.shape, torch.from_numpy(values).dtype) for values in GOOD.values()]
        pairs = zip(arrays.values(), GOOD.values(), strict=True)
        changed = sum(not torch.equal(tensor, torch.from_numpy(values)) for tensor, values in pairs)
        assert changed + (list(arrays) != list(GOOD)) <= 1
    assert noticed > 8 * len(whole) // 2


def test_same_name_twice():
    whole = content()
    whole[-len("c.gamma") - 9] = ord("c")  # b becomes c, so:
    assert list(read_arrays(whole))[1] == "c"
    with pytest.raises(DamagedFile, match="2 arrays and 1 different names"):
        twice = file({"a": array(GOOD["b"]), "b": array(GOOD["b"])})
        twice[-1] = ord("a")
        read_arrays(twice)


@st.composite
def values(draw):
    """An array of any numbers (of any bits, so NaNs too) of one of the types that MXNet nets have."""
    kind, shape = (
        draw(st.sampled_from(["<f4", "<f8", "<f2"])),
        draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)),
    )
    bits = draw(st.integers(0, 2**32 - 1))
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.frombuffer(np.random.default_rng(bits).bytes(size), dtype=kind).reshape(shape)


@given(st.dictionaries(st.text(max_size=9), values(), max_size=5), st.sampled_from([0xF993FAC9, 0xF993FACA]))
def test_what_was_written_is_read(arrays, magic):
    read = read_arrays(file({name: array(each, magic) for name, each in arrays.items()}))
    assert list(read) == list(arrays)
    for name, each in arrays.items():
        assert read[name].shape == each.shape and read[name].numpy().dtype == each.dtype
        assert read[name].numpy().tobytes() == each.tobytes()


@st.composite
def damaged(draw):
    """A good file of which bytes were replaced, taken out or put in, or of which a number is another one."""
    whole = content()
    for _ in range(draw(st.integers(1, 3))):
        start, length = draw(st.integers(0, len(whole))), draw(st.integers(0, 12))
        number = st.sampled_from([0, 1, 2, 2**31 - 1, 2**32 - 1, 2**62, 2**63, 2**64 - 1]).map(
            lambda number: struct.pack("<Q", number)
        )
        whole[start : start + length] = draw(st.binary(max_size=12) | number)
    return whole


def read_or_refuse(whole):
    """Whatever is read shares the file's memory, so no number in it can ask for more."""
    try:
        arrays = read_arrays(whole)
    except DamagedFile as error:
        assert "\n" not in str(error)
        return
    start = torch.frombuffer(whole, dtype=torch.uint8).data_ptr()
    for tensor in arrays.values():
        assert start <= tensor.data_ptr()
        assert tensor.data_ptr() + tensor.numel() * tensor.itemsize <= start + len(whole)


@given(damaged())
@settings(max_examples=500)
def test_damage_is_noticed_or_harms_what_is_there(whole):
    read_or_refuse(whole)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 32, 0xF993FAC9, 0xF993FACA, 2**31 - 1, 2**32 - 1]), max_size=20))
@settings(max_examples=500)
def test_numbers_that_say_how_much_is_to_come(numbers):
    """After the right beginning, integers of 32 bits that mean something in the format, in any order."""
    read_or_refuse(bytearray(LIST_MAGIC + struct.pack(f"<{len(numbers)}I", *numbers)))


@pytest.fixture
def real(shared):
    return shared / "checkpoints/d2l_bert_mxnet"


def test_converted_equals_mxnet_itself(real, tmp_path):
    report = convert(str(real), tmp_path, num_heads=4)
    assert report.framework == "mxnet"
    assert report.not_carried_over[:2] == ["mlm.mlp.0.bias", "mlm.mlp.0.weight"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with np.load(real / "reference.npz") as arrays:
        ids, segments, lengths = (
            torch.tensor(arrays[name]).long() for name in ("token_ids", "segments", "valid_lens")
        )
        encoded, pooled = (torch.tensor(arrays[name]) for name in ("encoded", "pooled"))
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    with torch.inference_mode():
        outputs = model.bert(ids, attention_mask=mask, token_type_ids=segments)
    width = encoded.shape[-1]
    torch.testing.assert_close(outputs.last_hidden_state[..., :width], encoded, atol=1e-4, rtol=0)
    torch.testing.assert_close(outputs.pooler_output[:, :width], pooled, atol=1e-4, rtol=0)


def test_zip_folder_and_file_give_the_same(real, tmp_path):
    with zipfile.ZipFile(tmp_path / "bert.tiny.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("pretrained.params", "vocab.json"):
            archive.write(real / name, f"bert.tiny/{name}")
    wanted = read_checkpoint(str(real), num_heads=4)
    assert wanted.tokens[:5] == ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>"] and set(wanted.tokens) > {
        *SPECIAL_TOKENS
    }
    for source in (real / "pretrained.params", tmp_path / "bert.tiny.zip"):
        checkpoint = read_checkpoint(str(source), num_heads=4, framework="mxnet")
        assert checkpoint.sizes == wanted.sizes and checkpoint.tensors.keys() == wanted.tensors.keys()
        assert all(torch.equal(tensor, wanted.tensors[name]) for name, tensor in checkpoint.tensors.items())


def test_sizes_are_those_of_the_net(real):
    info = json.loads((real / "info.json").read_text())
    assert vars(read_checkpoint(str(real), num_heads=4).sizes).items() <= info.items()


def test_other_framework_is_refused(real):
    with pytest.raises(InputError, match="was written by mxnet; leave out --framework pytorch"):
        read_checkpoint(str(real), num_heads=4, framework="pytorch")


def test_damaged_file_is_one_clear_line(real, tmp_path):
    whole = (real / "pretrained.params").read_bytes()
    shutil.copy(real / "vocab.json", tmp_path)
    draw = random.Random(0)
    damages = [whole[: draw.randrange(16, len(whole))] for _ in range(10)]
    damages += [whole[:40] + bytes([whole[40] ^ 4]) + whole[41:], whole + b"\0", whole[:24] + bytes(100)]
    for damaged in damages:
        (tmp_path / "pretrained.params").write_bytes(damaged)
        with pytest.raises(InputError, match="pretrained.params is a damaged MXNet file: ") as error:
            read_checkpoint(str(tmp_path), num_heads=4)
        assert "\n" not in str(error.value)
    (tmp_path / "pretrained.params").write_bytes(b"\x13" + whole[1:])
    with pytest.raises(InputError, match="neither a PyTorch state dict of tensors nor an MXNet file"):
        read_checkpoint(str(tmp_path), num_heads=4)


def test_mapped_file_is_not_written_to(tmp_path):
    path = tmp_path / "a.params"
    path.write_bytes(content())
    with path.open("rb") as stream:
        arrays = read_arrays(memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)))
    arrays["b"].zero_()
    assert path.read_bytes() == bytes(content())
