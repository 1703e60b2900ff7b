"""A model loads whole or not at all: each kind of damage is told in a line that names file and key."""

import json
import os
import pickle
import resource
import subprocess
import sys

import pytest
import torch
from helpers import tiny_tokenizer, write_tiny_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from hf_nli.core.errors import InputError
from hf_nli.model.load import input_length, load_model, load_tokenizer

DENSE = "bert.encoder.layer.0.output.dense.weight"


def config(**changes):
    return lambda folder: change(folder / "config.json", changes)


def tokenizer(**changes):
    return lambda folder: change(folder / "tokenizer_config.json", changes)


def change(path, changes):
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def vocabulary(edit):
    def damage(folder):
        content = json.loads((folder / "tokenizer.json").read_text())
        content["model"]["vocab"] = edit(content["model"]["vocab"])
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def weights(edit):
    def damage(folder):
        path = folder / "model.safetensors"
        save_file(edit(load_file(path)), path, {"format": "pt"})

    return damage


def pickled(edit=lambda tensors: tensors, **options):
    def damage(folder):
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save(edit(tensors), folder / "pytorch_model.bin", **options)

    return damage


def sharded(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="3KB")


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def both(*damages):
    return lambda folder: [damage(folder) for damage in damages]


def set_first(value):
    return weights(lambda tensors: tensors | {DENSE: torch.full_like(tensors[DENSE], value)})


class Code:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


# Files in which the same numbers are stored otherwise.
WHOLE = {
    "pickled": pickled(),
    "pickled of old": pickled(_use_new_zipfile_serialization=False),
    "sharded": sharded,
    "with another head beside ours": weights(lambda tensors: tensors | {"cls.predictions.bias": torch.zeros(3)}),
}
REFUSED = {
    "other kind: gpt2": (config(model_type="gpt2"), r"lacks \S+ and \d+ others.*config\.json \(model_type gpt2\)"),
    "other kind: roberta": (config(model_type="roberta"), r"lacks \S+ and \d+ others.*\(model_type roberta\)"),
    "other kind: t5": (config(model_type="t5"), r"config\.json \(model_type t5\)"),
    "no classifier": (config(model_type="clip"), r"config\.json: Transformers has no classifier of model_type clip"),
    "no kind": (config(model_type=None), r"config\.json has no model_type"),
    "code": (config(model_type="mine", auto_map={"AutoConfig": "mine.C"}), r"model_type is 'mine'.*never run"),
    "code from the Hub": (config(attn_implementation="a/b"), r"config\.json: attn_implementation names code"),
    "no config": (without("config.json"), r"not a model folder: no config\.json; .* run hf-nli convert --source"),
    "damaged config": (text("config.json", '{\n"a": 1\n"b"'), r"config\.json, line 3: it isn't JSON"),
    "listed config": (text("config.json", "[]"), r"config\.json holds a list"),
    "deep config": (text("config.json", "[" * 10**5), r"config\.json can't be read"),
    "a billion layers": (config(num_hidden_layers=10**9), r"num_hidden_layers is 1000000000; .* 25 tensors"),
    "a billion labels": (config(id2label=None, num_labels=10**9), r"num_labels is 1000000000"),
    "huge vocabulary": (
        config(vocab_size=10**10),
        r"word_embeddings\.weight has the shape \(19, 16\).*\(10000000000, 16\)",
    ),
    "huge layers": (config(hidden_size=10**9), r"has the shape \(16,\), config\.json describes \(1000000000,\)"),
    "impossible layers": (config(hidden_size=10**18), r"config\.json describes no classifier that can be built"),
    "no heads": (config(num_attention_heads=0), r"config\.json: num_attention_heads is 0; it must be at least 1"),
    "unknown activation": (config(hidden_act="foo"), r"config\.json describes no classifier.*'foo'"),
    "size that is a word": (config(hidden_size="wide"), r"config\.json describes no bert model.*hidden_size"),
    "more layers": (config(num_hidden_layers=3), r"lacks bert\.encoder\.layer\.1\.\S+ and 31 others"),
    "fewer layers": (config(num_hidden_layers=0), r"its weights have bert\.encoder\.layer\.0\.\S+ and 15 others"),
    "label keys": (
        config(id2label={"5": "entailment", "6": "neutral", "7": "contradiction"}),
        "are 5, 6, 7; .* 0, 1, 2",
    ),
    "label keys from -1": (
        config(id2label={"-1": "entailment", "0": "neutral", "1": "contradiction"}),
        "are -1, 0, 1;",
    ),
    "one type": (
        both(
            config(type_vocab_size=1),
            weights(
                lambda tensors: tensors | {"bert.embeddings.token_type_embeddings.weight": torch.zeros(1, 16)},
            ),
        ),
        r"config\.json: type_vocab_size is 1, .* 0 to 1",
    ),
    "two positions": (
        both(
            config(max_position_embeddings=2),
            weights(lambda tensors: tensors | {"bert.embeddings.position_embeddings.weight": torch.zeros(2, 16)}),
        ),
        r"config\.json: max_position_embeddings is 2, .*at least 5",
    ),
    "no weights": (without("model.safetensors"), r"no weights \(model\.safetensors\)"),
    "cut weights": (text("model.safetensors", ""), r"model\.safetensors is damaged"),
    "NaN": (set_first(float("nan")), rf"the weights are NaN or infinite \({DENSE}\)"),
    "infinite": (set_first(float("inf")), rf"the weights are NaN or infinite \({DENSE}\)"),
    "whole numbers": (
        weights(lambda tensors: {name: (10 * each).to(torch.int8) for name, each in tensors.items()}),
        r"model\.safetensors: \S+ holds numbers of type I8",
    ),
    "half of the head": (
        weights(lambda tensors: {name: each for name, each in tensors.items() if name != "classifier.bias"}),
        r"lacks classifier\.bias",
    ),
    "head of five": (
        weights(lambda tensors: tensors | {"classifier.weight": torch.zeros(5, 16)}),
        r"classifier\.weight has the shape \(5, 16\), config\.json describes \(3, 16\)",
    ),
    "lost shard": (
        lambda folder: [sharded(folder), sorted(folder.glob("model-*"))[1].unlink()],
        r"model\.safetensors\.index\.json names model-00002-of-00007\.safetensors, which isn't there",
    ),
    "index of another shape": (
        both(sharded, text("model.safetensors.index.json", '{"weight_map": {"a": 3}}')),
        r"model\.safetensors\.index\.json: weight_map",
    ),
    "code in weights": (pickled(lambda tensors: {"a": Code()}), r"pytorch_model\.bin is refused: .*code"),
    "a pickled list": (pickled(list), r"pytorch_model\.bin is refused"),
    "sparse": (
        pickled(lambda tensors: tensors | {DENSE: tensors[DENSE].to_sparse()}),
        r"pytorch_model\.bin is refused",
    ),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json"), r"no tokenizer \(tokenizer\.json"),
    "damaged tokenizer": (text("tokenizer.json", "{"), r"tokenizer\.json, line 1: it isn't JSON"),
    "listed tokenizer settings": (text("tokenizer_config.json", "[]"), r"tokenizer_config\.json holds a list"),
    "no words": (
        vocabulary(lambda tokens: {token: index for token, index in tokens.items() if token[0] == "<"}),
        "its tokenizer has no words",
    ),
    "larger ids": (vocabulary(lambda tokens: tokens | {"zzz": 500}), r"id of 'zzz' is 500, .*vocab_size\) has 19"),
    "no padding": (tokenizer(pad_token=None), r"tokenizer_config\.json names no pad_token"),
    **{
        f"length {length!r}": (
            tokenizer(model_max_length=length),
            r"tokenizer_config\.json: model_max_length is .*least 5",
        )
        for length in (4, 0, -1, "abc", [7], True, float("nan"))
    },
}


@pytest.mark.parametrize("store", WHOLE.values(), ids=WHOLE)
def test_the_same_numbers_in_other_files(store, tmp_path):
    write_tiny_model(tmp_path)
    expected = load_file(tmp_path / "model.safetensors")
    store(tmp_path)
    loaded = load_model(str(tmp_path))[0].state_dict()
    assert loaded.keys() == expected.keys() and all(torch.equal(loaded[name], expected[name]) for name in expected)


def test_float16_is_read_as_float32(tmp_path):
    write_tiny_model(tmp_path)
    weights(lambda tensors: {name: each.half() for name, each in tensors.items()})(tmp_path)
    expected, loaded = load_file(tmp_path / "model.safetensors"), load_model(str(tmp_path))[0].state_dict()
    assert all(
        loaded[name].dtype == torch.float32 and torch.equal(loaded[name], expected[name].float()) for name in expected
    )


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize(("damage", "message"), REFUSED.values(), ids=REFUSED)
def test_damage_is_refused(damage, message, new_head, tmp_path, monkeypatch, caplog):
    write_tiny_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        load_model(str(tmp_path), new_head)
    assert str(error.value).startswith(f"{tmp_path}: ") and "\n" not in str(error.value)
    assert "weights_only" not in str(error.value) and "trust_remote_code" not in str(error.value)
    assert not (tmp_path / "ran").exists() and not [each for each in caplog.records if each.name.startswith("hf_nli")]


def test_a_pickle_in_a_damaged_zip(tmp_path):
    """Its end is there, the list of its members isn't."""
    write_tiny_model(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    content = (tmp_path / "pytorch_model.bin").read_bytes()
    (tmp_path / "pytorch_model.bin").write_bytes(content.replace(b"PK\1\2", b"XX\1\2"))
    with pytest.raises(InputError, match=r"pytorch_model\.bin is refused: it is damaged"):
        load_model(str(tmp_path))


def test_a_pickle_that_is_code_alone(tmp_path, monkeypatch):
    write_tiny_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Code()))
    with pytest.raises(InputError, match=r"pytorch_model\.bin is refused"):
        load_model(str(tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("command", ["predict", "evaluate", "export", "train"])
def test_code_of_a_folder_is_never_run(command, pairs, tmp_path):
    """Whatever is answered on standard input."""
    if command == "export":
        pytest.importorskip("onnxruntime")
    folder = write_tiny_model(tmp_path / "model")
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    code = {name: f"mine.{name}" for name in ("AutoConfig", "AutoModelForSequenceClassification")}
    config(model_type="mine", auto_map=code)(folder)
    tokenizer(auto_map={"AutoTokenizer": ["mine.T", "mine.T"]}, tokenizer_class="T")(folder)
    flags = {
        "predict": ["--premise", "a", "--hypothesis", "a"],
        "evaluate": ["--dataset", pairs, "--output_dir", tmp_path / "out"],
        "export": ["--output_dir", tmp_path / "out"],
        "train": ["--dataset", pairs, "--output_dir", tmp_path / "out"],
    }[command]
    flags = [*flags, "--model_name_or_path", folder]
    program = [sys.executable, "-m", "hf_nli", command, *map(str, flags)]
    done = subprocess.run(program, input="y\n" * 10, capture_output=True, text=True)
    assert done.returncode == 2 and "model_type is 'mine'" in done.stderr.splitlines()[-1]
    assert "y/N" not in done.stdout + done.stderr
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_a_huge_configuration_takes_little_memory(tmp_path):
    write_tiny_model(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for changes in ({"num_hidden_layers": 10**9}, {"vocab_size": 10**9}, {"intermediate_size": 10**9}):
        config(**changes)(tmp_path)
        with pytest.raises(InputError):
            load_model(str(tmp_path), new_head=True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "--model_name_or_path is empty; give a model folder or a Hub id"),
        ("missing/folder/model", "missing/folder/model: not a model folder: no such folder$"),
        ("./missing", "./missing: not a model folder: no such folder$"),
        ("x/" + "y" * 300, "^x/y+: not a model folder: no such folder"),
        ("user/missing", "user/missing: not a model folder: no such folder, and no .* on the Hub"),
        (__file__, "is a file; give the model folder"),
    ],
)
@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_names_of_no_model(load, name, message):
    with pytest.raises(InputError, match=message):
        load(name)


def test_positions_after_padding(tmp_path):
    """RoBERTa counts its positions from the padding token's id + 1 on: of 32, with padding 2, 29 are left."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    words = tiny_tokenizer(max_length=10**30)
    settings = RobertaConfig(
        vocab_size=len(words),
        pad_token_id=words.pad_token_id,
        max_position_embeddings=32,
        type_vocab_size=2,
        id2label={0: "entailment", 1: "neutral", 2: "contradiction"},
        **sizes,
    )
    RobertaForSequenceClassification(settings).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    model, loaded = load_model(str(tmp_path))
    assert words.pad_token_id == 2 and input_length(model.config, loaded) == 29
    ids = torch.full((1, 30), 5)
    model(input_ids=ids[:, :29])
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=ids)


@pytest.mark.parametrize("kind", ["code", "a billion labels", "damaged config", "a short length"])
def test_a_tokenizer_alone(kind, tmp_path):
    """As `inspect` needs it: of a model that is refused, it isn't read either."""
    write_tiny_model(tmp_path)
    damage, message = REFUSED.get(kind, (tokenizer(model_max_length=3), "model_max_length is 3"))
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        load_tokenizer(str(tmp_path))
    assert "trust_remote_code" not in str(error.value)
