"""The README's Python runs as it stands."""

import json
import re
import shutil
from pathlib import Path

import pytest
from helpers import write_pairs

from hf_nli.inference.export import export
from hf_nli.inference.predictor import predict
from hf_nli.model.load import load_model

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.split("\n", 1)[0])
def test_example(code, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, "models/bert-small-snli")
    if "onnxruntime" in code:
        export("models/bert-small-snli", "models/onnx")
    write_pairs(Path("pairs.jsonl"))
    rows = [json.loads(line) for line in Path("pairs.jsonl").read_text().splitlines()]
    ids = {"entailment": 0, "neutral": 1, "contradiction": 2}
    rows = [row | {"label": ids[row["label"]]} for row in rows if row["label"] != "-"]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    if "label" in names:
        (prediction,) = predict(*load_model(model), [("A man sleeps.", "A man is awake.")])
        assert names["label"] == prediction["label"]


def test_there_are_examples():
    assert len(BLOCKS) == 6
