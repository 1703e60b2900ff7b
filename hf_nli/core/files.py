"""Files and folders that appear whole or not at all, and locks between processes."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from filelock import FileLock
from huggingface_hub import constants

from hf_nli.core.content import DamagedFile, check_unpacked
from hf_nli.core.disk import OTHER_FOLDER, OTHER_HOME, check_output, disk_errors, make_folder
from hf_nli.core.errors import InputError
from hf_nli.core.staging import staging

# What reading a zip raises, beside OSError, if it is damaged, encrypted (RuntimeError), or compressed in a way that
# Python doesn't know (NotImplementedError, which is one).
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)


@contextmanager
def staged(output_dir: str | Path, remedy: str = OTHER_FOLDER) -> Iterator[Path]:
    """Gives a temporary folder whose files move to `output_dir` when the block ends well, and vanish otherwise.

    All of them appear or none; files of the same name are replaced, others in `output_dir` stay.

    Args:
        output_dir: The folder to write to; made if it doesn't exist.
        remedy: What to do if it can't be written.

    Raises:
        InputError: If it can't be written, at any moment; then it is what it was.
    """
    target = check_output(output_dir, remedy)
    with disk_errors(output_dir, remedy), staging(target) as stage:
        yield stage.new
        with locked(target) if target.exists() else nullcontext():
            stage.install()


def locked(path: str | Path) -> FileLock:
    """Makes a lock that one process at a time can hold, for what is kept at a path; use it in a `with` statement.

    A process that is killed holds it no longer. A thread that holds it may take it once more. The lock is a small file
    under `HF_HOME`, so that nothing is left beside the path.

    Args:
        path: A file or folder, which needn't exist.

    Raises:
        InputError: If `HF_HOME` can't be written to.
    """
    locks = Path(constants.HF_HOME) / "hf_nli" / "locks"
    make_folder(locks, OTHER_HOME)
    file = locks / f"{hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()}.lock"
    with disk_errors(locks, OTHER_HOME):  # here, as taking the lock may be a part of writing another folder
        file.touch()
    return FileLock(file, is_singleton=True)


def refuse_bomb(name: str, unpacked: int, size: int) -> None:
    """Refuses content that would take far more memory than the file that it is in.

    Args:
        name: The file, for people.
        unpacked: The bytes that its content would take.
        size: The bytes that the file has.

    Raises:
        InputError: If it is such content.
    """
    try:
        check_unpacked(unpacked, size)
    except DamagedFile as error:
        raise InputError(f"{name}: {error}") from error


def refuse_zip_bomb(name: str, members: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuses a zip that declares to become far larger, or could become so while it is unpacked.

    A member that is read in pieces of a few KiB then gives no more than it declares: what is deflated is unpacked by
    the piece, and `zipfile` raises `BadZipFile` if it goes on after that. Other methods unpack a piece as a whole.

    Args:
        name: The file, for people.
        members: What will be unpacked of it.
        size: The bytes that the file has.

    Raises:
        InputError: If it is such a zip.
    """
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{name}: {member.filename} is not deflated, but compressed in another way; zip it again")
    refuse_bomb(name, sum(member.file_size for member in members), size)


def is_zip(path: str | Path | IO[bytes]) -> bool:
    """Says whether a file is a zip, also if it is a damaged one, which opening it will tell."""
    try:
        return zipfile.is_zipfile(path)
    except DAMAGED_ZIP:
        return True


def sha256(path: str | Path) -> str:
    """Computes the SHA-256 of a file, as 64 hexadecimal digits."""
    import pooch  # it loads a client for downloads

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
