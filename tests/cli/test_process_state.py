"""Global state of a process: importing changes none of it, and a command puts back what it sets."""

import importlib
import logging
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from process_state import process_state
from test_flags import LAUNCHED

import hf_nli
from hf_nli.cli.run import main

MODULES = sorted(
    each.name for each in pkgutil.walk_packages(hf_nli.__path__, "hf_nli.") if each.name != "hf_nli.__main__"
)
# What other libraries do when they are imported is done before.
PROGRAM = f"""
import importlib, sys
from contextlib import suppress
ours = {MODULES!r}
if len(sys.argv) == 1:
    for name in ours:
        importlib.import_module(name)
    print(*(name for name in sys.modules if not name.startswith(("hf_nli", "__m"))))
else:
    for name in sys.argv[1:]:
        with suppress(Exception):  # a few can be imported by their package alone
            importlib.import_module(name)
    from process_state import process_state, random_state
    before, numbers = process_state(), random_state()
    assert "hf_nli" not in sys.modules
    for name in ["hf_nli", *ours]:
        importlib.import_module(name)
        after = process_state()
        assert after == before, (name, [key for key in before if before[key] != after[key]])
    assert random_state() == numbers
    print(len(ours))
"""


def python(*arguments: str) -> str:
    """Runs a program in a new process; gives what it prints."""
    path = os.pathsep.join([str(Path(hf_nli.__file__).parents[1]), str(Path(__file__).parents[1])])
    result = subprocess.run(
        [sys.executable, "-c", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_changes_nothing():
    others = python(PROGRAM).split()
    assert "torch" in others and "transformers" in others
    assert python(PROGRAM, *others) == f"{len(MODULES)}\n"


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What is imported while a command runs would else count as the command's."""
    for name in MODULES:
        importlib.import_module(name)


@pytest.fixture
def unusual():
    """Settings that nobody has by default, so that those of a command show."""
    levels = {"hf_nli": 17, "datasets": 13, "transformers": 23}
    before, threads = {name: logging.getLogger(name).level for name in levels}, torch.get_num_threads()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    torch.set_num_threads(2)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("command", ["predict", "train", "evaluate", "bad input", "bad flag", "quickstart"])
def test_a_command_puts_back_what_it_sets(command, model, pairs, tmp_path, unusual):
    data = ["--model_name_or_path", model, "--dataset", pairs, "--output_dir", str(tmp_path / "out")]
    (tmp_path / "file").touch()
    flags, code = {
        "predict": (["predict", "--model_name_or_path", model, "--premise", "a", "--hypothesis", "b"], 0),
        "train": (["train", *data, "--max_train_steps", "1"], 0),
        "evaluate": (["evaluate", *data], 0),
        "bad input": (["evaluate", *data, "--split", "nowhere"], 2),
        "bad flag": (["evaluate", *data, "--splits", "nowhere"], 2),
        "quickstart": (["quickstart", "--output_dir", str(tmp_path / "file")], 2),
    }[command]
    before = process_state()
    assert main(flags) == code
    after = process_state()
    assert after == before, [(before[name], after[name]) for name in before if before[name] != after[name]]


def test_the_second_of_several_processes_prints_nothing(model, monkeypatch, capsys, unusual):
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    before = process_state()
    pair = ["--premise", "a", "--hypothesis", "b"]
    assert main(["predict", "--model_name_or_path", model, *pair]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["predict", "--model_name_or_path", "nowhere", *pair]) == 2
    assert capsys.readouterr() == ("", "")  # the first one says it
    assert process_state() == before
