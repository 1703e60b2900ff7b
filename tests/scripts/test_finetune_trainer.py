"""`scripts/finetune_trainer.py`: what it refuses is one line, before the work."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/finetune_trainer.py"
FILES = {
    "no such file": ("nowhere.yaml", None, "nowhere.yaml: it can't be read (No such file or directory)"),
    "list": ("list.yaml", "[1]", "list.yaml: give names and values, as in learning_rate: 0.0002"),
    "damaged": ("damaged.json", "{'a'", "damaged.json: it can't be read (Expecting property name"),
    "word for a number": ("word.json", '{"learning_rate": "fast"}', "--learning-rate: invalid float value: 'fast'"),
    "a needed one is missing": ("few.json", '{"seed": 1}', "arguments are required: --model_name_or_path/"),
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def script():
    """The script's functions, which need no process of their own."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("finetune_trainer", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name, text, line", FILES.values(), ids=FILES)
def test_a_file_of_settings(name, text, line, script, tmp_path, monkeypatch, capsys):
    from hf_nli.cli.end import end

    if text is not None:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), name])
    assert end("finetune_trainer.py", script.main, closing=False) == 2
    error = capsys.readouterr().err
    assert error.startswith("finetune_trainer.py: error: ") and line in error and error.count("\n") == 1


def test_as_people_run_it(tmp_path):
    result = run("--epochs", "3")
    line = "finetune_trainer.py: error: unknown flag --epochs; the nearest is --num_train_epochs\n"
    assert (result.returncode, result.stderr) == (2, line)
    result = run("--epochs", "3", LOCAL_RANK="0")
    assert result.returncode == 2 and "the environment sets LOCAL_RANK, but not RANK" in result.stderr


def test_a_signal_while_modules_are_loaded(tmp_path):
    (tmp_path / "datasets.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    path = os.pathsep.join([str(tmp_path), str(SCRIPT.parents[1])])
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (143, "finetune_trainer.py: stopped by SIGTERM\n")
