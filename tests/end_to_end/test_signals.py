"""Commands that are stopped in the middle: one line, the right code, nothing half-written."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable

import pytest
from bad_inputs.rows import CONVERT, EXPORT, INSPECT, tree, write_template
from helpers import write_pairs
from test_bad_inputs import lines
from warm_process import Call, Ended, finished, forked, forking, started

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


def half_written(call: Call) -> bool:
    """Whether a hidden folder is there, which is half-written until the command ends."""
    return any(path.name.startswith(".") for path in call.folder.iterdir())


def counting(call: Call) -> bool:
    """Whether the bar is there of what takes seconds."""
    errors = call.streams[2]
    return errors.exists() and "Counting" in errors.read_text()


MIDDLES: dict[str, tuple[str, Callable[[Call], bool]]] = {
    "convert": (CONVERT, half_written),
    "export": (EXPORT, half_written),
    "inspect": (INSPECT + "many.jsonl", counting),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = write_template(tmp_path_factory.mktemp("signals") / "template")
    write_pairs(folder / "many.jsonl", repeat=1500)
    return folder


@pytest.fixture
def folder(template, tmp_path):
    return shutil.copytree(template, tmp_path / "work")


def in_the_middle(call: Call, reached: Callable[[Call], bool], *numbers: signal.Signals, real: bool = False) -> Ended:
    """Runs a command that gets signals as soon as it is there."""
    process = started(call) if real else forking(call)
    deadline = time.monotonic() + call.limit
    while not reached(call):
        assert time.monotonic() < deadline, call.streams[2].read_text()
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGSTOP)  # so that several signals come at once
    for number in (*numbers, signal.SIGCONT):
        os.kill(process.pid, number)
    return finished(process, call)


def last_words(ended: Ended) -> list[str]:
    """What a command said after what it had to say of its data."""
    return [line for line in lines(ended.errors) if not line.startswith("many.jsonl, train: ")]


@pytest.mark.parametrize("command", MIDDLES)
@pytest.mark.parametrize(("number", "real"), [*[(number, False) for number in CODES], (signal.SIGTERM, True)])
def test_a_signal_in_the_middle(number, real, command, folder):
    words, reached = MIDDLES[command]
    before, call = tree(folder), Call(shlex.split(words), folder)
    ended = in_the_middle(call, reached, number, real=real)
    assert (ended.code, ended.output) == (CODES[number], ""), ended
    assert last_words(ended) == [f"hf-nli {command}: stopped by {number.name}"] and tree(folder) == before


@pytest.mark.parametrize("command", MIDDLES)
def test_several_signals_at_once(command, folder):
    """As from a terminal that is closed and a launcher that ends: whichever ends it, there is a line at most."""
    words, reached = MIDDLES[command]
    before, call = tree(folder), Call(shlex.split(words), folder)
    ended = in_the_middle(call, reached, *CODES)
    assert ended.code in (*CODES.values(), *(-number for number in CODES)) and len(last_words(ended)) <= 1, ended
    after = tree(folder)
    assert {name: after[name] for name in before} == before
    ended = forked(call)
    assert ended.code == 0 and not half_written(call), ended
