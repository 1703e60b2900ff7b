"""Exported models, in onnxruntime."""

import json
import sys
from types import ModuleType

import onnxruntime
import pytest
import torch
from helpers import d2l_model, write_checkpoint, write_tiny_model
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.d2l.convert import convert
from hf_nli.inference import export as module
from hf_nli.inference.export import export

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
    pair = Tokenizer.from_file(str(exported / "tokenizer.json")).encode("word1 word2.", "word3")
    wanted = AutoTokenizer.from_pretrained(converted)("word1 word2.", "word3")
    assert (pair.ids, pair.type_ids) == (wanted["input_ids"], wanted["token_type_ids"])


def test_int8(converted, tmp_path, capsys):
    flags = ["--model_name_or_path", str(converted), "--output_dir", str(tmp_path / "onnx"), "--int8"]
    assert main(["export", *flags]) == 0
    assert "int8" in capsys.readouterr().out
    report = json.loads((tmp_path / "onnx/export_report.json").read_text())
    assert 1e-4 < report["max_abs_difference"] < 0.1
    # With the embeddings in 8 bits too, the lift's constants leave nothing of them.
    assert 1e-4 < largest_difference(converted, tmp_path / "onnx", 19, 11) < 0.1


def test_other_label_order_is_told(tmp_path):
    labels = ["contradiction", "entailment", "neutral"]
    model = write_tiny_model(
        tmp_path / "model", id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)}
    )
    assert export(str(model), tmp_path / "onnx")["labels"] == labels


def test_missing_package_is_named(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "onnxscript" else sys)
    assert main(["export", "--model_name_or_path", model, "--output_dir", str(tmp_path / "onnx")]) == 2
    assert "export needs onnxscript; pip install 'hf-nli[export]'" in capsys.readouterr().err
    assert not (tmp_path / "onnx").exists()


def test_older_transformers_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers.exporters", ModuleType("transformers.exporters"))
    with pytest.raises(InputError, match="Transformers 5.23 or newer"):
        export(model, tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("difference, own", [(1e-3, 1e-7), (1e-3, 9e-5), (float("nan"), 1e-7)])
def test_program_that_differs_is_refused(difference, own, model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_differences", lambda *_: (difference, own))
    with pytest.raises(InputError, match="logits differ from PyTorch's by"):
        export(model, tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_models_that_float32_itself_changes_are_written(model, tmp_path, monkeypatch):
    """A steep model may differ by more than 1e-4, if its float32 is no better in PyTorch."""
    monkeypatch.setattr(module, "_differences", lambda *_: (6e-4, 4e-4))
    assert export(model, tmp_path / "onnx")["pytorch_float32_difference"] == 4e-4


def test_no_model(tmp_path, capsys):
    assert main(["export", "--model_name_or_path", str(tmp_path), "--output_dir", str(tmp_path / "onnx")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
