"""How a command ends: by signals, without an output, in any encoding, by a fault of ours, in odd environments."""

import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import hf_nli
from hf_nli.cli.command import Command
from hf_nli.cli.end import end
from hf_nli.cli.run import execute, main
from hf_nli.core.environment import check_environment, first_process, read_by
from hf_nli.core.errors import InputError, Interrupted

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
PREDICT = ["predict", "--premise", "a", "--hypothesis", "b", "--model_name_or_path"]


def raising(error: BaseException):
    """Work that ends in an error."""

    def work(_):
        raise error

    return work


def hf_nli_command(*arguments: str, redirect: str = "", **environment: str) -> subprocess.CompletedProcess:
    """The real command, through a shell for what becomes of its output."""
    path = str(Path(hf_nli.__file__).parents[1])
    command = ["sh", "-c", f'"$@" {redirect}', "sh", sys.executable, "-m", "hf_nli", *arguments]
    environment = os.environ | {"PYTHONPATH": path} | environment
    return subprocess.run(command, capture_output=True, timeout=300, env=environment)


@pytest.mark.parametrize("number, code", CODES.items())
def test_a_signal_undoes_what_is_half_written(number, code, capsys, tmp_path):
    before = [signal.getsignal(each) for each in CODES]
    half = tmp_path / "half"

    def work(signals):
        signals.at_once = False
        try:
            half.touch()
            signal.raise_signal(number)
            half.rename(tmp_path / "whole")
        finally:
            assert signal.getsignal(number) == signal.SIG_DFL  # a second one ends the process
            half.unlink()

    assert end("hf-nli x", work, closing=False) == code
    assert capsys.readouterr() == ("", f"hf-nli x: stopped by {number.name}\n")
    assert list(tmp_path.iterdir()) == [] and [signal.getsignal(each) for each in CODES] == before


@pytest.mark.parametrize("turned_into", [None, InputError("d.csv: can't be loaded (KeyboardInterrupt)"), OSError(5)])
def test_a_signal_that_a_library_swallows_is_one_all_the_same(turned_into, capsys):
    def work(signals):
        signals.at_once = False
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            if turned_into:
                raise turned_into from None

    assert end("x", work, closing=False) == 143
    assert capsys.readouterr().err == "x: stopped by SIGTERM\n"


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert end("x", lambda _: signal.raise_signal(signal.SIGHUP), closing=False) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_that_come_together(capsys, monkeypatch):
    """As a closed terminal's and a launcher's; those after the first are none of ours, and Python would tell them."""

    def work(signals):
        signals.at_once = False
        signal.pthread_sigmask(signal.SIG_BLOCK, CODES)
        for number in CODES:
            signal.raise_signal(number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CODES)

    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    assert end("x", work, closing=False) in (130, 143)
    assert re.fullmatch(r"x: stopped by SIG\w+\n", capsys.readouterr().err)
    assert told == [] and sys.unraisablehook == told.append


@pytest.mark.parametrize("command", ["predict", "inspect", "export", "cache"])
@pytest.mark.parametrize("number, code", CODES.items())
def test_a_signal_while_modules_are_loaded(number, code, command, tmp_path, model, pairs):
    """Here of a program that waits in the place of torch, whose import takes seconds."""
    (tmp_path / "transformers.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(hf_nli.__file__).parents[1])])}
    flags = {"predict": [*PREDICT[1:], model], "inspect": ["--dataset", pairs], "cache": []}
    flags["export"] = ["--model_name_or_path", model, "--output_dir", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "hf_nli", command, *flags[command]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout.readline() == "loading\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (code, f"hf-nli {command}: stopped by {number.name}\n")


def test_an_interrupted_run_says_how_to_go_on(capsys):
    assert end("x", raising(Interrupted("stopped after step 3", signal.SIGTERM)), closing=False) == 143
    assert capsys.readouterr().err == "x: stopped after step 3\n"


def test_a_fault_of_ours_is_one_line_and_its_traceback_a_file(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert end("x", raising(KeyError("a\nb")), closing=False) == 1
    (report,) = tmp_path.iterdir()
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("x: error: a fault of hf-nli's own, KeyError: ")
    assert str(report) in error and "report it" in error and "HF_NLI_DEBUG=1" in error
    assert f"hf-nli {hf_nli.__version__}" in report.read_text() and "in raising" not in error
    assert "Traceback (most recent call last)" in report.read_text() and "raise error" in report.read_text()
    monkeypatch.setenv("HF_NLI_DEBUG", "1")
    assert end("x", raising(KeyError("a")), closing=False) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.delenv("HF_NLI_DEBUG")
    assert end("x", raising(KeyError("a")), closing=False) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "can't be written (No such file or directory)" in error


CAUSES = {
    "full disk": (OSError(errno.ENOSPC, "No space left on device", "o/model"), "o/model: No space left on device;"),
    "read-only": (OSError(errno.EROFS, "Read-only file system", b"o\xff"), r"o\udcff: Read-only file system; "),
    "no folder": (FileNotFoundError(errno.ENOENT, "No such file or directory"), "the current folder was deleted"),
    "files": (OSError(errno.EMFILE, "Too many open files"), "Too many open files; close other programs, or raise"),
    "memory": (MemoryError(), "not enough memory"),
    "torch's": (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
    "other library's pipe": (BrokenPipeError(errno.EPIPE, "Broken pipe"), "a fault of hf-nli's own, BrokenPipeError"),
}


@pytest.mark.parametrize("error, line", CAUSES.values(), ids=CAUSES)
def test_what_the_machine_refuses_is_told_as_that(error, line, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert end("x", raising(error), closing=False) == (1 if "fault" in line else 2)
    told = capsys.readouterr().err
    assert told.startswith(f"x: error: {line}") and told.count("\n") == 1


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    "redirect, code, line",
    [
        ("> /dev/full", 1, "hf-nli: error: standard output can't be written to (No space left on device)\n"),
        (">&-", 1, "hf-nli: error: standard output is closed; give it a place, if only > /dev/null\n"),
        ("2>&-", 0, ""),
    ],
)
def test_output_that_is_full_or_closed(redirect, code, line, buffered):
    result = hf_nli_command("--version", redirect=redirect, PYTHONUNBUFFERED=buffered)
    assert (result.returncode, result.stderr.decode()) == (code, line)


def test_a_broken_pipe_is_no_news(model, capsys):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as broken, redirect_stdout(broken):
        assert main([*PREDICT, model]) == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_json_in_any_encoding(encoding, model):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    with redirect_stdout(output):
        assert main([*PREDICT, model, "--premise", "café 😀"]) == 0
    assert json.loads(output.buffer.getvalue().decode(encoding))["premise"] == "café 😀"


def test_names_in_any_encoding():
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    with redirect_stdout(output):
        assert end("x", lambda _: print("o\udcff in é"), closing=False) == 0
    assert output.buffer.getvalue() == rb"o\udcff in \xe9" + b"\n"


LAUNCHED = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
ENVIRONMENTS = {
    "a scheduler's rank": ({"RANK": "3"}, None),
    "a scheduler's size": ({"WORLD_SIZE": "4"}, None),
    "no rank": ({"LOCAL_RANK": "-1", "RANK": "1"}, None),
    "a thread for each of two levels": ({"OMP_NUM_THREADS": "4,2"}, None),
    "no number": ({"RANK": "x"}, "RANK is 'x', not a number"),
    "no threads": ({"OMP_NUM_THREADS": "x"}, "OMP_NUM_THREADS is 'x'; set it to"),
    "zero threads": ({"OMP_NUM_THREADS": "0"}, "OMP_NUM_THREADS is '0'; set it to"),
    "a local rank alone": ({"LOCAL_RANK": "0"}, "LOCAL_RANK, but not RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT; "),
    "one is missing": (LAUNCHED | {"WORLD_SIZE": ""}, "WORLD_SIZE is ''"),
    "on CPUs": ({"WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}, "WORLD_SIZE, but not RANK, MASTER_ADDR"),
    "more than there are": (LAUNCHED | {"RANK": "2"}, "RANK is 2, but WORLD_SIZE 2"),
    "launched": (LAUNCHED, None),
}


@pytest.mark.parametrize("variables, line", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_environment(variables, line, monkeypatch):
    for name in (*LAUNCHED, "ACCELERATE_USE_CPU", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if line is None:
        check_environment()
        assert first_process() == (variables is not LAUNCHED)
    else:
        with pytest.raises(InputError) as error:
            check_environment()
        assert line in str(error.value) and "\n" not in str(error.value)


def test_a_scheduler_s_rank_silences_nothing(monkeypatch, model, capsys):
    monkeypatch.setenv("RANK", "1")
    assert main([*PREDICT, model]) == 0
    assert json.loads(capsys.readouterr().out)["premise"] == "a"


def test_a_library_that_cannot_start(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "foo")
    monkeypatch.setenv("ACCELERATE_TOKEN", "secret")
    line = "Accelerate can't start .invalid truth value foo.; look at the environment: ACCELERATE_USE_CPU=foo$"
    with pytest.raises(InputError, match=line):
        with read_by("Accelerate", ("ACCELERATE_",)):
            raise ValueError("invalid truth value foo")
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    with pytest.raises(ValueError, match="^invalid truth"), read_by("Accelerate", ("ACCELERATE_",)):
        raise ValueError("invalid truth value foo")


def test_other_libraries_say_nothing(capsys, monkeypatch):
    """Warnings of Python, of a logger without handlers, as Matplotlib's, and of MPLBACKEND."""
    import logging
    import warnings

    monkeypatch.setenv("MPLBACKEND", "foo")

    def work():
        warnings.warn("detected pickle protocol 4", stacklevel=1)
        logging.getLogger("elsewhere").warning("HOME can't be written to")
        assert os.environ["MPLBACKEND"] == "agg"
        raise InputError("no")

    command = Command("x", "", (), work, ())
    assert execute(command, "x", []) == 2
    assert capsys.readouterr() == ("", "x: error: no\n") and os.environ["MPLBACKEND"] == "foo"


def test_names_of_any_locale(model, tmp_path):
    """Under LC_ALL=C without Python's UTF-8 mode, where é isn't one that tokenizers can open."""
    folder = tmp_path / "modèle"
    shutil.copytree(model, folder)
    result = hf_nli_command(*PREDICT, str(folder), LC_ALL="C", PYTHONUTF8="0")
    assert result.returncode == 0 and json.loads(result.stdout)["premise"] == "a", result.stderr


@pytest.mark.parametrize("command", ["train", "convert", "export", "quickstart", "reproduce"])
def test_a_folder_of_a_name_that_is_no_utf_8(command, model, tmp_path, capsys):
    needed = {"train": ["--model_name_or_path", model, "--dataset", "d"], "convert": ["--source", "bert.small"]}
    needed |= {"export": ["--model_name_or_path", model]}
    assert main([command, *needed.get(command, []), "--output_dir", str(tmp_path / "o\udcff")]) == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1
        and r"o\udcff" in error
        and "the name isn't UTF-8" in error
        and list(tmp_path.iterdir()) == []
    )


def test_a_quickstart_that_is_stopped_can_be_started_again(tmp_path, monkeypatch, capsys):
    def train(model, corpus, output_dir, *_, **__):
        (output_dir / "checkpoint-3").mkdir(parents=True)
        raise Interrupted("stopped, to go on give --resume_from_checkpoint", signal.SIGTERM)

    monkeypatch.setattr("hf_nli.training.train.train", train)
    assert main(["quickstart", "--output_dir", str(tmp_path)]) == 143
    error = capsys.readouterr().err
    assert error.endswith("hf-nli quickstart: stopped by SIGTERM; the same command starts it anew\n")
    assert {path.name for path in tmp_path.iterdir()} == {"sample", "converted"}
