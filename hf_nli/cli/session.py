"""What a command changes in its process, and puts back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout


def first_process() -> bool:
    """Whether this is the process that speaks: of several, one does, but for errors."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def session() -> Iterator[None]:
    """Prints this package's log on standard error and quietens other libraries, as long as the block takes."""
    import datasets  # noqa: F401  it sets its level when it is imported
    from huggingface_hub import utils as hub
    from transformers.utils import logging as transformers

    # On bad input they say on their own what our one line says better.
    levels = {"hf_nli": logging.INFO, "datasets": logging.CRITICAL, "transformers": logging.ERROR}
    with ExitStack() as undo:
        for name, level in levels.items():
            logger = logging.getLogger(name)
            undo.callback(logger.setLevel, logger.level)
            logger.setLevel(level)
        if transformers.is_progress_bar_enabled():
            # Transformers' switch is the Hub's, too.
            undo.callback(hub.disable_progress_bars if hub.are_progress_bars_disabled() else hub.enable_progress_bars)
            undo.callback(transformers.enable_progress_bar)
            transformers.disable_progress_bar()
        if first_process():
            # A handler of our own, not the root's, which would print other libraries' lines a second time.
            logger, handler = logging.getLogger("hf_nli"), logging.StreamHandler()
            undo.callback(logger.removeHandler, handler)
            logger.addHandler(handler)
        else:
            undo.enter_context(redirect_stdout(None))
        yield
