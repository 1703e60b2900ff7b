"""Reading d2l checkpoints: every source, and every way one can be wrong."""

import hashlib
import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from random import Random

import pytest
import torch
from helpers import SPECIAL_TOKENS, d2l_model, write_checkpoint
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_nli.core.errors import InputError
from hf_nli.d2l.checkpoint import read_checkpoint
from hf_nli.d2l.convert import convert

SIZES = {"vocab_size": 20, "num_hiddens": 16, "ffn_num_hiddens": 24, "num_heads": 2, "num_blks": 2, "max_len": 12}


@pytest.fixture(scope="module")
def state(d2l):
    return d2l_model(d2l, **SIZES).state_dict()


@pytest.fixture
def folder(state, tmp_path):
    return write_checkpoint(tmp_path / "checkpoint", state)


@pytest.fixture
def archive(folder, tmp_path):
    """A zip as d2l publishes it: one folder with the two files."""
    with zipfile.ZipFile(tmp_path / "bert.tiny.torch.zip", "w") as file:
        for name in ("pretrained.params", "vocab.json"):
            file.write(folder / name, f"bert.tiny.torch/{name}")
    return tmp_path / "bert.tiny.torch.zip"


def sha1(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def test_folder_file_and_zip_give_the_same(folder, archive, state):
    parameters = folder / "pretrained.params"
    for source, file in ((folder, parameters), (parameters, parameters), (archive, archive)):
        checkpoint = read_checkpoint(str(source), num_heads=2)
        assert vars(checkpoint.sizes) == SIZES
        assert checkpoint.sha1 == sha1(file)
        assert checkpoint.tokens[:5] == SPECIAL_TOKENS
        for name, tensor in checkpoint.tensors.items():
            assert torch.equal(tensor, state[name]), name


def test_every_key_is_accounted_for(folder, state):
    checkpoint = read_checkpoint(str(folder), num_heads=2)
    assert set(checkpoint.tensors) | set(checkpoint.not_carried_over) == set(state)
    assert checkpoint.not_carried_over == sorted(name for name in state if name.startswith(("mlm.", "nsp.")))


def test_prefix_of_data_parallel(state, tmp_path):
    folder = write_checkpoint(tmp_path / "plain", state)
    parallel = tmp_path / "parallel"
    shutil.copytree(folder, parallel)
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, parallel / "pretrained.params")
    assert read_checkpoint(str(parallel), num_heads=2).tensors.keys() == read_checkpoint(str(folder), 2).tensors.keys()


def test_file_of_the_time_before_zip(state, folder):
    """PyTorch wrote plain pickles before 1.6."""
    torch.save(state, folder / "pretrained.params", _use_new_zipfile_serialization=False)
    assert read_checkpoint(str(folder), num_heads=2).sizes.num_hiddens == 16


def test_half_precision_is_read_as_float32(state, folder):
    torch.save({name: tensor.half() for name, tensor in state.items()}, folder / "pretrained.params")
    tensors = read_checkpoint(str(folder), num_heads=2).tensors
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())


def test_vocabulary_elsewhere(folder, tmp_path):
    (folder / "vocab.json").rename(tmp_path / "words.json")
    assert read_checkpoint(str(folder), 2, tmp_path / "words.json").tokens[:5] == SPECIAL_TOKENS
    with pytest.raises(InputError, match="vocab.json: no such file"):
        read_checkpoint(str(folder), 2)


def test_heads_are_never_guessed(folder):
    with pytest.raises(InputError, match="--num_heads"):
        read_checkpoint(str(folder))
    with pytest.raises(InputError, match="16 can't be divided among 3 heads"):
        read_checkpoint(str(folder), num_heads=3)
    with pytest.raises(InputError, match="bert.base has 12 heads, not 4"):
        read_checkpoint("bert.base", num_heads=4)


def with_changed(state, folder, change):
    changed = dict(state)
    change(changed)
    torch.save(changed, folder / "pretrained.params")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.update(extra=torch.zeros(1)), "unknown keys .*: extra"),
        (lambda s: s.pop("hidden.0.bias"), "missing keys .*: hidden.0.bias"),
        (lambda s: s.pop("mlm.mlp.2.bias"), "missing keys .*: mlm.mlp.2.bias"),
        (lambda s: s.pop("encoder.blks.1.ffn.dense2.bias"), "missing keys .*: encoder.blks.1.ffn.dense2.bias"),
        (lambda s: s.update({"encoder.blks.0.addnorm1.ln.weight": torch.ones(15)}), r"has shape \(15,\), expected"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(12, 16)}), "pos_embedding has shape"),
        (lambda s: s.pop("encoder.token_embedding.weight"), "encoder.token_embedding.weight is missing"),
        (lambda s: s.update({"hidden.0.bias": torch.full((16,), float("nan"))}), "hidden.0.bias holds values"),
        (lambda s: s.update({"hidden.0.bias": torch.ones(16, dtype=torch.long)}), "hidden.0.bias is of type"),
        (lambda s: s.update({"module.hidden.0.bias": torch.ones(16)}), "with and without the prefix"),
        (lambda s: s.update(note="text"), "not a state dict"),
    ],
)
def test_wrong_state_dicts(change, message, state, folder):
    with_changed(state, folder, change)
    with pytest.raises(InputError, match=message) as error:
        read_checkpoint(str(folder), num_heads=2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 truncated", b"\x80\x02}q\x00."])
def test_damaged_parameters(content, folder):
    (folder / "pretrained.params").write_bytes(content)
    with pytest.raises(InputError, match="damaged, or neither|missing"):
        read_checkpoint(str(folder), num_heads=2)


def test_truncated_parameters(folder):
    parameters = folder / "pretrained.params"
    parameters.write_bytes(parameters.read_bytes()[:-1000])
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(str(folder), num_heads=2)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [False, True])
def test_no_damage_ends_in_anything_but_a_line(zipped, state, folder, archive):
    """Bytes changed at random, in the parameters, in PyTorch's old format, and in a zip."""
    random = Random(0)
    file = archive if zipped else folder / "pretrained.params"
    contents = [file.read_bytes()]
    if not zipped:
        torch.save(state, file, _use_new_zipfile_serialization=False)
        contents.append(file.read_bytes())
    refused = 0
    for content in contents * 100:
        damaged = bytearray(content)
        start = random.choice([0, len(content) - 2000])  # where the names and instructions are
        for _ in range(random.choice([1, 4, 20])):
            damaged[start + random.randrange(2000)] = random.randrange(256)
        file.write_bytes(damaged)
        try:
            read_checkpoint(str(archive if zipped else folder), num_heads=2)
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > 20


def test_our_own_mistakes_are_not_taken_for_damage(folder, monkeypatch):
    """A mistake in what becomes of the tensors, after the file was read."""
    monkeypatch.setattr(torch.Tensor, "is_floating_point", lambda tensor, wrong: True)
    with pytest.raises(TypeError):
        read_checkpoint(str(folder), num_heads=2)


class Hostile:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_pickled_code_is_not_run(folder, tmp_path):
    trace = tmp_path / "was_here"
    parameters = folder / "pretrained.params"
    for write in (
        lambda: torch.save({"a": Hostile(trace)}, parameters),
        lambda: torch.save({"a": Hostile(trace)}, parameters, _use_new_zipfile_serialization=False),
        lambda: parameters.write_bytes(pickle.dumps(Hostile(trace), protocol=2)),
    ):
        write()
        with pytest.raises(InputError, match="damaged, or neither a PyTorch state dict"):
            read_checkpoint(str(folder), num_heads=2)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Hostile(trace)))
    assert trace.exists()  # so the test could have seen it


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[1, 2]", '["a"]'])
def test_wrong_vocabularies(content, folder):
    (folder / "vocab.json").write_text(content)
    with pytest.raises(InputError, match="vocab"):
        read_checkpoint(str(folder), num_heads=2)


def test_no_such_source(tmp_path):
    with pytest.raises(InputError, match="no such file or folder, nor a published name"):
        read_checkpoint(str(tmp_path / "nowhere"), num_heads=2)
    with pytest.raises(InputError, match="pretrained.params: no such file"):
        read_checkpoint(str(tmp_path), num_heads=2)


def test_zip_with_two_checkpoints(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as file:
        for root in "ab":
            file.write(folder / "pretrained.params", f"{root}/pretrained.params")
    with pytest.raises(InputError, match="2 files named pretrained.params"):
        read_checkpoint(str(tmp_path / "two.zip"), num_heads=2)


def test_pad_token_is_the_last_of_duplicates(state, tmp_path):
    tokens = [*SPECIAL_TOKENS, *(f"word{index}" for index in range(14)), "<pad>"]
    folder = write_checkpoint(tmp_path / "duplicates", state, tokens)
    assert json.loads((folder / "vocab.json").read_text()).index("<pad>") == 2
    assert read_checkpoint(str(folder), num_heads=2).pad_token_id == 19


@pytest.mark.parametrize("version", ["0.16.6", "0.17.6"])
@pytest.mark.parametrize("by_name", [False, True])
def test_older_versions_of_d2l(version, by_name, tmp_path):
    """Their `BERTModel`s have the names of 1.0's; their vocabularies have other orders."""
    folder = Path(sys.prefix) / "d2l" / version
    if not folder.is_dir():
        pytest.skip(f"no d2l {version} in {folder}; make test installs it")
    from d2l_chapter import import_d2l

    old = import_d2l(folder)
    words = ["the", "a", "man", "the", "a", "the", *(f"word{index}" for index in range(9))]
    tokens = old.Vocab([words], reserved_tokens=["<pad>", "<mask>", "<cls>", "<sep>"]).idx_to_token
    assert tokens[:7] == ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "the", "a"]  # by frequency
    if by_name:
        tokens = sorted(tokens)
    sizes = SIZES | {"vocab_size": len(tokens)}
    torch.manual_seed(0)
    net = old.BERTModel(
        *(len(tokens), 16, [16], 16, 24, 2, 2, 0.2, 12),
        **dict.fromkeys(("key_size", "query_size", "value_size"), 16),
        **dict.fromkeys(("hid_in_features", "mlm_in_features", "nsp_in_features"), 16),
    ).eval()
    source = str(write_checkpoint(tmp_path / "old", net.state_dict(), tokens))
    assert vars(read_checkpoint(source, num_heads=2).sizes) == sizes
    convert(source, tmp_path / "model", num_heads=2)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    vocab = {token: index for index, token in enumerate(tokens)}
    ids = torch.tensor([[vocab[token] for token in ["<cls>", "the", "man", "<sep>", "a", "<unk>", "<sep>"]]])
    segments = torch.tensor([[0, 0, 0, 0, 1, 1, 1]])
    inputs = tokenizer("The man", "a horse", return_tensors="pt")
    assert torch.equal(inputs["input_ids"], ids) and torch.equal(inputs["token_type_ids"], segments)
    with torch.inference_mode():
        expected = net.hidden(net.encoder(ids, segments, torch.tensor([7]))[:, 0])
        torch.testing.assert_close(model.bert(**inputs).pooler_output[:, :16], expected, atol=1e-5, rtol=0)
