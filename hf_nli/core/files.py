"""Files and folders that appear whole or not at all, and locks between processes."""

from __future__ import annotations

import errno
import hashlib
import json
import lzma
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
from filelock import FileLock
from huggingface_hub import constants

from hf_nli.core.errors import InputError

# What reading a zip raises, beside OSError, if it is damaged, encrypted (RuntimeError), or compressed in a way that
# Python doesn't know (NotImplementedError, which is one).
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)


@contextmanager
def staged(output_dir: str | Path) -> Iterator[Path]:
    """Gives a temporary folder whose files move to `output_dir` when the block ends well, and vanish otherwise.

    Each file appears whole; files of the same name are replaced, others in `output_dir` stay. To replace a folder as
    a whole, use `replaced`.

    Args:
        output_dir: The folder to write to; made if it doesn't exist.

    Raises:
        InputError: If `output_dir` is a file or can't be written to.
    """
    output_dir = Path(output_dir)
    temporary = temporary_folder(output_dir)
    try:
        yield temporary
        usual_permissions(temporary)
        if not _renamed(temporary, output_dir):
            for file in [path for path in temporary.rglob("*") if path.is_file()]:
                target = output_dir / file.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_folder(output_dir: Path) -> Path:
    """Makes an empty hidden folder beside `output_dir`, so that moving between the two is a rename.

    Raises:
        InputError: If `output_dir` is a file, or its parent can't be written to.
    """
    try:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        if output_dir.exists() and not output_dir.is_dir():
            raise FileExistsError(errno.EEXIST, "a file of that name exists")
        temporary = output_dir.with_name(f".{output_dir.resolve().name}.{uuid.uuid4().hex[:8]}")
        temporary.mkdir()  # not mkdtemp's, which only its owner could read
    except OSError as error:
        raise InputError(
            f"{output_dir}: can't be written to ({error.strerror}); choose another --output_dir"
        ) from error
    return temporary


def _renamed(temporary: Path, output_dir: Path) -> bool:
    """Renames a folder, or returns False if there is one of that name already, maybe made a moment ago."""
    if output_dir.exists():
        return False
    try:
        temporary.rename(output_dir)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def usual_permissions(folder: Path) -> None:
    """Gives all files in a folder the permissions of a new file, which some libraries' writers don't."""
    probe = folder / f".{uuid.uuid4().hex}"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(mode)


def replaced(new: Path, output_dir: Path) -> Path | None:
    """Puts a whole folder in the place of another one.

    Args:
        new: A folder beside `output_dir`, complete.
        output_dir: The folder to replace, or to make.

    Returns:
        Where the folder that was replaced is now, for the caller to delete; None if there was none.
    """
    if not output_dir.exists():
        new.rename(output_dir)
        return None
    old = output_dir.with_name(f".{output_dir.name}.{uuid.uuid4().hex[:8]}.old")
    output_dir.rename(old)
    try:
        new.rename(output_dir)
    except BaseException:
        old.rename(output_dir)
        raise
    return old


def locked(path: str | Path) -> FileLock:
    """Makes a lock that one process at a time can hold, for what is kept at a path; use it in a `with` statement.

    A process that is killed holds it no longer. The lock is a small file under `HF_HOME`, so that nothing is left
    beside the path.

    Args:
        path: A file or folder, which needn't exist.

    Raises:
        InputError: If `HF_HOME` can't be written to.
    """
    locks = Path(constants.HF_HOME) / "hf_nli" / "locks"
    try:
        locks.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{locks}: can't be written to ({error.strerror}); set HF_HOME to another folder") from error
    return FileLock(locks / f"{hashlib.sha256(os.fsencode(Path(path).resolve())).hexdigest()}.lock")


def is_zip(path: str | Path) -> bool:
    """Says whether a file is a zip, also if it is a damaged one, which opening it will tell."""
    try:
        return zipfile.is_zipfile(path)
    except DAMAGED_ZIP:
        return True


def sha256(path: str | Path) -> str:
    """Computes the SHA-256 of a file, as 64 hexadecimal digits."""
    return pooch.file_hash(str(path), alg="sha256")


def joint_sha256(files: Sequence[Path]) -> str | None:
    """Computes what identifies the content of one file, or of several in their order.

    Args:
        files: The files.

    Returns:
        The SHA-256 of the file; of several, that of their SHA-256s one after the other; None of none.
    """
    digests = [sha256(file) for file in files]
    if len(digests) < 2:
        return digests[0] if digests else None
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def json_text(content: Any) -> str:
    """Lays content out as readable JSON with a final newline."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Writes content as `json_text` lays it out."""
    # Undecodable bytes of a path become \udcXX, which JSON reads as what Python makes of them.
    path.write_text(json_text(content), encoding="utf-8", errors="backslashreplace")
