"""d2l checkpoints that are damaged, hostile, or were saved in other ways."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from helpers import SPECIAL_TOKENS, WORDS
from safetensors import safe_open
from safetensors.torch import save
from transformers import AutoTokenizer

from bad_inputs.forms import bomb, encrypted, zipped
from bad_inputs.models import Code
from bad_inputs.rows import CONVERT, REPRODUCE, Content, Row, both, done, refused, remove, tiny_state

TOKENS = [*SPECIAL_TOKENS, *WORDS]
HEAD = "hidden.0.weight"
EMBEDDINGS = "encoder.token_embedding.weight"
PARAMETERS, VOCABULARY = "ck/pretrained.params", "ck/vocab.json"


def saved(state: object, **options: Any) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(state, file, **options)
    return file.getvalue()


def prefixed(*prefixes: str) -> dict[str, torch.Tensor]:
    """The state with a prefix on every key, the prefixes in turn."""
    return {prefixes[i % len(prefixes)] + name: tensor for i, (name, tensor) in enumerate(tiny_state().items())}


def same_model(folder: Path) -> None:
    """Checks the converted weights: they are those of the state dict without anything around it."""
    with safe_open(folder / "out/model.safetensors", "np") as content:
        digest = hashlib.sha256()
        for name in sorted(content.keys()):
            digest.update(name.encode() + content.get_tensor(name).tobytes())
    assert digest.hexdigest() == _plain()


def _plain() -> str:
    """The hash that `same_model` computes, of the converted plain state."""
    from hf_nli.d2l.convert import convert

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ck").mkdir()
        (folder / PARAMETERS).write_bytes(saved(tiny_state()))
        (folder / VOCABULARY).write_text(json.dumps(TOKENS))
        convert(str(folder / "ck"), folder / "out", 2)
        with safe_open(folder / "out/model.safetensors", "np") as content:
            digest = hashlib.sha256()
            for key in sorted(content.keys()):
                digest.update(key.encode() + content.get_tensor(key).tobytes())
    return digest.hexdigest()


def offsets_of_contractions(folder: Path) -> None:
    """Checks which letters of a text the tokens of the converted model stand for."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "out", trust_remote_code=False)
    encoded = tokenizer("He isn't here.", add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["offset_mapping"] == [(0, 2), (3, 5), (5, 8), (9, 13), (13, 14)]


def changed(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The state with other tensors under some names ("hidden" is `HEAD`); None takes one away."""
    state = tiny_state()
    for name, tensor in changes.items():
        key = {"hidden": HEAD, "embeddings": EMBEDDINGS}.get(name, name)
        state[key] = tensor
        if tensor is None:
            del state[key]
    return state


def parameters(title: str, content: bytes | Callable[[], object], *words: str, **settings: Any) -> Row:
    """Parameters that are refused."""

    def make(folder: Path) -> None:
        (folder / PARAMETERS).write_bytes(content if isinstance(content, bytes) else saved(content()))

    return refused(f"checkpoint: {title}", CONVERT, r"ck|pretrained\.params", *words, make=make, **settings)


def taken(title: str, content: Callable[[], object], *words: str, **settings: Any) -> Row:
    """Parameters that are the plain ones, saved in another way."""
    make = lambda folder: (folder / PARAMETERS).write_bytes(saved(content()))  # noqa: E731
    return done(f"checkpoint: {title}", CONVERT, "carried over", *words, make=make, check=same_model, **settings)


def vocabulary(title: str, content: object, *words: str) -> Row:
    """A vocabulary that is refused."""
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    return refused(f"vocabulary: {title}", CONVERT, r"vocab", *words, files={VOCABULARY: text})


def source(title: str, path: str, *words: str, **settings: Any) -> Row:
    """A source that is refused."""
    return refused(f"source: {title}", CONVERT.replace("--source ck", f"--source {path}"), *words, **settings)


def archive(title: str, content: Content, *words: str, flags: str = "", **settings: Any) -> Row:
    """A zip that is refused."""
    return source(title, f"ck.zip {flags}", r"ck\.zip", *words, files={"ck.zip": content}, **settings)


def ids(**changes: object) -> dict[str, object]:
    return {token: index for index, token in enumerate(TOKENS)} | changes


def with_tensor(kind: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
    return lambda: changed(hidden=kind(tiny_state()[HEAD]))


class Net(torch.nn.Module):
    """A net of somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(8, 8)


TRAINING = {"epoch": 3, "optimizer_state_dict": {"state": {}, "param_groups": []}, "loss": 0.5}
WHOLE = {"d2l/pretrained.params": saved(tiny_state()), "d2l/vocab.json": json.dumps(TOKENS)}

TAKEN = [
    taken("plain", tiny_state),
    done("checkpoint: plain, and the tokenizer's offsets", CONVERT, "carried over", check=offsets_of_contractions),
    taken("module.", lambda: prefixed("module.")),
    taken("_orig_mod.", lambda: prefixed("_orig_mod."), real=True),
    taken("_orig_mod.module.", lambda: prefixed("_orig_mod.module.")),
    taken("module._orig_mod.", lambda: prefixed("module._orig_mod.")),
    taken("module. twice", lambda: prefixed("module.module.")),
    *[taken(f"a training checkpoint's {key}", lambda key=key: TRAINING | {key: tiny_state()}, key) for key in
      ("model_state_dict", "state_dict", "model")],
    taken("a training checkpoint of a compiled net", lambda: TRAINING | {"state_dict": prefixed("module._orig_mod.")}),
    taken("float64", lambda: {name: tensor.double() for name, tensor in tiny_state().items()}),
    taken("parameters that need gradients", lambda: {n: torch.nn.Parameter(t) for n, t in tiny_state().items()}),
    taken("tensors that aren't contiguous", lambda: changed(hidden=tiny_state()[HEAD].T.contiguous().T)),
    done("checkpoint: an older file form", CONVERT, "carried over", check=same_model,
        make=lambda f: (f / PARAMETERS).write_bytes(
        saved(tiny_state(), _use_new_zipfile_serialization=False))),
    done("vocabulary: a dict of ids", CONVERT, "carried over", files={VOCABULARY: json.dumps(ids())},
        check=same_model, real=True),
    done("vocabulary: a dict in another order", CONVERT, "carried over", check=same_model,
         files={VOCABULARY: json.dumps(dict(reversed(ids().items())))}),
    done("source: a zip", CONVERT + "--source ck.zip", "carried over", files={"ck.zip": zipped(WHOLE)},
        check=same_model),
    done("source: a file of parameters", CONVERT + "--source ck/pretrained.params", "carried over", check=same_model),
]  # fmt: skip

STATES = [
    parameters("prefixes on some keys", lambda: prefixed("module.", "_orig_mod.", ""), "module|prefix|key"),
    parameters("a name with and without a prefix", lambda: tiny_state() | prefixed("module."), "module"),
    parameters("two state dicts", lambda: {"state_dict": tiny_state(), "model": tiny_state(1)}, "state_dict", "model",
        real=True),
    parameters("a state dict under another name", lambda: TRAINING | {"net": tiny_state()}, r"net|state_dict"),
    parameters("a training checkpoint without one", lambda: TRAINING, "epoch|state dict|state_dict"),
    parameters("state dicts within themselves", lambda: {"model": {"model": {"model": 3}}}, "model|state dict"),
    parameters("an unknown key", lambda: changed(extra=torch.ones(2)), "extra"),
    parameters("a missing key", lambda: changed(hidden=None), HEAD),
    parameters("no embeddings", lambda: changed(embeddings=None), EMBEDDINGS),
    parameters("another shape", lambda: changed(hidden=torch.ones(8, 9)), HEAD, "shape"),
    parameters("another dimension", lambda: changed(embeddings=torch.ones(19)), EMBEDDINGS),
    parameters("names that are numbers", lambda: dict(enumerate(tiny_state().values())), "name|key|encoder"),
    parameters("a list of tensors", lambda: list(tiny_state().values()), "state dict|list"),
    parameters("one tensor", lambda: torch.ones(3), "state dict|tensor"),
    parameters("nothing", dict, "encoder|empty|state dict|key"),
    parameters("None", lambda: None, "state dict"),
    parameters("a value that isn't a tensor", lambda: changed(epoch=3), "epoch|state dict"),
    parameters("whole numbers", with_tensor(lambda t: t.long()), HEAD, "int64|floating"),
    parameters("complex numbers", with_tensor(lambda t: t.to(torch.complex64)), HEAD, "complex|floating"),
    parameters("NaN", with_tensor(lambda t: t.fill_(float("nan"))), HEAD, "finite|nan"),
    parameters("infinity", with_tensor(lambda t: t.fill_(float("-inf"))), HEAD, "finite|inf"),
    parameters("float64 beyond float32", with_tensor(lambda t: t.double().fill_(1e300)), HEAD,
        "finite|inf|large|range"),
    parameters("a sparse tensor", with_tensor(lambda t: t.to_sparse()), HEAD, "sparse|dense", real=True),
    parameters("a compressed sparse tensor", with_tensor(lambda t: t.to_sparse_csr()), HEAD, "sparse|dense"),
    parameters("a meta tensor", with_tensor(lambda t: t.to("meta")), HEAD, "meta|no (data|values|content)"),
    parameters("a giant of one number", with_tensor(lambda t: torch.ones(1).expand(10**6, 10**6)), HEAD,
        "shape|size|large"),
    parameters("giant embeddings of one number", lambda: changed(embeddings=torch.ones(1).expand(10**9, 8)),
        EMBEDDINGS,
               "shape|size|large|number"),
    parameters("a giant width of one number", lambda: changed(
        hidden=torch.ones(1).expand(10**6, 10**6), embeddings=torch.ones(1).expand(19, 10**6)),
            "shape|size|large|number"),
    parameters("a quantized tensor", with_tensor(lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)), HEAD,
        "qint8|floating|quantized"),
    parameters("no width", lambda: tiny_state(num_hiddens=0), "width|size|0|shape"),
    *[parameters(f"{length} positions", lambda length=length: tiny_state(max_len=length), "pos_embedding",
          str(length))
      for length in (0, 1, 2, 4)],
    parameters("a block left out", lambda: {n.replace("blks.0", "blks.1"): t for n, t in tiny_state().items()},
        r"blks\.0"),
    parameters("a block of a giant number",
        lambda: tiny_state() | {"encoder.blks.99999999999999999999.ffn.dense1.bias": torch.ones(12)}, "blks|key"),
    parameters("no blocks", lambda: tiny_state(num_blks=0), "blks"),
]  # fmt: skip

FILES = [
    parameters("code", pickle.dumps(Code()), "damaged|code|state dict", real=True),
    parameters("code in PyTorch's form", lambda: Code(), "damaged|code|state dict"),
    parameters("a whole net", lambda: Net(), "state_dict", real=True),
    parameters("a whole net of PyTorch's", lambda: torch.nn.Linear(2, 2), "state_dict"),
    parameters("cut off", saved(tiny_state())[:-200], "damaged|cut|truncated"),
    parameters("cut off early", saved(tiny_state())[:100], "damaged|cut|truncated|neither"),
    parameters("nothing in it", b"", "empty|damaged"),
    parameters("text", b"hello\n", "damaged|neither|not a"),
    parameters("zeros", bytes(1000), "damaged|neither|not a"),
    parameters("a web page", b"<!DOCTYPE html><html>404</html>", "damaged|neither|not a"),
    parameters("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "damaged|neither|LFS"),
    parameters("a pickle of protocol 4", pickle.dumps({"a": [1]}, 4), "damaged|neither|state dict"),
    parameters("a pickle of protocol 5", pickle.dumps({"a": 1}, 5), "damaged|neither|state dict"),
    parameters("NumPy's form", zipped({"a.npy": b"\x93NUMPY"}), "damaged|neither|not a|state dict|NumPy"),
    parameters("safetensors", save(tiny_state()), "damaged|neither|safetensors"),
    parameters("an MXNet file cut off", (0x112).to_bytes(8, "little") + bytes(20), "damaged|MXNet"),
    parameters("an MXNet file that declares a giant", (0x112).to_bytes(8,
        "little") + bytes(8) + b"\xff" * 8 + bytes(64), "damaged|MXNet"),
    parameters("a password", encrypted(saved(tiny_state())), "encrypt|password|damaged"),
    refused("checkpoint: no parameters", CONVERT, r"pretrained\.params", "no such", make=remove(PARAMETERS)),
    refused("checkpoint: a folder as parameters", CONVERT, r"pretrained\.params",
            make=both(remove(PARAMETERS), lambda f: (f / PARAMETERS).mkdir())),
    archive("a zip cut off", zipped(WHOLE)[:-40], "damaged|cut|truncated"),
    archive("a zip with a password", encrypted(zipped(WHOLE)), "encrypt|password", real=True),
    archive("a zip without a checkpoint", zipped({"a.txt": "a"}), r"pretrained\.params|no (d2l )?checkpoint"),
    archive("a zip of nothing", zipped({}), r"pretrained\.params|no (d2l )?checkpoint|empty"),
    archive("a zip without a vocabulary", zipped({"pretrained.params": WHOLE["d2l/pretrained.params"]}), "vocab"),
    archive("a zip with two", zipped(WHOLE | {"other/pretrained.params": b""}), "2|two"),
    archive("a bomb that says so", lambda: bomb("pretrained.params", 4_000_000_000), "large|big|size|bytes|[GM]i?B",
            flags="--vocab ck/vocab.json"),
    archive("a bomb that lies", lambda: bomb("pretrained.params", 1000, 400), "large|big|size|damaged|more",
            flags="--vocab ck/vocab.json"),
    source("an empty name", "''", "--source|empty"),
    source("a mistyped name", "bert.smal", r"bert\.smal", "no such", r"bert\.small"),
    source("a mistyped name without heads", "bert.smal --output_dir new", r"bert\.smal", "no such", r"bert\.small"),
    source("a model folder", "m", r"\bm\b", r"pretrained\.params|model folder|already"),
    source("a folder of data", "folder", "folder", r"pretrained\.params"),
    source("a device", "/dev/zero", "/dev/zero", limit=20),
    source("a pipe", "pipe", "pipe", make=lambda folder: os.mkfifo(folder / "pipe"), limit=20),
    source("a long name", "x" * 300, "xxx"),
    source("a newline in the name", "'no\nsuch'", r"no\\nsuch"),
    source("a name on the Hub, offline", "user/name", "user/name", "Hub|offline|no such"),
    refused("source: no heads", "convert --source ck --output_dir new", "--num_heads", "ck"),
    refused("source: other heads than the published", CONVERT + "--source bert.small --num_heads 3", r"bert\.small",
        "num_heads"),
    refused("source: reproduce, nothing there", REPRODUCE + "--source nope", "nope", "no such"),
    refused("source: reproduce, a mistyped name", REPRODUCE + "--source bert.smal", r"bert\.smal", "no such"),
    refused("source: reproduce, heads that don't fit", REPRODUCE + "--checkpoint bert.base", "ck", "12|bert.base"),
]  # fmt: skip

VOCABULARIES = [
    vocabulary("nothing", "", "JSON|empty"),
    vocabulary("half a list", '["a", ', "JSON"),
    vocabulary("a text", '"abc"', "list"),
    vocabulary("a number", "3", "list"),
    vocabulary("null", "null", "list"),
    vocabulary("numbers", list(range(19)), "list of strings|text|token"),
    vocabulary("a null among them", [*TOKENS[:-1], None], "text|string|null|None|token"),
    vocabulary("an empty list", [], "0|empty"),
    vocabulary("a token too few", TOKENS[:-1], "18", "19"),
    vocabulary("a token too many", [*TOKENS, "x"], "20", "19"),
    vocabulary("a lone surrogate", json.dumps([*TOKENS[:-1], "\ud800"]), "surrogate|Unicode|\\\\ud800|18"),
    vocabulary("no <unk>", [token.replace("<unk>", "x") for token in TOKENS], "<unk>"),
    vocabulary("no <pad>", [token.replace("<pad>", "x") for token in TOKENS], "<pad>"),
    vocabulary("no <cls>", [token.replace("<cls>", "x") for token in TOKENS], "<cls>"),
    vocabulary("other bytes", json.dumps(TOKENS).encode("utf-16-be"), "JSON|UTF-8"),
    vocabulary("deep nesting", "[" * 100_000, "JSON|nest|deep"),
    vocabulary("a dict with a gap", ids(**{TOKENS[-1]: 99}), "99|18|id"),
    vocabulary("a dict with an id twice", ids(**{TOKENS[-1]: 0}), "0|twice|id"),
    vocabulary("a dict with a negative id", ids(**{TOKENS[-1]: -1}), "-1|id"),
    vocabulary("a dict with true as id", ids(**{TOKENS[1]: True}), "true|id"),
    vocabulary("a dict with texts as ids", {token: str(index) for token, index in ids().items()}, "id|number|integer"),
    vocabulary("a dict with fractions", ids(**{TOKENS[-1]: 18.5}), r"18\.5|id"),
    vocabulary("a dict with a giant id", ids(**{TOKENS[-1]: 10**30}), "1000|id"),
    vocabulary("a dict the other way round", {str(index): token for token, index in ids().items()}, "id|token|number"),
    vocabulary("an empty dict", {}, "0|empty|list"),
    refused("vocabulary: none", CONVERT, r"vocab\.json", "no such", make=remove(VOCABULARY)),
    refused("vocabulary: a folder", CONVERT + "--vocab folder", "folder"),
    refused("vocabulary: a pipe", CONVERT + "--vocab pipe", "pipe", make=lambda f: os.mkfifo(f / "pipe"), limit=20),
]  # fmt: skip

ROWS = [*TAKEN, *STATES, *FILES, *VOCABULARIES]
