"""Exported models, in onnxruntime."""

import json
import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import d2l_model, write_checkpoint, write_tiny_model
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from hf_nli.cli import main
from hf_nli.core.errors import InputError
from hf_nli.d2l.convert import convert
from hf_nli.inference.export import export
from hf_nli.inference.export_check import NOTICEABLE, PAIRS, Comparison, check, check_batches, compare, onnx_run
from hf_nli.model.load import load_model

SIZES = {"vocab_size": 40, "num_hiddens": 32, "ffn_num_hiddens": 48, "num_heads": 4, "num_blks": 2, "max_len": 24}


@pytest.fixture(scope="module")
def converted(d2l, tmp_path_factory):
    """A lifted checkpoint: its word table carries large constants."""
    folder = tmp_path_factory.mktemp("converted")
    source = write_checkpoint(folder / "d2l", d2l_model(d2l, **SIZES).state_dict())
    convert(str(source), folder / "model", num_heads=4)
    return folder / "model"


@pytest.fixture(scope="module")
def exported(converted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    flags = ["--model_name_or_path", str(converted), "--format", "onnx", "--output_dir", str(folder)]
    assert main(["export", *flags]) == 0
    return folder


def random_batch(rows: int, length: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(rows)
    lengths = torch.randint(3, length + 1, (rows, 1))
    positions = torch.arange(length)
    ids = torch.randint(SIZES["vocab_size"], (rows, length))
    return {
        "input_ids": ids,
        "token_type_ids": (positions > lengths // 2).long(),
        "attention_mask": (positions < lengths).long(),
    }


def largest_difference(converted, folder, rows: int, length: int) -> float:
    batch = random_batch(rows, length)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (logits,) = session.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
    with torch.inference_mode():
        expected = AutoModelForSequenceClassification.from_pretrained(converted).eval()(**batch).logits
    assert logits.shape == (rows, 3) and expected.std() > 0.05
    return (torch.from_numpy(logits) - expected).abs().max().item()


def changed_model(folder: Path, change: Callable[[PreTrainedModel], object]) -> str:
    """A tiny model folder with some weights changed."""
    model = AutoModelForSequenceClassification.from_pretrained(write_tiny_model(folder))
    with torch.no_grad():
        change(model)
    model.save_pretrained(folder)
    return str(folder)


def damaged(folder: Path, target: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """A copy of an exported program with one of its tensors changed."""
    program = onnx.load(folder / "model.onnx")
    (tensor,) = (each for each in program.graph.initializer if each.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(tensor)), name))
    onnx.save(program, target / "model.onnx")
    return target / "model.onnx"


def check_program(model_folder: Path | str, program: Path, int8: bool) -> Comparison:
    model, tokenizer = load_model(str(model_folder))
    return check(model, onnx_run(program), check_batches(tokenizer, tokenizer.model_max_length), 8 if int8 else 32)


@pytest.mark.parametrize("rows, length", [(1, 3), (1, 24), (2, 7), (19, 11)])
def test_same_logits_for_any_number_and_length(rows, length, converted, exported):
    assert largest_difference(converted, exported, rows, length) <= 1e-4


def test_names_of_inputs_and_outputs(exported):
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    inputs = {each.name: tuple(each.shape) for each in session.get_inputs()}
    assert inputs.keys() == {"input_ids", "token_type_ids", "attention_mask"}
    assert len(set(inputs.values())) == 1
    batch, length = inputs["input_ids"]
    assert isinstance(batch, str) and isinstance(length, str)  # names, not numbers
    assert [(each.name, each.shape) for each in session.get_outputs()] == [("logits", [batch, 3])]


def test_folder_and_report(converted, exported):
    files = {file.name for file in exported.iterdir()}
    assert files >= {"model.onnx", "config.json", "tokenizer.json", "export_report.json"}
    report = json.loads((exported / "export_report.json").read_text())
    assert 0 < report["pytorch_float32_difference"] < 1e-5
    assert report["max_abs_difference"] <= 1e-4 and report["weights"] == "float32" and report["max_length"] == 24
    assert report["bytes"] == sum((exported / name).stat().st_size for name in ("model.onnx", "model.onnx.data"))
    assert report["labels"] == ["entailment", "neutral", "contradiction"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert json.loads((exported / name).read_text()) == json.loads((converted / name).read_text())
    pair = Tokenizer.from_file(str(exported / "tokenizer.json")).encode("word1 word2.", "word3")
    wanted = AutoTokenizer.from_pretrained(converted)("word1 word2.", "word3")
    assert (pair.ids, pair.type_ids) == (wanted["input_ids"], wanted["token_type_ids"])


@pytest.fixture(scope="module")
def exported_int8(converted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "int8"
    export(str(converted), folder, int8=True)
    return folder


def test_int8(converted, exported_int8):
    report = json.loads((exported_int8 / "export_report.json").read_text())
    assert report["weights"] == "int8" and 0 <= report["label_agreement"] <= 1
    assert 1e-4 < report["max_abs_difference"] < 0.1 and report["relative_error"] < NOTICEABLE
    # With the embeddings in 8 bits too, the lift's constants leave nothing of them.
    assert 1e-4 < largest_difference(converted, exported_int8, 19, 11) < 0.1


def test_int8_weights_are_unsigned(exported_int8):
    """Products with signed ones saturate on CPUs without VNNI.

    All matrices are in 8 bits but those of the last layer's keys and values, which one vector a head is multiplied by.
    """
    graph = onnx.load(exported_int8 / "model.onnx").graph
    types = {each.name: each.data_type for each in graph.initializer}
    products = [types[node.input[1]] for node in graph.node if node.op_type == "MatMulInteger"]
    assert products == [onnx.TensorProto.UINT8] * (4 * SIZES["num_blks"] + 2)
    assert onnx.TensorProto.INT8 not in types.values()


def test_int8_sums_dont_saturate(tmp_path):
    """All activations and weights of a layer at their largest: added up in pairs they don't fit into 16 bits."""

    def widen(model):
        layer = model.bert.encoder.layer[0]
        layer.attention.output.LayerNorm.weight.zero_()
        layer.attention.output.LayerNorm.bias.fill_(1)
        layer.intermediate.dense.weight.fill_(0.1)

    report = export(changed_model(tmp_path / "model", widen), tmp_path / "onnx", int8=True)
    assert report.relative_error < NOTICEABLE


def test_int8_that_is_far_off_is_refused(tmp_path, capsys):
    """A unit much larger than the others, which no weight reads, takes the 8 bits of the others' activations."""

    def add_outlier(model):
        model.bert.encoder.layer[-1].output.LayerNorm.bias[0] = 1000
        model.bert.pooler.dense.weight[:, 0] = 0

    flags = ["--model_name_or_path", changed_model(tmp_path / "model", add_outlier)]
    capsys.readouterr()
    assert main(["export", *flags, "--output_dir", str(tmp_path / "int8"), "--int8"]) == 2
    message = capsys.readouterr().err
    assert "in 8 bits onnxruntime's logits are off by" in message and message.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert main(["export", *flags, "--output_dir", str(tmp_path / "float32")]) == 0
    assert "PyTorch's label for 100% of 26 sentence pairs" in capsys.readouterr().out


@pytest.mark.parametrize("factor, told", [(1.1, True), (1.5, False), (float("nan"), False)])
def test_damaged_int8_program_is_told_or_refused(factor, told, converted, exported_int8, tmp_path, caplog):
    program = damaged(exported_int8, tmp_path, "classifier.weight_scale", lambda weight: weight * factor)
    with nullcontext() if told else pytest.raises(InputError, match="in 8 bits onnxruntime's logits are off by"):
        check_program(converted, program, int8=True)
    assert ("8 bits change this model's logits by" in caplog.text) == told


def test_other_label_order_is_told(tmp_path):
    labels = ["contradiction", "entailment", "neutral"]
    model = write_tiny_model(
        tmp_path / "model", id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)}
    )
    assert export(str(model), tmp_path / "onnx").labels == labels


def test_missing_package_is_named(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it weren't installed
    assert main(["export", "--model_name_or_path", model, "--output_dir", str(tmp_path / "onnx")]) == 2
    assert "export needs onnxscript; pip install 'hf-nli[export]'" in capsys.readouterr().err
    assert not (tmp_path / "onnx").exists()


def test_older_transformers_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers.exporters", ModuleType("transformers.exporters"))
    with pytest.raises(InputError, match="Transformers 5.23 or newer"):
        export(model, tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_program_that_differs_is_refused(factor, converted, exported, tmp_path):
    program = damaged(exported, tmp_path, "classifier.weight", lambda weight: weight * factor)
    with pytest.raises(InputError, match="logits differ from PyTorch's by"):
        check_program(converted, program, int8=False)


def test_models_that_float32_itself_changes_are_written(tmp_path):
    """A steep model may differ by more than 1e-4, if its float32 is no better in PyTorch."""
    steep = changed_model(tmp_path / "model", lambda model: model.classifier.weight.mul_(1e4))
    report = export(steep, tmp_path / "onnx")
    assert report.max_abs_difference > 1e-4 and report.pytorch_float32_difference > 1e-4
    assert report.label_agreement == 1


def test_comparison_by_hand(tmp_path):
    """Logits 0, 1, 2 for every pair: less their mean -1, 0, 1."""

    def set_logits(model):
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))

    model = changed_model(tmp_path / "model", set_logits)
    export(model, tmp_path / "onnx")

    def compared(*logits: float) -> tuple[float, ...]:
        bias = np.array(logits, np.float32)
        program = damaged(tmp_path / "onnx", tmp_path, "classifier.bias", lambda _: bias)
        loaded, tokenizer = load_model(model)
        comparison = compare(loaded, onnx_run(program), check_batches(tokenizer, 32))
        assert comparison.pairs == len(PAIRS) + 2 and comparison.pytorch_float32_difference == 0
        return comparison.label_agreement, comparison.max_abs_difference, comparison.relative_error

    assert compared(4, 5, 6) == (1, 4, 0)  # 4 more each: neither label nor probabilities change
    assert compared(1, 3, 2) == pytest.approx((0, 2, 1))  # off by 1, 2, 0: less their mean 0, 1, -1
    assert compared(0.25, 1, 1.75) == pytest.approx((1, 0.25, 0.25))


def test_comparing_leaves_the_model_as_it_was(converted, exported):
    model, tokenizer = load_model(str(converted))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    compare(model, onnx_run(exported / "model.onnx"), check_batches(tokenizer, 24))
    after = model.state_dict()
    assert all(tensor.equal(after[name]) and tensor.dtype == after[name].dtype for name, tensor in before.items())
    assert not any(parameter.is_inference() for parameter in model.parameters())


def test_logging_and_warnings_are_left_alone(model, tmp_path, monkeypatch):
    root, other = logging.getLogger(), logging.getLogger("torch.onnx")
    monkeypatch.setattr(root, "handlers", [])  # as in a program that configures no logging
    monkeypatch.setattr(root, "level", logging.INFO)
    monkeypatch.setattr(other, "level", logging.DEBUG)
    filters = list(warnings.filters)
    export(model, tmp_path / "onnx", int8=True)
    assert (root.level, root.handlers, other.level) == (logging.INFO, [], logging.DEBUG)
    assert warnings.filters == filters


def test_no_model(tmp_path, capsys):
    assert main(["export", "--model_name_or_path", str(tmp_path), "--output_dir", str(tmp_path / "onnx")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
