"""`hf-nli quickstart`, as `make quickstart` runs it."""

import json
import os
import subprocess
import sys

import pytest
from helpers import write_tiny_model

from hf_nli.cli.quickstart import quickstart
from hf_nli.core.errors import InputError
from hf_nli.sample.sample import write_sample


def test_a_model_of_somebody_else_is_not_replaced(tmp_path):
    write_tiny_model(tmp_path / "model")
    for _ in range(2):  # the first time leaves nothing that could be taken for its own
        with pytest.raises(InputError, match="model holds a model already"):
            quickstart(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_quickstart(tmp_path):
    """In a folder that an earlier one left."""
    write_sample(tmp_path / "out/sample")
    for name in ("converted", "model"):
        write_tiny_model(tmp_path / "out" / name)
    command = [sys.executable, "-m", "hf_nli", "quickstart", "--output_dir", str(tmp_path / "out")]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr
    scores = json.loads((tmp_path / "out/scores/eval_results.json").read_text())
    assert scores["split"] == "test" and scores["accuracy"] > scores["baselines"]["majority"] + 0.25
    report = json.loads((tmp_path / "out/converted/conversion_report.json").read_text())
    assert report["max_abs_difference"] < 1e-4
    for figure in (f"accuracy {scores['accuracy']:.3f}", f"{report['max_abs_difference']:.1e} at most"):
        assert figure in result.stdout
    assert "AutoModelForSequenceClassification.from_pretrained" in result.stdout
    assert "hf-nli convert --source bert.small" in result.stdout
