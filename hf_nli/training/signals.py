"""Signals that are noted instead of died of."""

from __future__ import annotations

import signal
import threading
from types import TracebackType


class SignalWatch:
    """Notes SIGTERM and SIGINT while it is entered; of the second one the process does what it did before.

    Attributes:
        noted: The signal that came, or 0.
    """

    def __init__(self) -> None:
        self.noted = 0
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> SignalWatch:
        if threading.current_thread() is threading.main_thread():  # others can't
            self._handlers = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: type | BaseException | TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self.noted = number
        signal.signal(number, self._handlers[number])
