"""What is new is written out of sight, and then takes its place at once or not at all."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hf_nli.core.disk import nearest_folder

_JOURNAL = "journal.json"  # there as long as the files of the target are being swapped
_OLD = "old"
_HERE, _EXCHANGE = -100, 2  # Linux's AT_FDCWD and RENAME_EXCHANGE


@contextmanager
def staging(target: Path, whole: bool = False, beside: bool = True) -> Iterator[Staging]:
    """Gives a hidden folder to write to, and deletes it in the end, at whatever moment a signal ends the block.

    It is on the target's file system, so that moving is renaming, and locked as long as its process lives: by that,
    others tell it from what a killed process left, which they clean up.

    Args:
        target: The folder to write, without links on its way.
        whole: Whether it shall be replaced as a whole.
        beside: Whether to write beside the target, where that is possible, and not in it.

    Raises:
        OSError: If the target can't be written.
    """
    clean(target)
    beside = beside and _movable(target)
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(_hidden(nearest_folder(target.parent if beside else target), target))
        except OSError:
            if not beside or not target.exists():
                raise
            folder = stack.enter_context(_hidden(target, target))  # the parent is closed to us, the folder isn't
        (folder / target.name).mkdir()
        yield Staging(target, folder, whole)


class Staging:
    """What is written in a hidden folder, and then takes its place in a target folder; see `staging`.

    Attributes:
        new: Where to write; it has the target's name, at which some writers look.
    """

    def __init__(self, target: Path, folder: Path, whole: bool) -> None:
        self.new = folder / target.name
        self._target, self._folder, self._whole = target, folder, whole

    def install(self, stale: Iterable[str] = ()) -> None:
        """Puts everything that was staged in its place; after an error the target is what it was.

        Args:
            stale: Names in the target that shall be gone then.

        Raises:
            OSError: If something can't be replaced.
        """
        usual_permissions(self.new)
        if _renamed(self.new, self._target):
            return
        stale = [name for name in stale if os.path.lexists(self._target / name)]
        for file in _files(self.new):
            if (self._target / file).is_dir() and str(file) not in stale:
                raise IsADirectoryError(errno.EISDIR, f"{file} is a folder there", str(self._target / file))
        beside = self._folder.parent != self._target
        if self._whole and beside and self._exchanged(stale):
            return
        try:
            self._swap_files(stale)
        except OSError as error:
            if error.errno != errno.EXDEV or not beside:
                raise
            self._swap_inside(stale)  # a part of the same disk that is mounted there, as its numbers don't tell

    def _swap_inside(self, stale: Iterable[str]) -> None:
        with staging(self._target, beside=False) as inside:
            shutil.copytree(self.new, inside.new, symlinks=True, copy_function=link, dirs_exist_ok=True)
            inside._swap_files(stale)

    def _exchanged(self, stale: Iterable[str]) -> bool:
        """Exchanges the target in one step with a folder of what is new and what stays, if the system lets it."""
        whole = self._folder / "whole"
        try:
            # Links take no room; a file that may not be replaced can't have one, and nothing has been changed yet.
            shutil.copytree(self._target, whole, symlinks=True, copy_function=os.link)
            if whole.stat().st_uid != self._target.stat().st_uid:
                return False  # its owner would be another
            for name in (*stale, *map(str, _files(self.new))):
                _delete(whole / name)
            shutil.copytree(self.new, whole, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
            _exchange(whole, self._target)
        except OSError:
            return False
        return True

    def _swap_files(self, stale: Iterable[str]) -> None:
        """Swaps file by file, with the old ones kept until all are there."""
        files, old = list(_files(self.new)), self._folder / _OLD
        # Whole or not there: nothing has been swapped yet if its disk is full, or the process dies.
        written = self._folder / f"{_JOURNAL}.new"
        written.write_text(json.dumps([str(file) for file in files]), encoding="utf-8")
        written.rename(self._folder / _JOURNAL)
        try:
            for name in stale:
                old.mkdir(exist_ok=True)
                os.rename(self._target / name, old / name)
            for file in files:
                (self._target / file).parent.mkdir(parents=True, exist_ok=True)
                (old / file).parent.mkdir(parents=True, exist_ok=True)
                if os.path.lexists(self._target / file):
                    link(self._target / file, old / file)  # so that there is always one of that name
                os.replace(self.new / file, self._target / file)
        except BaseException:
            _undo(self._folder, self._target)
            raise
        (self._folder / _JOURNAL).unlink()


def clean(target: Path) -> None:
    """Deletes what killed processes left of writing a folder, and puts back what they had begun to swap.

    Args:
        target: The folder, without links on its way.
    """
    for parent in {nearest_folder(target), nearest_folder(target.parent)}:
        for folder in parent.iterdir() if os.access(parent, os.R_OK | os.W_OK) else ():
            if re.fullmatch(rf"{re.escape(_prefix(target))}[0-9a-f]{{8}}", folder.name) and folder.is_dir():
                lock = FileLock(folder / ".lock", thread_local=False)
                with suppress(Timeout, NotImplementedError, OSError), lock.acquire(timeout=0):
                    _undo(folder, target)
                    shutil.rmtree(folder)


def link(file: str | Path, new: str | Path) -> None:
    """Makes a second name for a file, or a copy where the file system has no such names.

    Args:
        file: The file; what is made of a symbolic link is one, too.
        new: Its second name.
    """
    if not os.path.islink(file):
        with suppress(OSError):
            os.link(file, new)
            return
    shutil.copy2(file, new, follow_symlinks=False)


def usual_permissions(folder: Path) -> None:
    """Gives all files in a folder the permissions of a new file, which some libraries' writers don't."""
    probe = folder / f".{uuid.uuid4().hex}"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(mode)


def _prefix(target: Path) -> str:
    return f".{os.fsdecode(os.fsencode(target.name)[:200])}."  # file systems take 255 bytes


@contextmanager
def _hidden(parent: Path, target: Path) -> Iterator[Path]:
    """Makes a hidden folder, and deletes it in the end; not with old files in it, which the next run puts back."""
    while True:
        folder = parent / f"{_prefix(target)}{uuid.uuid4().hex[:8]}"
        lock = FileLock(folder / ".lock", thread_local=False)
        try:
            folder.mkdir()  # not mkdtemp's, which only its owner could read
            # A file system may have no locks; others then leave the folder alone. Or somebody takes it for a leftover
            # before it is locked, and deletes it, at which filelock makes it again or raises one of the last two.
            with suppress(NotImplementedError, FileNotFoundError, FileExistsError):
                lock.acquire()
            if (folder / ".lock").exists():
                yield folder
                return
        finally:
            if not (folder / _JOURNAL).exists():
                _remove(folder)
            lock.release()


def _remove(folder: Path) -> None:
    """Deletes a folder, also if a signal breaks in, of which there is one: a second one ends the process."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _movable(target: Path) -> bool:
    """Whether another folder may take a folder's place: not that of a mounted disk, nor of one that we are in."""
    if not target.exists():
        return True
    if os.path.ismount(target):
        return False
    try:
        return not Path.cwd().is_relative_to(target)
    except FileNotFoundError:  # the current folder was deleted
        return True


def _renamed(new: Path, target: Path) -> bool:
    """Renames a folder, or returns False if there is one of that name already, maybe made a moment ago."""
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        new.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _exchange(one: Path, other: Path) -> None:
    """Exchanges two folders' names in one step, which Python has no function for.

    Raises:
        OSError: If the system, or its file system, can't.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))


def _undo(folder: Path, target: Path) -> None:
    """Puts back what was there before files were swapped, if that was begun and not ended."""
    if not (folder / _JOURNAL).exists():
        return
    for file in json.loads((folder / _JOURNAL).read_text(encoding="utf-8")):
        if not os.path.lexists(folder / target.name / file) and not os.path.lexists(folder / _OLD / file):
            (target / file).unlink(missing_ok=True)
    for file in _files(folder / _OLD):
        if os.path.lexists(target / file) and os.path.lexists(folder / target.name / file):
            continue  # it hasn't been replaced yet
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / _OLD / file, target / file)
    (folder / _JOURNAL).unlink()


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder and those below it, by their paths from there."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
