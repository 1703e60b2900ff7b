"""`hf-nli quickstart`, as `make quickstart` runs it."""

import json
import os
import subprocess
import sys


def test_quickstart(tmp_path):
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
