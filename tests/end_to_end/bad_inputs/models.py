"""Model folders that are damaged, incomplete, of another kind, or hold code."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from bad_inputs.rows import (
    EVALUATE,
    EXPORT,
    INSPECT,
    PREDICT,
    PUSH,
    TRAIN,
    TRAINER,
    Row,
    both,
    config,
    done,
    edit,
    either,
    refused,
    remove,
)

LOGITS = "classifier.weight"
ANSWER = r'"label": "(entailment|neutral|contradiction)".*"scores"'
INSPECT_WITH = INSPECT + "pairs.jsonl --model_name_or_path m "
COMMANDS = {"predict": PREDICT, "evaluate": EVALUATE, "train": TRAIN, "export": EXPORT}
Tensors = dict[str, torch.Tensor]


def weights(change: Callable[[Tensors], object]) -> Callable[[Path], None]:
    """Changes the weights in place."""

    def make(folder: Path) -> None:
        tensors = load_file(folder / "m/model.safetensors")
        change(tensors)
        save_file(tensors, folder / "m/model.safetensors", {"format": "pt"})

    return make


def half(tensors: Tensors) -> None:
    for name in sorted(tensors)[::2]:
        del tensors[name]


def no_encoder(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith("bert.encoder")]:
        del tensors[name]


def no_head(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith("classifier")]:
        del tensors[name]


def prefixed(tensors: Tensors) -> None:
    for name in list(tensors):
        tensors[f"net.{name}"] = tensors.pop(name)


def fill(name: str, value: float) -> Callable[[Path], None]:
    return weights(lambda tensors: tensors[name].view(-1)[:1].fill_(value))


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Puts something else into a file."""
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


class Code:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return (eval, ("open('ran', 'w')",))


def pickled(folder: Path) -> None:
    """Weights that are code."""
    (folder / "m/model.safetensors").unlink()
    (folder / "m/pytorch_model.bin").write_bytes(pickle.dumps(Code()))


def nothing_ran(folder: Path) -> None:
    """Checks that no code was run or is named by what was written."""
    assert not (folder / "ran").exists()
    assert not any("auto_map" in path.read_text() for path in (folder / "out").glob("*config.json"))


def with_code(model_type: str, everything: bool = True) -> Callable[[Path], None]:
    """A model that brings its own classes."""

    def make(folder: Path) -> None:
        (folder / "m/code.py").write_text("open('ran', 'w')\nclass Config: pass\nclass Model: pass\n")
        config(model_type=model_type, auto_map={
            "AutoConfig": "code.Config", "AutoModelForSequenceClassification": "code.Model",
                "AutoTokenizer": ["code.T", None]
        })(folder)  # fmt: skip
        if everything:
            edit("m/tokenizer_config.json", auto_map={"AutoTokenizer": ["code.T", "code.T"]}, tokenizer_class="T")(
                folder
            )

    return make


def tokenizer(**changes: object) -> Callable[[Path], None]:
    return edit("m/tokenizer_config.json", **changes)


def more_tokens(folder: Path) -> None:
    """A vocabulary that is larger than the model's."""
    path = folder / "m/tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["zebra"] = len(vocabulary) + 40
    path.write_text(json.dumps(content))


def bad(title: str, make: Callable[[Path], object], *words: str, commands: str = "predict", real: bool = False,
        **settings: object) -> list[Row]:  # fmt: skip
    """A damage that some commands refuse, the first of them as a real command, too."""
    return [
        refused(f"model: {title}, {name}", COMMANDS.get(name, name), r"\bm\b", *words, make=make,
                real=real and name == commands.split()[0], **settings)
        for name in commands.split()
    ]  # fmt: skip


ALL, SOME = "predict evaluate train export", "predict train"
UNLESS_TRAINED = "predict evaluate export"
SHAPE = "shape|size"

WEIGHTS = [
    *bad("another net's names", config(model_type="roberta"), "lacks|missing|tensor|weights", commands=ALL, real=True),
    *bad("GPT-2's type", config(model_type="gpt2"), "lacks|missing|tensor|weights|gpt2", commands="predict evaluate"),
    *bad("T5's type", config(model_type="t5"), r"\bm\b", commands="predict evaluate"),
    *bad("half of the weights", weights(half), "lacks|missing", commands=ALL),
    *bad("no encoder", weights(no_encoder), "lacks|missing", "bert.encoder", commands=SOME),
    *bad("no head", weights(no_head), "classifier", commands=UNLESS_TRAINED),
    *bad("a prefix of its own", weights(prefixed), "lacks|missing", commands=SOME),
    *bad("more layers in the configuration", config(num_hidden_layers=2), "layer.1", commands=SOME),
    *bad("fewer layers in the configuration", config(num_hidden_layers=0), "num_hidden_layers|layer.0", commands=SOME),
    *bad("another vocabulary size", config(vocab_size=25), "vocab_size|word_embeddings", commands=SOME),
    *bad("another width", config(hidden_size=32), "hidden_size|" + SHAPE, commands="predict train"),
    *bad("another inner width", config(intermediate_size=64), "intermediate|" + SHAPE, commands="predict train"),
    *bad("an encoder of NaN", fill("bert.encoder.layer.0.output.dense.weight", float("nan")), "finite|nan",
         "output.dense.weight", commands=ALL),
    *bad("an infinite head", fill(LOGITS, float("inf")), "finite|inf", commands="predict evaluate"),
    *bad("an embedding of NaN that no text uses", fill("bert.embeddings.word_embeddings.weight", float("nan")),
        "finite|nan"),
    *bad("logits that overflow", weights(lambda t: t[LOGITS].fill_(3e38)), "finite|inf|nan|overflow", late=True,
         commands="predict evaluate"),
    *bad("no weights", remove("m/model.safetensors"), "safetensors|weights", commands=ALL),
    *bad("weights cut off", lambda f: text("m/model.safetensors", (f / "m/model.safetensors").read_bytes()[:-50])(f),
         "model.safetensors", "damaged|cut|truncated|incomplete", commands=SOME),
    *bad("empty weights", text("m/model.safetensors", b""), "model.safetensors"),
    *bad("weights that are text", text("m/model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
         "model.safetensors", commands="predict train"),
    *bad("weights with a giant header", text("m/model.safetensors", struct.pack("<Q", 2**60)), "model.safetensors"),
    *bad("weights of one dimension", weights(lambda t: t.update({LOGITS: torch.ones(48)})), LOGITS,
        commands="predict"),
    *bad("an index without its files", both(remove("m/model.safetensors"), text(
        "m/model.safetensors.index.json", '{"metadata": {}, "weight_map": {"classifier.weight": "a.safetensors"}}')),
        r"a\.safetensors|index"),
    *bad("a damaged index", both(remove("m/model.safetensors"), text("m/model.safetensors.index.json", "{")), "index"),
    *bad("an empty index", both(remove("m/model.safetensors"), text("m/model.safetensors.index.json", "{}")), "index"),
    done("model: no head, train", TRAIN, "new head", "Trained on", make=weights(no_head)),
    done("model: half precision", PREDICT, ANSWER, make=weights(
        lambda t: t.update({name: tensor.half() for name, tensor in t.items()}))),
]  # fmt: skip

LABELS = [
    done("model: positive, neutral, negative, train", TRAIN, "new head", "positive",
         make=config(id2label={"0": "positive", "1": "neutral", "2": "negative"}, label2id={})),
    done("model: LABEL_0 to LABEL_2, train", TRAIN, "new head",
         make=config(id2label={str(i): f"LABEL_{i}" for i in range(3)}, label2id={})),
    *bad("positive, neutral, negative", config(id2label={"0": "positive", "1": "neutral", "2": "negative"}),
        "positive",
         commands="predict evaluate"),
    *bad("LABEL_0 to LABEL_2", config(id2label={str(i): f"LABEL_{i}" for i in range(3)}), "LABEL_0", "id2label"),
    *bad("four labels", config(id2label=dict(enumerate(["entailment", "neutral", "contradiction", "x"]))), "4|four",
         commands="predict evaluate"),
    *bad("two labels", config(id2label=dict(enumerate(["entailment", "not_entailment"]))), "not_entailment|2|two"),
    *bad("keys from 5", config(id2label={"5": "entailment", "6": "neutral", "7": "contradiction"}), "id2label",
         commands="predict evaluate export", real=True),
    *bad("keys from -1", config(id2label={"-1": "entailment", "0": "neutral", "1": "contradiction"}), "id2label",
         commands="predict evaluate export"),
    *bad("keys from 1", config(id2label={"1": "entailment", "2": "neutral", "3": "contradiction"}), "id2label"),
    *bad("a label twice", config(id2label={"0": "entailment", "1": "entails", "2": "neutral"}), "entail"),
    *bad("a list of labels", config(id2label=["entailment", "neutral", "contradiction"]), "id2label"),
    *bad("keys that are words", config(id2label={"a": "entailment", "b": "neutral", "c": "contradiction"}),
        "id2label"),
    *bad("labels that are numbers", config(id2label={"0": 0, "1": 1, "2": 2}), "label"),
]  # fmt: skip

CONFIGURATION = [
    *bad("a billion layers", config(num_hidden_layers=10**9), "num_hidden_layers|layer", commands=ALL, real=True,
        limit=20),
    *bad("a billion words", config(vocab_size=10**10), "vocab_size|word_embeddings", limit=20),
    *bad("a billion positions", config(max_position_embeddings=10**10), "position", limit=20),
    *bad("a billion features", config(hidden_size=10**9, num_attention_heads=1), "hidden_size|size|shape", limit=20),
    *bad("a billion labels", config(num_labels=10**9), "label", limit=20),
    *bad("-1 layers", config(num_hidden_layers=-1), "num_hidden_layers|layer"),
    *bad("layers that are a word", config(num_hidden_layers="two"), "num_hidden_layers", commands="predict train"),
    *bad("no width", config(hidden_size=0), "hidden_size|shape"),
    *bad("heads that don't divide", config(num_attention_heads=3), "num_attention_heads|heads|multiple"),
    *bad("no heads", config(num_attention_heads=0), "num_attention_heads|heads"),
    *bad("two positions", config(max_position_embeddings=2), "max_position_embeddings|position", commands=SOME),
    *bad("positions that are a word", config(max_position_embeddings="x"), "max_position_embeddings"),
    *bad("one type of token", config(type_vocab_size=1), "type_vocab_size|token_type", commands=SOME),
    *bad("padding out of range", config(pad_token_id=9999), "pad_token_id|padding"),
    *bad("an unknown activation", config(hidden_act="foo"), "hidden_act|foo"),
    *bad("dropout that is a word", config(hidden_dropout_prob="x"), "hidden_dropout_prob"),
    *bad("an epsilon that is a word", config(layer_norm_eps="x"), "layer_norm_eps"),
    *bad("an unknown data type", config(dtype="foo", torch_dtype="foo"), "dtype|foo"),
    either("model: a quantization that isn't here", PREDICT, "quant", right=(ANSWER,),
           make=config(quantization_config={"quant_method": "foo"})),
    *bad("an unknown type", config(model_type="foo"), "foo|model_type", commands=SOME),
    *bad("a type that is a list", config(model_type=["bert"]), "model_type"),
    *bad("a type that has no head for this", config(model_type="clip"), "clip|model_type"),
    *bad("no type", lambda f: (f / "m/config.json").write_text("{}"), "model_type", commands="predict train"),
    *bad("no configuration", remove("m/config.json"), "config.json", commands=ALL, real=True),
    *bad("half a configuration", text("m/config.json", "{"), "config.json", commands=SOME),
    *bad("a list as configuration", text("m/config.json", "[]"), "config.json", commands="predict train"),
    *bad("null as configuration", text("m/config.json", "null"), "config.json"),
    *bad("a configuration of other bytes", text("m/config.json", b"\xff\xfe\x00"), "config.json"),
    *bad("a folder as configuration", both(remove("m/config.json"), lambda f: (f / "m/config.json").mkdir()),
        "config.json"),
    *bad("deep nesting as configuration", text("m/config.json", "[" * 100_000), "config.json"),
]  # fmt: skip

TOKENIZER = [
    *bad("no tokenizer", remove("m/tokenizer.json", "m/tokenizer_config.json"), "tokenizer", commands=ALL, real=True),
    refused("model: no tokenizer, inspect", INSPECT_WITH, r"\bm\b", "tokenizer",
            make=remove("m/tokenizer.json", "m/tokenizer_config.json")),
    *bad("no tokenizer.json", remove("m/tokenizer.json"), "tokenizer", commands="predict train"),
    *bad("half a tokenizer", text("m/tokenizer.json", "{"), "tokenizer", commands=SOME),
    *bad("a list as tokenizer", text("m/tokenizer.json", "[]"), "tokenizer"),
    *bad("a tokenizer without its model", text("m/tokenizer.json", '{"version": "1.0"}'), "tokenizer"),
    *bad("an empty tokenizer", text("m/tokenizer.json", ""), "tokenizer"),
    *bad("half a tokenizer's configuration", text("m/tokenizer_config.json", "{"), "tokenizer_config"),
    *bad("a list as tokenizer's configuration", text("m/tokenizer_config.json", "[]"), "tokenizer_config"),
    *bad("ids beyond the vocabulary", more_tokens, "vocab_size|embeddings|vocabulary", commands=ALL),
    refused("model: half a tokenizer, inspect", INSPECT_WITH, r"\bm\b", "tokenizer", make=text("m/tokenizer.json",
        "{")),
    *bad("no padding token", tokenizer(pad_token=None), "pad", commands=SOME),
    *bad("a padding token that it doesn't know", tokenizer(pad_token="[nope]"), "pad|nope|vocab"),
    *[row for limit, commands in ((0, ALL), (-1, "predict evaluate"), (3, ALL), (4, "predict export"), ("abc",
          "predict train"), (7.5, "predict"))
      for row in bad(f"model_max_length {limit}", tokenizer(model_max_length=limit), "model_max_length",
          commands=commands)],
    refused("model: model_max_length 'abc', inspect", INSPECT_WITH, "model_max_length",
            make=tokenizer(model_max_length="abc")),
    done("model: a tokenizer without a limit", PREDICT, ANSWER, make=tokenizer(model_max_length=10**30)),
    done("model: a pair longer than the model", PREDICT + f"--premise '{'a man ' * 5000}'", ANSWER),
    done("model: empty texts", PREDICT + "--premise '' --hypothesis ''", ANSWER),
    done("model: any Unicode", PREDICT + "--premise '\u202e\U0001f600\u0301\ufeff' --hypothesis '\0'".replace("\0",
        "\x7f"), ANSWER),
    done("model: a text of 128 KiB that is no word", PREDICT + f"--premise {'x' * 100_000}", ANSWER),
]  # fmt: skip

CODE = [
    *[
        refused(f"code: an unknown type, {name}", command, r"\bm\b", make=with_code("foo"), stdin="y\n" * 100,
                real=name == "predict")
        for name, command in (COMMANDS | {"inspect": INSPECT_WITH,
            "the Trainer": TRAINER}).items()
    ],
    *[
        either(f"code: a known type, {name}", command, r"\bm\b", make=with_code("bert"), stdin="y\n" * 100,
               check=nothing_ran)
        for name, command in COMMANDS.items()
    ],
    refused("code: a known type, push", PUSH, r"\bm\b", r"config\.json", "auto_map", make=with_code("bert")),
    refused("code: a known type, push of the tokenizer", PUSH, r"\bm\b", r"tokenizer_config\.json", "auto_map",
            make=tokenizer(auto_map={"AutoTokenizer": ["code.T", None]})),
    done("code: a known type, train without the tokenizer's", TRAIN, "Trained on", check=nothing_ran,
         make=both(with_code("bert", everything=False), tokenizer(auto_map={"AutoTokenizer": ["code.T", None]}))),
    *bad("pickled code as weights", pickled, "code|safetensors|pytorch_model.bin", commands=ALL, real=True),
]  # fmt: skip

PATHS = [
    *[
        refused(f"model: {title}, {name}", command.replace("path m", f"path {path}"), *words)
        for name, command in {"predict": PREDICT, "evaluate": EVALUATE, "train": TRAIN}.items()
        for title, path, *words in (
            ("nothing there", "./nope", r"\./nope", "no such|not found"),
            ("an empty name", "''", "--model_name_or_path|empty|name"),
            ("a file", "pairs.jsonl", r"pairs\.jsonl", "not a (model )?folder|folder"),
            ("a d2l checkpoint", "ck", r"\bck\b", "convert|config.json"),
        )
    ],
    refused("model: a name on the Hub, offline", PREDICT + "--model_name_or_path user/nope", "user/nope",
            "no such|Hub|offline"),
    refused("model: a folder of data", PREDICT + "--model_name_or_path folder", "folder", r"config\.json"),
    refused("model: a newline in the name", PREDICT + "--model_name_or_path 'no\nsuch'", r"no\\nsuch"),
    refused("model: a long name", PREDICT + "--model_name_or_path " + "x" * 300, "xxx"),
    refused("model: a name that leads nowhere", PREDICT + "--model_name_or_path a/b/c", "a/b/c", "no such|not found"),
    refused("model: export, nothing there", EXPORT + "--model_name_or_path ./nope", "nope"),
    refused("model: push, nothing there", PUSH + "--model_name_or_path ./nope", "nope", "no such"),
    refused("model: the Trainer, nothing there", TRAINER + "--model_name_or_path ./nope", "nope"),
    refused("model: inspect, nothing there", INSPECT_WITH + "--model_name_or_path ./nope", "nope"),
    done("model: a link to a folder", PREDICT + "--model_name_or_path link", ANSWER,
         make=lambda folder: (folder / "link").symlink_to("m")),
]  # fmt: skip

REPORTS = [
    done(f"model: {name} of {title}, {command.split()[0]}", command, "model|accuracy",
         make=lambda folder, name=name, content=content: (folder / "m" / name).write_text(content))
    for command, names in ((EVALUATE, ("conversion_report.json", "evaluations.json", "training.json")),
                           (TRAIN, ("conversion_report.json",)))
    for name in names
    for title, content in (("half an object", "{"), ("another shape", "[1]"), ("other keys", '{"model_sha256": 3}'))
]  # fmt: skip


def folder_as_report(folder: Path) -> None:
    shutil.copytree(folder / "folder", folder / "m" / "evaluations.json")


REPORTS.append(either("model: a folder as report", EVALUATE, "evaluations.json", make=folder_as_report))

ROWS = [*WEIGHTS, *LABELS, *CONFIGURATION, *TOKENIZER, *CODE, *PATHS, *REPORTS]
