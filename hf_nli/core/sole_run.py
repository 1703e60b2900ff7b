"""One run at a time writes a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from hf_nli.core.disk import OTHER_FOLDER, OTHER_HOME, check_output, disk_errors
from hf_nli.core.errors import InputError
from hf_nli.core.files import locked
from hf_nli.core.staging import clean


@contextmanager
def sole_run(output_dir: str | Path, remedy: str = OTHER_FOLDER) -> Iterator[Path]:
    """Keeps other runs out of a folder as long as the block takes, and cleans up what killed ones left of writing it.

    Of several processes of one run, the main process does this for all.

    Args:
        output_dir: The folder that the run will write.
        remedy: What to do if it can't be written.

    Raises:
        InputError: If another run writes it, or it can't be written.
    """
    target = check_output(output_dir, remedy)
    lock = locked(target / "run")  # not the folder's own, which is held for moments
    holder = Path(lock.lock_file).with_suffix(".json")
    try:
        held = lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"{output_dir}: {_told(holder)}; wait for its end, or {remedy}") from error
    with held:
        clean(target)
        with disk_errors(holder.parent, OTHER_HOME):
            holder.write_text(json.dumps({"process": os.getpid(), "started": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}))
        yield target


def _told(holder: Path) -> str:
    try:
        run = json.loads(holder.read_text())
        return f"another run writes there, process {run['process']}, started {run['started']}"
    except (OSError, ValueError, KeyError, TypeError):  # it is just starting
        return "another run writes there"
