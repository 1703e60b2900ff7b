"""Whether a folder can be written, and what a disk's refusal says, in a line."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_nli.core.errors import InputError

# What a disk answers when it can't take or give a file.
REFUSALS = {
    getattr(errno, name)
    for name in (
        "ENOSPC EDQUOT EFBIG EIO EROFS EACCES EPERM EBUSY ENAMETOOLONG ELOOP ENOTDIR EISDIR EEXIST EXDEV ESTALE"
    ).split()
}
# The writers of PyTorch and NumPy keep the reason to themselves.
_IN_PART = ("PytorchStreamWriter failed writing", "unexpected pos", "problem writing element", "requested and")
OTHER_FOLDER = "choose another --output_dir"
OTHER_HOME = "set HF_HOME to another folder"


@contextmanager
def disk_errors(folder: str | Path, remedy: str = OTHER_FOLDER) -> Iterator[None]:
    """Says in one line what keeps a block from writing into a folder.

    Args:
        folder: What the line names.
        remedy: What to do about it.

    Raises:
        InputError: If a file can't be written, whichever library found out.
    """
    try:
        yield
    except Exception as error:  # of any kind: those of libraries in Rust and C++ have no class in common
        reason = _refusal(error)
        if reason is None:
            raise
        raise InputError(f"{folder}: can't be written to ({reason}); {remedy}") from error


def make_folder(folder: Path, remedy: str) -> None:
    """Makes a folder, and those above it, if they aren't there.

    Args:
        folder: The folder.
        remedy: What to do if it can't be made.

    Raises:
        InputError: If it can't be made, whatever the reason: some file systems answer as if there were none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: can't be written to ({error.strerror}); {remedy}") from error


def check_output(output_dir: str | Path, remedy: str = OTHER_FOLDER, files: Iterable[str] = ()) -> Path:
    """Refuses, before the work, what can't become a folder with results; links are followed.

    Args:
        output_dir: As it was given: a `Path` of no name would be the current folder.
        remedy: What to do if it can't be one.
        files: Names of files that will be written.

    Returns:
        Where the folder is, or will be.

    Raises:
        InputError: If it has no name, is a file or a link to nothing, may not be written, or has a folder in the place
            of one of the files.
    """
    if not os.fspath(output_dir).strip():
        raise InputError("--output_dir is empty; give the name of a folder")
    with disk_errors(output_dir, remedy):
        try:
            target = Path(os.path.realpath(output_dir))
        except FileNotFoundError as error:
            raise InputError("the current folder was deleted; change to one that exists") from error
        if os.path.islink(output_dir) and not os.path.exists(output_dir):
            raise InputError(f"{output_dir}: a link to {target}, which doesn't exist; make that folder, or {remedy}")
        folder = nearest_folder(target)
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = os.access(folder, os.R_OK) and os.statvfs(folder).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            raise OSError(number, os.strerror(number), str(folder))
        if folder != target:
            _try(folder)
        for name in files:
            if (target / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} is a folder there")
    return target


def _try(folder: Path) -> None:
    """Makes a folder in another one, and deletes it: some file systems refuse what the permissions allow."""
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".hf_nli_", dir=folder))
    except FileNotFoundError as error:  # what /proc answers
        raise PermissionError(errno.EACCES, f"no folder can be made in {folder}") from error


def nearest_folder(target: Path) -> Path:
    """Finds the folder, or the nearest one above it, that exists.

    Raises:
        OSError: If a file is in the way.
    """
    try:
        target.lstat()
    except FileNotFoundError:
        return nearest_folder(target.parent)
    if not target.is_dir():
        raise FileExistsError(errno.ENOTDIR, f"{target} is a file", str(target))
    return target


def _refusal(error: Exception) -> str | None:
    """What a disk answered, if an error says that; Rust's and C++'s have it in their text alone."""
    if isinstance(error, InputError):
        return None
    if isinstance(error, OSError) and error.errno:
        return error.strerror if error.errno in REFUSALS else None
    text = str(error)
    if any(words in text for words in _IN_PART):
        return "a file could be written in part only; the disk may be full"
    return next((os.strerror(number) for number in REFUSALS if f"(os error {number})" in text), None)
