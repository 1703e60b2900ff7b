"""The README's Python runs as it stands."""

import re
import shutil
from pathlib import Path

import pytest
from helpers import write_pairs

from hf_nli.inference.export import export
from hf_nli.inference.predictor import predict
from hf_nli.model.load import load_model

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SENTENCE = "A man sleeps."
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.split("\n", 1)[0])
@pytest.mark.parametrize("premise", [SENTENCE, 300 * SENTENCE], ids=["sentence", "document"])
def test_example(code, premise, model, tmp_path, monkeypatch):
    """On a sentence and on a document of 1,200 tokens, on a file with label names."""
    code = code.replace(SENTENCE, premise)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, "models/bert-small-snli")
    if "onnxruntime" in code:
        report = export("models/bert-small-snli", "models/onnx")
        code = code.replace("enable_truncation(512)", f"enable_truncation({report.max_length})")
    write_pairs(Path("pairs.jsonl"))
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    if "label" in names:
        (prediction,) = predict(*load_model(model), [(premise, "A man is awake.")])
        assert names["label"] == prediction["label"]


def test_there_are_examples():
    assert len(BLOCKS) == 9
