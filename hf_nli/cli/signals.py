"""Ctrl-C and its like, from the first moment of a command to its last."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from hf_nli.cli.output import tell
from hf_nli.core.environment import STOP_SIGNALS


def stopped_by(number: int) -> str:
    """Says which signal came."""
    return f"stopped by {signal.Signals(number).name}"


class Stopped(KeyboardInterrupt):
    """A signal asked the command to stop."""


class Signals:
    """What SIGINT, SIGTERM and SIGHUP do while this is entered; one that is ignored, as under nohup, stays so.

    The first one raises `Stopped`, so that what is half-written vanishes; a second one ends the process at once.

    Args:
        prog: What the line begins with that says which signal came.
        closing: Whether the process ends after this; signals keep their meaning until it has.

    Attributes:
        noted: The signal that came, or 0.
        at_once: Whether there is nothing to clean up, and a signal ends the process where it is: while modules are
            loaded, as libraries don't all pass an exception on then, and while Python closes down.
    """

    def __init__(self, prog: str, closing: bool) -> None:
        self.noted = 0
        self.at_once = True
        self._prog = prog
        self._closing = closing
        self._before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        self._unraisable = sys.unraisablehook

    def __enter__(self) -> Signals:
        self._set(self._stop)
        if self._closing:
            # The last thing that Python does before it forgets handlers; from then on it takes no time that counts.
            atexit.register(self._set, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        self.at_once = True
        if not self._closing:
            self._set(None)
            sys.unraisablehook = self._unraisable

    def _set(self, handler: Callable[[int, FrameType | None], None] | signal.Handlers | None) -> None:
        if threading.current_thread() is threading.main_thread():  # others can't
            for number, before in self._before.items():
                if before not in (signal.SIG_IGN, None):
                    signal.signal(number, before if handler is None else handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        # Python has no other way to tell of a signal that came at the same time, nor of what this one breaks off.
        sys.unraisablehook = lambda _: None
        self._set(signal.SIG_DFL)
        self.noted = number
        if self.at_once:
            tell(self._prog, stopped_by(number))
            os._exit(STOP_SIGNALS[number])
        raise Stopped
