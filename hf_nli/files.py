"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hf_nli.errors import InputError


@contextmanager
def staged(output_dir: str | Path) -> Iterator[Path]:
    """Gives a temporary folder whose files move to `output_dir` when the block ends well, and vanish otherwise.

    Files of the same name are replaced, others in `output_dir` stay.

    Args:
        output_dir: The folder to write to; made if it doesn't exist.

    Raises:
        InputError: If `output_dir` is a file or can't be written to.
    """
    output_dir = Path(output_dir)
    try:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that moving is a rename within one file system.
        temporary = Path(tempfile.mkdtemp(prefix=f".{output_dir.name}.", dir=output_dir.parent))
        if output_dir.exists() and not output_dir.is_dir():
            temporary.rmdir()
            raise FileExistsError(errno.EEXIST, "a file of that name exists")
    except OSError as error:
        raise InputError(
            f"{output_dir}: can't be written to ({error.strerror}); choose another --output_dir"
        ) from error
    try:
        yield temporary
        if not output_dir.exists():
            temporary.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only their owner can read
            temporary.rename(output_dir)
        else:
            for file in [path for path in temporary.rglob("*") if path.is_file()]:
                target = output_dir / file.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: Any) -> None:
    """Writes readable JSON with a final newline."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
