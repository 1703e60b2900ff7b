"""The windows of an output file that are written, kept beside it until all are: a run that was killed goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hf_nli.core.cache import cache_folder, content_key
from hf_nli.core.disk import disk_errors, make_folder
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged, write_json
from hf_nli.sources.parts import file_key

OTHER_FILE = "choose another --output_file"
_IDENTITY, _COUNTS = "run.json", ".counts.json"
_NOTE = "predictions"


class Parts:
    """What is written of an output file.

    Args:
        output: The file.
        identity: What the rows are made of, by a name for people: model, input, each setting.
    """

    def __init__(self, output: Path, identity: Mapping[str, str]) -> None:
        self.output, self._identity = output, dict(identity)
        self.folder = output.with_name(f"{output.name}.parts")

    def begin(self, overwrite: bool) -> dict[str, int] | None:
        """Makes the folder, or finds what an earlier run left that can be gone on from.

        Args:
            overwrite: Whether to drop what is there and of another run.

        Returns:
            The counts of the run that has written the file whole, if it was this one; None to go on.

        Raises:
            InputError: If what is there is of another run, or not ours.
        """
        if self.folder.exists():
            other = self._other()
            if other is None:
                return None
            if not overwrite:
                raise InputError(
                    f"{self.folder}: an unfinished run that had {other}; end it first, drop it with --overwrite, or "
                    f"{OTHER_FILE}"
                )
            shutil.rmtree(self.folder)
        elif os.path.lexists(self.output) and not overwrite:
            if (counts := self._noted()) is not None:
                return counts
            raise InputError(f"{self.output} is there already; {OTHER_FILE}, or replace it with --overwrite")
        with disk_errors(self.output, OTHER_FILE), staged(self.folder, OTHER_FILE) as new:
            write_json(new / _IDENTITY, self._identity)
        return None

    def has(self, window: int) -> bool:
        """Says whether a window is written."""
        return self._counts_file(window).exists()

    def part(self, window: int) -> Path:
        """Gives the file of a window."""
        return self.folder / f"{window:08d}"

    def counts(self, window: int) -> dict[str, int]:
        """Reads what was counted in a window that is written."""
        counts: dict[str, int] = json.loads(self._counts_file(window).read_text(encoding="utf-8"))
        return counts

    def written(self, window: int, temporary: Path, counts: Mapping[str, int]) -> None:
        """Notes that a window is written: it counts from now on.

        Args:
            window: Its number.
            temporary: Its rows, in a file in the folder.
            counts: What was counted in it.
        """
        temporary.rename(self.part(window))
        file = self._counts_file(window)
        write_json(file.with_name(f"{file.name}.new"), dict(counts))
        file.with_name(f"{file.name}.new").rename(file)

    def end(self, whole: Path, counts: Mapping[str, int]) -> None:
        """Gives a file, on the same disk, the output's name, and drops the parts.

        Args:
            whole: The file.
            counts: What was counted in all.
        """
        with suppress(
            OSError, InputError
        ):  # without a note, the same command refuses instead of saying that it is done
            make_folder(cache_folder(), "")
            write_json(self._note, {"file": file_key(whole)[1:], "identity": self._identity, "counts": dict(counts)})
        with disk_errors(self.output, OTHER_FILE):
            os.replace(whole, self.output)
        shutil.rmtree(self.folder)

    def drop_if_empty(self) -> None:
        """Deletes the folder of a run that has written nothing."""
        if self.folder.is_dir() and not any(self.folder.glob(f"*{_COUNTS}")):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _counts_file(self, window: int) -> Path:
        return self.folder / f"{window:08d}{_COUNTS}"

    def _other(self) -> str | None:
        """What another run differs in, whose parts are there."""
        try:
            found = json.loads((self.folder / _IDENTITY).read_text(encoding="utf-8"))
            names = [name for name in {**self._identity, **found} if found.get(name) != self._identity.get(name)]
        except (OSError, ValueError, AttributeError):
            return "other contents"
        return f"another {' and '.join(names)}" if names else None

    def _noted(self) -> dict[str, int] | None:
        """The counts, if the file is what this run wrote."""
        try:
            note: dict[str, Any] = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        same = note["identity"] == self._identity and note["file"] == file_key(self.output)[1:]
        return note["counts"] if same else None

    @property
    def _note(self) -> Path:
        return cache_folder() / f"{_NOTE}-{content_key(os.fsdecode(os.path.realpath(self.output)))}"
