"""What is said about a data set, against counts by hand."""

import json

import numpy
import pytest
from nli_files import PAIRS, write_jsonl, write_release
from PIL import Image

from hf_nli.cli.run import main
from hf_nli.evaluation.figures import length_histogram
from hf_nli.evaluation.inspection import inspect_data

WORDS = "a man runs ."  # the tiny model knows these; "cat-like" and "!" it doesn't
ROWS = [{"premise": " ".join([WORDS] * n), "hypothesis": "a cat-like man!", "label": "neutral"} for n in range(10)]


@pytest.fixture
def release(tmp_path):
    dropped = [dict(ROWS[0], label="-")] * 2
    other = dict(ROWS[0], label="entailment", hypothesis="")
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": ROWS + dropped, "dev": [*ROWS[3:5], other]})
    return str(tmp_path / "snli_1.0")


def test_counts(release, model, tmp_path):
    results = inspect_data(release, model, tmp_path / "report", max_seq_length=27)
    written = json.loads((tmp_path / "report/inspect_results.json").read_text())
    assert written == results.as_dict()
    assert list(written) == ["dataset", "model", "max_seq_length", "splits", "shared"] and written["model"] == model
    train, validation = (results.splits[name] for name in ("train", "validation"))
    assert (train.pairs, train.dropped) == (10, 2)
    assert train.labels == {"entailment": 0, "neutral": 10, "contradiction": 0}
    assert train.empty == {"premise": 1, "hypothesis": 0}
    assert train.tokens["premise"] == {"p50": 16, "p90": 32, "p99": 36, "p100": 36}
    assert train.tokens["hypothesis"] == {"p50": 4, "p90": 4, "p99": 4, "p100": 4}
    assert train.tokens["pair"] == {"p50": 23, "p90": 39, "p99": 43, "p100": 43}
    assert train.truncated == 4  # 31, 35, 39, 43; 27 just fits
    assert train.unk_rate == pytest.approx(20 / (45 * 4 + 40))
    assert validation.labels == {"entailment": 1, "neutral": 2, "contradiction": 0}
    assert validation.empty == {"premise": 1, "hypothesis": 1}
    assert results.shared == 2
    picture = Image.open(tmp_path / "report/length_histogram.png")
    assert picture.size[0] > 500 and len(picture.convert("RGB").getcolors(100_000)) > 10


def test_histogram_of_a_very_long_pair(tmp_path):
    """A stair for each of three million lengths would take hours to draw."""
    counts = numpy.zeros(3_000_000, numpy.int64)
    counts[[3, -1]] = 1
    length_histogram({"train": counts, "dev": numpy.array([0, 1])}, 128, tmp_path / "lengths.png")
    assert Image.open(tmp_path / "lengths.png").size == (840, 480)


def test_command(release, model, tmp_path, capsys):
    assert main(["inspect", "--dataset", release, "--model_name_or_path", model, "--max_seq_length", "27"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "train: 10 pairs (0 entailment, 10 neutral, 0 contradiction), 2 without a gold label dropped"
    assert [line.split() for line in lines[2:9]] == [
        "empty: 1 premise, 0 hypothesis".split(),
        "tokens: 50 % 90 % 99 % longest".split(),
        "premise 16 32 36 36".split(),
        "hypothesis 4 4 4 4".split(),
        "pair 23 39 43 43".split(),
        "unknown to the model: 9.09% of the tokens".split(),
        "longer than 27: 4 pairs (40.00%)".split(),
    ]
    assert lines[-1] == "2 training pairs are validation pairs, too"
    assert not [path for path in tmp_path.iterdir() if path.name != "snli_1.0"]


def test_without_a_model_words_are_counted(tmp_path, capsys):
    source = write_jsonl(tmp_path / "pairs.jsonl", [dict(pair, label="entails") for pair in PAIRS])
    assert main(["inspect", "--dataset", source]) == 0
    output = capsys.readouterr().out
    assert "3 pairs (3 entailment, 0 not_entailment)" in output and "words:" in output and "unknown" not in output
    split = inspect_data(source, output_dir=tmp_path / "report").splits["train"]
    # A man says `` hi '' -lrb- twice -rrb- . / A man speaks . / n/a
    assert split.tokens["premise"]["p100"] == 10 and split.tokens["pair"]["p100"] == 17
    written = json.loads((tmp_path / "report/inspect_results.json").read_text())
    assert written["model"] is None and written["splits"]["train"]["unk_rate"] is None and "shared" not in written


def test_bad_input(release, tmp_path, capsys):
    for flags in (["--dataset", "nowhere.csv"], ["--dataset", release, "--model_name_or_path", str(tmp_path)]):
        assert main(["inspect", *flags, "--output_dir", str(tmp_path / "report")]) == 2
    assert main(["inspect", "--dataset", release, "--max_seq_length", "0"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 3 and "--max_seq_length is 0" in errors[2] and not (tmp_path / "report").exists()
