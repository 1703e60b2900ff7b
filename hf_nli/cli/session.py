"""What a command changes in its process, and puts back."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout

from hf_nli.core.environment import first_process, read_by

# On bad input other libraries say on their own what our one line says better.
_LEVELS = {"hf_nli": logging.INFO, "datasets": logging.CRITICAL, "transformers": logging.ERROR}
_LEVELS |= {"huggingface_hub": logging.ERROR, "pooch": logging.ERROR, "torch": logging.ERROR}


@contextmanager
def quiet() -> Iterator[None]:
    """Lets nobody print warnings or show progress bars of the Hub's, as long as the block takes."""
    with ExitStack() as undo:
        undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        # A logger without handlers at all prints warnings, as Matplotlib's of a HOME that can't be written to.
        undo.callback(logging.root.removeHandler, nowhere := logging.NullHandler())
        logging.root.addHandler(nowhere)
        with read_by():
            from huggingface_hub import utils as hub  # which sets its level when it is imported

        _set_levels(undo, ["huggingface_hub"])
        undo.callback(hub.disable_progress_bars if hub.are_progress_bars_disabled() else hub.enable_progress_bars)
        hub.disable_progress_bars()
        yield


@contextmanager
def session() -> Iterator[None]:
    """Prints this package's log on standard error and quietens other libraries, as long as the block takes."""
    with quiet(), ExitStack() as undo:
        undo.callback(_put_back, "MPLBACKEND", os.environ.get("MPLBACKEND"))
        os.environ["MPLBACKEND"] = "agg"  # no window is ever opened, and Matplotlib ends on one that it doesn't know
        _quieten(undo)
        if first_process():
            # A handler of our own, not the root's, which would print other libraries' lines a second time.
            logger, handler = logging.getLogger("hf_nli"), logging.StreamHandler()
            undo.callback(logger.removeHandler, handler)
            logger.addHandler(handler)
        else:
            undo.enter_context(redirect_stdout(None))
        yield


def _quieten(undo: ExitStack) -> None:
    """Sets the levels of loggers and turns off progress bars that aren't ours."""
    with read_by():
        import datasets
        import pooch  # noqa: F401  it sets its level when it is imported, as datasets does
        from transformers.utils import logging as transformers

    _set_levels(undo, _LEVELS)
    if datasets.is_progress_bar_enabled():
        undo.callback(datasets.enable_progress_bars)
        datasets.disable_progress_bars()
    if transformers.is_progress_bar_enabled():
        # Transformers' switch is the Hub's, too, which `quiet` puts back.
        undo.callback(transformers.enable_progress_bar)
        transformers.disable_progress_bar()


def _set_levels(undo: ExitStack, names: Iterable[str]) -> None:
    for name in names:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(_LEVELS[name])


def _put_back(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value
