"""Whatever the bytes of a checkpoint's files, they are read or refused in a line; `scripts/fuzz.py` tries millions."""

import io
import json
import zipfile

import pytest
import torch
from helpers import SPECIAL_TOKENS
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_nli.core.errors import InputError
from hf_nli.d2l.checkpoint import Sizes, read_checkpoint
from hf_nli.d2l.vocabulary import read_tokens
from hf_nli.sample.checkpoint import initial_state

STATE = initial_state(
    Sizes(num_hiddens=4, ffn_num_hiddens=4, num_heads=1, num_blks=1, max_len=5, vocab_size=len(SPECIAL_TOKENS))
)


def saved(zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(STATE, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


ZIP, LEGACY = saved(True), saved(False)
with zipfile.ZipFile(io.BytesIO(ZIP)) as archive:
    MEMBERS = {member.filename: archive.read(member) for member in archive.infolist()}
PICKLE = next(name for name in MEMBERS if name.endswith("data.pkl"))


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (MEMBERS | {PICKLE: content}).items():
            archive.writestr(name, data)
    return file.getvalue()


def edited(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with a few of them replaced, taken out or put in."""
    edit = st.tuples(st.integers(0, len(whole)), st.integers(0, 8), st.binary(max_size=8))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        content = whole
        for start, length, new in edits:
            content = content[:start] + new + content[start + length :]
        return content

    return st.lists(edit, min_size=1, max_size=3).map(apply)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    (path / "vocab.json").write_text(json.dumps(SPECIAL_TOKENS))
    return path


def test_what_is_edited_is_read_as_it_was(folder):
    for content in (ZIP, LEGACY, zipped(MEMBERS[PICKLE])):
        (folder / "pretrained.params").write_bytes(content)
        tensors = read_checkpoint(str(folder), num_heads=1).tensors
        assert all(torch.equal(tensor, STATE[name]) for name, tensor in tensors.items())


@given(st.one_of(edited(ZIP), edited(LEGACY), edited(MEMBERS[PICKLE]).map(zipped), st.binary(max_size=99)))
@settings(max_examples=300)
def test_parameters(folder, content):
    (folder / "pretrained.params").write_bytes(content)
    try:
        checkpoint = read_checkpoint(str(folder), num_heads=1)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert checkpoint.tensors["encoder.pos_embedding"].shape == (1, 5, 4)
    assert all(tensor.isfinite().all() and tensor.dtype == torch.float32 for tensor in checkpoint.tensors.values())


some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=6),
    max_leaves=12,
)
ids = st.dictionaries(st.sampled_from([*SPECIAL_TOKENS, "a"]), st.integers(-1, 6) | st.booleans(), max_size=6)


@given(
    st.one_of(some_json.map(json.dumps).map(str.encode), ids.map(json.dumps).map(str.encode), st.binary(max_size=99))
)
@settings(max_examples=300)
def test_vocabularies(folder, content):
    file = folder / "words.json"
    file.write_bytes(content)
    try:
        tokens = read_tokens(file)
    except InputError as error:
        assert "words.json" in str(error)
        return
    assert set(SPECIAL_TOKENS) <= set(tokens)


@given(st.permutations([*SPECIAL_TOKENS, "a", "b"]), st.randoms(use_true_random=False))
def test_vocabularies_that_give_ids(folder, tokens, random):
    """The order that they are written in doesn't matter."""
    pairs = [(token, index) for index, token in enumerate(tokens)]
    random.shuffle(pairs)
    (folder / "words.json").write_text(json.dumps(dict(pairs)))
    assert read_tokens(folder / "words.json") == tokens
