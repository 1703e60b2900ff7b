"""`hf-nli reproduce` on local copies: the sample's checkpoint has as many heads as bert.small."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from helpers import launcher
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_nli.cli.run import main
from hf_nli.sample.sample import write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample"))


def flags(sample, output_dir, *others: str) -> list[str]:
    sources = ["--source", str(sample.checkpoint), "--dataset", str(sample.corpus), "--output_dir", str(output_dir)]
    return ["reproduce", *sources, "--max_seq_length", "32", *others]


def test_the_books_recipe_on_local_copies(sample, tmp_path, capsys):
    assert main(flags(sample, tmp_path / "out", "--recipe", "d2l", "--num_train_epochs", "1")) == 0
    out = capsys.readouterr().out
    results = json.loads((tmp_path / "out/model/all_results.json").read_text())
    scores = json.loads((tmp_path / "out/scores/eval_results.json").read_text())
    training = json.loads((tmp_path / "out/model/training.json").read_text())
    assert scores["split"] == "test"
    recipe = training["recipe"]
    assert (recipe["learning_rate"], recipe["per_device_train_batch_size"], recipe["dropout"]) == (1e-4, 512, 0.2)
    assert "the book  loss 0.519, train acc 0.791, test acc 0.784, 8,778.9 examples/sec on two GPUs" in out
    ours = f"loss {results['train_loss']:.3f}, train acc {results['train_accuracy']:.3f}"
    assert (
        f"here      {ours}, test acc {scores['accuracy']:.3f}, {results['examples_per_second']:,.1f} examples" in out
    )
    pairs = f"{results['num_train_examples']:,} to train on, {scores['examples']:,} to test on"
    assert f"pairs     {pairs} (the book: 549,367 to train on, 9,824 to test on)" in out
    assert "Accuracy" in (tmp_path / "out/model/README.md").read_text()
    AutoTokenizer.from_pretrained(tmp_path / "out/model")
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "out/model")


def test_two_processes_convert_once_and_speak_once(sample, tmp_path):
    program = [sys.executable, *launcher(), "-m", "hf_nli"]
    settings = ["--recipe", "tuned", "--max_train_steps", "4"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [*program, *flags(sample, tmp_path / "out", *settings)]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True).stdout
    assert out.count("the book  loss") == 1 and "examples/sec on cpu x 2" in out
    assert json.loads((tmp_path / "out/model/all_results.json").read_text())["num_processes"] == 2


def test_bert_base_is_taken_for_what_it_is(sample, tmp_path, capsys):
    """64 units don't divide among its 12 heads."""
    assert main(flags(sample, tmp_path / "out", "--checkpoint", "bert.base", "--recipe", "d2l-base")) == 2
    assert "a width of 64 can't be divided among 12 heads" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_data_without_test_pairs_are_refused_before_the_work(sample, pairs, tmp_path, capsys):
    sources = ["--source", str(sample.checkpoint), "--dataset", pairs, "--output_dir", str(tmp_path / "out")]
    assert main(["reproduce", *sources]) == 2
    assert "the chapter needs splits train and test; it has" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_network_it_says_what_it_wanted(sample, tmp_path, capsys):
    assert main(["reproduce", "--output_dir", str(tmp_path / "out")]) == 2
    assert "stanfordnlp/snli" in capsys.readouterr().err.splitlines()[-1]
    assert main(["reproduce", "--dataset", str(sample.corpus), "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "could not download" in error and "--source FILE" in error


def test_an_interrupted_run_goes_on(sample, tmp_path, capsys):
    """With the converted model that is there, if it is the checkpoint's; without being asked, no model is replaced."""
    steps = ["--recipe", "tuned", "--num_train_epochs", "1", "--checkpointing_steps", "10", "--max_train_steps", "20"]
    again, weights = flags(sample, tmp_path / "out", *steps), tmp_path / "out/converted/model.safetensors"
    assert main(again) == 0
    before = weights.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*again, "--resume_from_checkpoint", "latest"]) == 0
    assert "Going on from" in capsys.readouterr().err and weights.stat().st_mtime_ns == before
    assert main(again) == 2
    assert "out/converted holds a model already" in capsys.readouterr().err and weights.stat().st_mtime_ns == before
    report = tmp_path / "out/converted/conversion_report.json"
    report.write_text(report.read_text().replace('"sha1": "', '"sha1": "0'))  # another checkpoint's
    assert main([*again, "--resume_from_checkpoint", "latest"]) == 2
    assert "out/converted holds a model already" in capsys.readouterr().err and weights.stat().st_mtime_ns == before
    assert main([*again, "--overwrite_output_dir"]) == 0
    assert weights.stat().st_mtime_ns > before


@pytest.mark.parametrize("left", [["converted"], ["converted", "model"]])
def test_the_same_command_takes_up_what_a_killed_one_left(left, sample, tmp_path):
    """What was converted, or trained, before the kill isn't done again."""
    again = flags(sample, tmp_path / "out", "--max_train_steps", "2")
    assert main(again) == 0
    for name in {"converted", "model", "scores"} - set(left):
        shutil.rmtree(tmp_path / "out" / name)
    files = [tmp_path / "out" / name / "model.safetensors" for name in left]
    before = [file.stat().st_mtime_ns for file in files]
    assert main(again) == 0
    assert [file.stat().st_mtime_ns for file in files] == before
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"converted", "model", "scores"}
