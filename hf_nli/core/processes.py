"""What the processes of a run have to agree on, and the signals that end it."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from hf_nli.core.environment import STOP_SIGNALS
from hf_nli.core.errors import InputError

T = TypeVar("T")


def in_turn(work: Callable[[], T]) -> T:
    """Calls a function on the main process, then on the others, which find in the caches what it put there.

    Args:
        work: What all processes have to do.

    Returns:
        What the function returned on this process.

    Raises:
        InputError: On all processes if the function raised one on any, so that none waits for one that has ended.
    """
    result, main = None, PartialState().is_main_process
    for turn in (True, False):
        error = None
        if main is turn:
            try:
                result = work()
            except InputError as failure:
                error = failure
        _raise_first(gather_object([error]))
    return result  # type: ignore[return-value]  # each process has had its turn


def on_main(work: Callable[[], T]) -> T:
    """Calls a function on the main process alone.

    Args:
        work: What to do there; it has to return something that can be pickled.

    Returns:
        What it returned, on all processes.

    Raises:
        InputError: On all processes, if the function raised one.
    """
    outcome: list[T | InputError | None] = [None]
    if PartialState().is_main_process:
        try:
            outcome = [work()]
        except InputError as failure:
            outcome = [failure]
    broadcast_object_list(outcome)
    _raise_first(outcome)
    return outcome[0]  # type: ignore[return-value]


def leave_others() -> None:
    """Parts from the other processes, at the end of a program: PyTorch may abort it on its way out else.

    Nothing may refer to a model on several processes any more. What PyTorch wraps it in holds the group, and frees
    it, where it is the last to hold it, while it keeps Python's lock, for which a thread of the group may wait.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.destroy_process_group()


def _raise_first(outcomes: Sequence[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, InputError):
            raise outcome


class SignalWatch:
    """Notes SIGTERM, SIGINT and SIGHUP while it is entered; of a second one the process does what it did before.

    One that the process ignores, as SIGHUP under nohup, stays ignored.

    Attributes:
        noted: The signal that came, or 0.
    """

    def __init__(self) -> None:
        self.noted = 0
        self._handlers: dict[int, signal.Handlers | Callable[..., object] | int | None] = {}

    def __enter__(self) -> SignalWatch:
        if threading.current_thread() is threading.main_thread():  # others can't
            before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
            self._handlers = {number: each for number, each in before.items() if each is not signal.SIG_IGN}
            for number in self._handlers:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: type | BaseException | TracebackType | None) -> None:
        self._put_back()

    def _note(self, number: int, _: object) -> None:
        self.noted = number
        self._put_back()

    def _put_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
