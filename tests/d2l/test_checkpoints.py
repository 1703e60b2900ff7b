"""Reading d2l checkpoints: every source, and every way one can be wrong."""

import hashlib
import json
import os
import pickle
import sys
import tracemalloc
import warnings
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
from hf_nli.d2l.download import PUBLISHED, Published
from hf_nli.d2l.pytorch import TOKEN_EMBEDDING

SIZES = {"vocab_size": 20, "num_hiddens": 16, "ffn_num_hiddens": 24, "num_heads": 2, "num_blks": 2, "max_len": 12}
WEIGHT, BIAS = "hidden.0.weight", "hidden.0.bias"


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


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module._orig_mod.module."]
)
def test_prefixes_of_parallel_and_compiled_nets(prefix, state, folder):
    torch.save({f"{prefix}{name}": tensor for name, tensor in state.items()}, folder / "pretrained.params")
    tensors = read_checkpoint(str(folder), num_heads=2).tensors
    assert tensors.keys() == {name for name in state if not name.startswith(("mlm.", "nsp."))}
    assert all(torch.equal(tensor, state[name]) for name, tensor in tensors.items())


@pytest.mark.parametrize("entry", ["model_state_dict", "state_dict", "model"])
def test_training_checkpoint(entry, state, folder, tmp_path):
    """Beside the net's state dict it has an optimizer's, and maybe another net's."""
    other = {"model": "state_dict"}.get(entry, "model")
    compiled = {f"_orig_mod.{name}": tensor for name, tensor in state.items()}
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    content = {"epoch": 3, entry: compiled, "optimizer_state_dict": optimizer, other: {"weight": torch.ones(2)}}
    torch.save(content, folder / "pretrained.params")
    checkpoint = read_checkpoint(str(folder), num_heads=2)
    assert checkpoint.entry == entry
    assert torch.equal(checkpoint.tensors["hidden.0.weight"], state["hidden.0.weight"])
    assert convert(str(folder), tmp_path / "model", num_heads=2).entry == entry
    assert json.loads((tmp_path / "model" / "conversion_report.json").read_text())["entry"] == entry


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("model", "state_dict"), "its keys are epoch, model, state_dict, of which state_dict, model all fit"),
        (("net",), "its keys are epoch, net, of which no .* is a d2l BERT's state dict"),
    ],
)
def test_training_checkpoint_of_which_no_net_or_several_fit(entries, message, state, folder):
    torch.save({"epoch": 3} | dict.fromkeys(entries, state), folder / "pretrained.params")
    with pytest.raises(InputError, match=message):
        read_checkpoint(str(folder), num_heads=2)


def test_a_published_file_has_its_own_number_of_heads(archive, monkeypatch):
    files = {"pytorch": (archive.name, sha1(archive))}
    monkeypatch.setitem(PUBLISHED, "bert.tiny", Published(num_heads=2, files=files))
    assert read_checkpoint(str(archive), num_heads=2).sizes.num_heads == 2
    with pytest.raises(InputError, match="is d2l's bert.tiny, which has 2 heads, not 4; give --num_heads 2"):
        read_checkpoint(str(archive), num_heads=4)


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
        (lambda s: s.update({"module.hidden.0.bias": torch.ones(16)}), "different prefixes"),
        (lambda s: s.update({"_orig_mod.hidden.0.bias": torch.ones(16)}), "different prefixes"),
        (lambda s: s.update({f"extra{i:03}": torch.zeros(1) for i in range(99)}), "extra007 and 91 others"),
        (lambda s: s.update({7: torch.ones(1)}), "not a state dict .* its keys are 7, encoder"),
        (lambda s: s.update(note="text"), "not a state dict"),
        (lambda s: s.update({BIAS: torch.ones(16).to_sparse()}), f"{BIAS} is sparse"),
        (lambda s: s.update({WEIGHT: torch.eye(16).to_sparse()}), f"{WEIGHT} is sparse"),
        (lambda s: s.update({BIAS: torch.ones(16, device="meta")}), f"{BIAS} has a shape and no values"),
        (lambda s: s.update({BIAS: torch.ones(16, dtype=torch.complex64)}), f"{BIAS} is of type torch.complex64"),
        (lambda s: s.update({BIAS: torch.ones(16).to(torch.float8_e4m3fn)}), f"{BIAS} is of type torch.float8"),
        (lambda s: s.update({BIAS: torch.full((16,), 1e300, dtype=torch.float64)}), f"{BIAS} holds values"),
        (lambda s: s.update({BIAS: torch.zeros(1).expand(10**12)}), "bytes that would become 4,000,000,0"),
        (lambda s: s.update({WEIGHT: torch.zeros(1, 1).expand(10**6, 10**6)}), "bytes that would become 4,000,000,0"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(1, 0, 16)}), r"shape \(1, 0, 16\), so it holds no"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(1, 1, 16)}), "1 positions .* at least 5"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(1, 4, 16)}), "4 positions .* at least 5"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(1, 10**5, 16)}), "100000 positions .* too many"),
        (lambda s: s.update({TOKEN_EMBEDDING: torch.ones(0, 16)}), r"shape \(0, 16\), so it holds no values"),
        (lambda s: s.update({TOKEN_EMBEDDING: torch.ones(20, 0)}), r"shape \(20, 0\), so it holds no values"),
    ],
)
def test_wrong_state_dicts(change, message, state, folder):
    with_changed(state, folder, change)
    with warnings.catch_warnings(), pytest.raises(InputError, match=message) as error:
        warnings.simplefilter("error")
        read_checkpoint(str(folder), num_heads=2)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:TypedStorage is deprecated")
def test_quantized_tensors(state, folder):
    quantized = torch.quantize_per_tensor(torch.ones(16), 0.1, 0, torch.qint8)
    with_changed(state, folder, lambda s: s.update({BIAS: quantized}))
    with pytest.raises(InputError, match=f"{BIAS} is of type torch.qint8"):
        read_checkpoint(str(folder), num_heads=2)


def test_parameters_and_views_are_values_too(state, folder):
    """As `dict(net.named_parameters())` has them, and as transposing leaves them."""
    weight = torch.arange(256.0).view(16, 16)
    with_changed(state, folder, lambda s: s.update({WEIGHT: weight.t(), BIAS: torch.nn.Parameter(torch.ones(16))}))
    tensors = read_checkpoint(str(folder), num_heads=2).tensors
    assert torch.equal(tensors[WEIGHT], weight.t()) and not tensors[BIAS].requires_grad


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_hiddens": 1, "num_heads": 1},
        {"num_hiddens": 3, "num_heads": 3},
        {"num_hiddens": 15, "num_heads": 5, "ffn_num_hiddens": 1},
        {"num_hiddens": 7, "num_heads": 1, "num_blks": 1, "max_len": 5},
    ],
)
def test_odd_sizes_are_converted(sizes, d2l, tmp_path):
    sizes = SIZES | sizes
    folder = write_checkpoint(tmp_path / "odd", d2l_model(d2l, **sizes).state_dict())
    assert convert(str(folder), tmp_path / "model", sizes["num_heads"]).sizes == sizes


def test_a_whole_net_is_refused_with_what_to_save_instead(d2l, folder):
    for zipped in (True, False):
        torch.save(d2l_model(d2l, **SIZES), folder / "pretrained.params", _use_new_zipfile_serialization=zipped)
        with pytest.raises(InputError, match=r"\(d2l.torch.BERTModel\).*torch.save\(net.state_dict\(\), FILE\)"):
            read_checkpoint(str(folder), num_heads=2)


def test_no_warning_comes_before_a_refusal(state, folder):
    """PyTorch's are of another protocol, and of TorchScript."""
    for write in (
        lambda: torch.save(state, folder / "pretrained.params", pickle_protocol=4),
        lambda: (folder / "pretrained.params").write_bytes(pickle.dumps({"a": bytearray(3)}, protocol=4)),
        lambda: torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(2)).save(folder / "pretrained.params"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of writing TorchScript
            write()
        with warnings.catch_warnings(), pytest.raises(InputError, match="pretrained.params (is damaged|holds Python)"):
            warnings.simplefilter("error")
            read_checkpoint(str(folder), num_heads=2)


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
    monkeypatch.setattr(torch.Tensor, "detach", lambda tensor, wrong: tensor)
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
        with pytest.raises(InputError, match=r"holds Python objects \((posix|nt).mkdir\), which are not loaded"):
            read_checkpoint(str(folder), num_heads=2)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Hostile(trace)))
    assert trace.exists()  # so the test could have seen it


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a readable JSON file"),
        ("{", "not a readable JSON file"),
        ("[" * 100_000, "not a readable JSON file"),
        ("1" * 5000, "not a readable JSON file"),
        ("null", "is of type NoneType"),
        ("[1, 2]", "Entry 0 of .*vocab.json is of type int"),
        ('["a"]', "of 1 tokens, lacks <unk>"),
        ("[]", "vocab.json is empty"),
        ("{}", "vocab.json is empty"),
        ('["\\ud800x"]', "Entry 0 of .* holds half of a surrogate pair"),
        ('{"a": 1}', "not of 1 tokens with the ids 0 to 0, each once"),
        ('{"a": 0, "b": 0}', "not of 2 tokens with the ids 0 to 1, each once"),
        ('{"a": 0, "b": true}', "each once"),
        ('{"a": 0, "b": 1.0}', "each once"),
        ('{"a": -1, "b": 0}', "each once"),
        ('{"a": 0, "b": "1"}', "each once"),
        ('{"a": 0, "b": [1]}', "each once"),
    ],
)
def test_wrong_vocabularies(content, message, folder):
    (folder / "vocab.json").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_checkpoint(str(folder), num_heads=2)
    assert "vocab.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_vocabulary_that_gives_ids(encoding, folder):
    """In whatever order."""
    tokens = read_checkpoint(str(folder), num_heads=2).tokens
    ids = sorted((token, index) for index, token in enumerate(tokens))
    (folder / "vocab.json").write_text(json.dumps(dict(ids)), encoding=encoding)
    assert ids != [(token, index) for index, token in enumerate(tokens)]
    assert read_checkpoint(str(folder), num_heads=2).tokens == tokens


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "../nowhere", "no/such/folder", "x" * 300, "file/x"])
def test_no_such_source(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(InputError, match="no such file or folder"):
        read_checkpoint(name)


def test_sources_that_are_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for source, message in {
        "": "--source is empty; give",
        "bert.smal": "published name .*; did you mean bert.small?",
        str(tmp_path / "fifo"): "neither a file nor a folder",
        os.devnull: "neither a file nor a folder",
        str(tmp_path): "pretrained.params: no such file",
    }.items():
        with pytest.raises(InputError, match=message):
            read_checkpoint(source)


def test_zips_that_are_no_checkpoint(archive, folder, tmp_path):
    content = archive.read_bytes()
    for size in (100, len(content) // 2, len(content) - 100):
        (file := tmp_path / "cut.zip").write_bytes(content[:size])
        with pytest.raises(InputError, match="damaged zip, whose end is missing"):
            read_checkpoint(str(file), num_heads=2)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "")
    with pytest.raises(InputError, match="no pretrained.params in this zip"):
        read_checkpoint(str(tmp_path / "other.zip"), num_heads=2)
    with zipfile.ZipFile(tmp_path / "half.zip", "w") as file:
        file.write(folder / "pretrained.params", "a/pretrained.params")
    with pytest.raises(InputError, match="half.zip/a/vocab.json: no such file"):
        read_checkpoint(str(tmp_path / "half.zip"), num_heads=2)


def encrypted(content: bytes) -> bytes:
    """A zip whose members say that they are encrypted, in both of the places that say it."""
    damaged = bytearray(content)
    for start, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = -1
        while (place := content.find(start, place + 1)) >= 0:
            damaged[place + flags] |= 1
    return bytes(damaged)


def test_encrypted_zips(archive, folder):
    for file, source in ((archive, archive), (folder / "pretrained.params", folder)):
        file.write_bytes(encrypted(file.read_bytes()))
        with pytest.raises(InputError, match="encrypted"):
            read_checkpoint(str(source), num_heads=2)


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {member.filename: archive.read(member) for member in archive.infolist()}


def write_zip(file: Path, content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file


def test_deflated_parameters_are_the_same_numbers(folder, state):
    """PyTorch writes its zips without compression, and maps what is in them as if all were so."""
    write_zip(folder / "pretrained.params", members(folder / "pretrained.params"))
    tensors = read_checkpoint(str(folder), num_heads=2).tensors
    assert all(torch.equal(tensor, state[name]) for name, tensor in tensors.items())


@pytest.mark.parametrize("bomb", ["bert.tiny.torch/pretrained.params", "bert.tiny.torch/vocab.json", "inside"])
def test_bombs_are_refused_by_what_they_declare(bomb, archive, folder):
    """300 MB of zeros in as many KB."""
    file = folder / "pretrained.params" if bomb == "inside" else archive
    content = members(file)
    name = next(iter(content)) if bomb == "inside" else bomb
    content[name] += bytes(300_000_000)
    write_zip(file, content)
    tracemalloc.start()
    with pytest.raises(InputError, match="[0-9,]{7} bytes that would become 30[0-9],"):
        read_checkpoint(str(folder if bomb == "inside" else archive), num_heads=2)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("bomb", ["pretrained.params", "vocab.json"])
def test_bombs_are_refused_by_what_comes_of_them(bomb, archive):
    """The zip declares 1000 bytes for what becomes 300 MB."""
    name = f"bert.tiny.torch/{bomb}"
    write_zip(archive, members(archive) | {name: bytes(300_000_000)})
    content = bytearray(archive.read_bytes())
    entry = content.rindex(b"PK\1\2", 0, content.rindex(name.encode()))
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    archive.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(InputError, match="Bad CRC-32"):
        read_checkpoint(str(archive), num_heads=2)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_that_unpack_without_bound_are_refused(method, archive):
    write_zip(archive, members(archive), method)
    with pytest.raises(InputError, match="compressed in another way; zip it again"):
        read_checkpoint(str(archive), num_heads=2)


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
