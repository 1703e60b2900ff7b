"""What two processes agree on; and a single one."""

import json
import multiprocessing
import os
import signal
import socket

import pytest
from accelerate import PartialState

from hf_nli.core.errors import InputError
from hf_nli.core.processes import SignalWatch, in_turn, leave_others, on_main


def refuse(*ranks):
    def work():
        if PartialState().process_index in ranks:
            raise InputError(f"process {PartialState().process_index}: no such file")
        return PartialState().process_index

    return work


def outcome(function, work):
    try:
        return function(work)
    except InputError as error:
        return f"error: {error}"


def both(rank, port, folder):
    """What each of the two does."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"}
    PartialState(cpu=True)

    def find_what_the_first_left():
        if rank == 0:
            (folder / "cache").touch()
        return (folder / "cache").exists()

    outcomes = {
        "cache": outcome(in_turn, find_what_the_first_left),
        "own": outcome(in_turn, refuse()),
        "main fails": outcome(in_turn, refuse(0)),
        "other fails": outcome(in_turn, refuse(1)),
        "all fail": outcome(in_turn, refuse(0, 1)),
        "told": outcome(on_main, refuse(1)),
        "told of an error": outcome(on_main, refuse(0)),
    }
    (folder / f"{rank}.json").write_text(json.dumps(outcomes))
    leave_others()


def test_two_processes(tmp_path):
    """An error of one is all processes', and neither waits for the other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=both, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert (first.pop("own"), second.pop("own")) == (0, 1)
    assert first == second
    assert first == {
        "cache": True,
        "main fails": "error: process 0: no such file",
        "other fails": "error: process 1: no such file",
        "all fail": "error: process 0: no such file",
        "told": 0,
        "told of an error": "error: process 0: no such file",
    }


@pytest.mark.parametrize("function", [in_turn, on_main])
def test_one_process(function):
    PartialState(cpu=True)
    assert function(lambda: "done") == "done"
    with pytest.raises(InputError, match="process 0: no such file"):
        function(refuse(0))
    with pytest.raises(ZeroDivisionError):
        function(lambda: 1 / 0)


def test_signals_are_noted_for_a_while():
    before = signal.getsignal(signal.SIGTERM)
    with SignalWatch() as watch:
        assert watch.noted == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert watch.noted == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_of_the_second_signal_the_process_does_what_it_did_before():
    with pytest.raises(KeyboardInterrupt), SignalWatch() as watch:
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.noted == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_of_another_kind_counts_too():
    with pytest.raises(KeyboardInterrupt), SignalWatch() as watch:
        os.kill(os.getpid(), signal.SIGTERM)
        assert watch.noted == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_is_ignored_stays_ignored():
    """As SIGHUP under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalWatch() as watch:
            os.kill(os.getpid(), signal.SIGHUP)
            assert watch.noted == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    with SignalWatch() as watch:
        os.kill(os.getpid(), signal.SIGHUP)
        assert watch.noted == signal.SIGHUP
