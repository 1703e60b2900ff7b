"""`scripts/compare_truncation.py` on pairs whose tokens are counted by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/compare_truncation.py"


def pair(premise: int, hypothesis: int, label: str) -> dict[str, str]:
    return {"premise": "dog " * premise, "hypothesis": "cat " * hypothesis, "label": label}


def test_what_is_cut_and_what_becomes_of_it(model, tmp_path):
    """With 10 tokens, 3 of them special, 7 are left for both texts."""
    rows = [pair(8, 4, "entailment"), pair(2, 9, "neutral"), pair(3, 4, "contradiction"), pair(12, 3, "neutral")]
    data, out = tmp_path / "pairs.jsonl", tmp_path / "out"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows * 8))
    flags = {"model_name_or_path": model, "dataset": data, "validation_dataset": data, "output_dir": out}
    command = [sys.executable, SCRIPT, *(part for name, value in flags.items() for part in (f"--{name}", str(value)))]
    command += ["--max_seq_lengths", "32", "10", "--num_train_epochs", "1", "--seeds", "1", "2"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    report = json.loads((out / "truncation.json").read_text())
    assert (report["pairs"], report["premise_tokens"], report["hypothesis_tokens"]) == (32, 200, 160)
    results = {(each["max_seq_length"], each["truncation"]): each for each in report["results"]}
    # longest first: 4 3, 2 5, -, 4 3; in proportion: 5 2, 1 6, -, 6 1
    for way, premises, hypotheses, sides in (
        ("longest_first", 4 + 0 + 8, 1 + 4 + 0, (2, 2)),
        ("proportional", 3 + 1 + 6, 2 + 3 + 2, (3, 3)),
    ):
        cut = results[10, way]
        assert cut["pairs_cut"] == 8 * 3
        assert (cut["premise_tokens_cut"], cut["hypothesis_tokens_cut"]) == (8 * premises, 8 * hypotheses)
        assert (cut["premises_cut"], cut["hypotheses_cut"]) == (8 * sides[0], 8 * sides[1])
        assert len(cut["accuracy"]) == 2
    assert results[32, "longest_first"] == results[32, "proportional"] | {"truncation": "longest_first"}
    trained = {path.parent.name for path in out.glob("*/all_results.json")}
    assert trained == {
        f"{way}-{seed}" for way in ("longest_first-32", "longest_first-10", "proportional-10") for seed in (1, 2)
    }
    for seed, score in zip((1, 2), results[32, "longest_first"]["accuracy"], strict=True):
        own = json.loads((out / f"longest_first-32-{seed}/all_results.json").read_text())["eval_accuracy"]
        assert score == {"fine_tuned_long": own, "fine_tuned_alike": own}
    assert "| 10 | proportional | 75.0% | 40.0% | 35.0% |" in printed
    assert (out / "truncation.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_one_line(model, tmp_path):
    command = [sys.executable, SCRIPT, "--model_name_or_path", model, "--dataset", str(tmp_path / "nowhere.jsonl")]
    result = subprocess.run(
        [*command, "--output_dir", str(tmp_path / "out")], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 2 and "nowhere.jsonl" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max_seq_lengths", "16", "-5"], "--max_seq_length is -5"),
        (["--seeds", "1", "-1"], "--seed is -1"),
        (["--num_train_epochs", "0"], "--num_train_epochs is 0"),
    ],
)
def test_lists_are_checked_before_any_work(flags, message, model, tmp_path):
    places = ["--model_name_or_path", model, "--dataset", "nowhere.jsonl", "--output_dir", str(tmp_path / "out")]
    result = subprocess.run([sys.executable, SCRIPT, *places, *flags], capture_output=True, text=True, timeout=300)
    assert result.returncode == 2 and message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_told_before_the_work(model, pairs, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, SCRIPT, "--model_name_or_path", model, "--dataset", pairs, "--output_dir", str(out)]
    (out / "longest_first-16-1").mkdir(parents=True)
    (out / "longest_first-16-1/all_results.json").write_text("{")
    for flags, line in (
        (["--max_seq_lengths", "16"], "all_results.json: it doesn't hold an earlier run's accuracy; delete "),
    ):
        result = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=300)
        assert result.returncode == 2 and line in result.stderr.splitlines()[-1], result.stderr
        assert [path.name for path in out.iterdir()] == ["longest_first-16-1"]
