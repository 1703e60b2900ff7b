"""The files of a model, in a folder or on the Hub, and what other libraries say of them, in a line."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, StrictDataclassError
from safetensors import SafetensorError

from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import why_offline
from hf_nli.model.folder import CONFIG

# How a damaged folder, a missing package and an unreachable Hub show in Transformers.
_UNLOADABLE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    ImportError,
    SafetensorError,
    StrictDataclassError,
    pickle.UnpicklingError,
)
_REASON, _LONGEST_ID = 300, 96  # characters; the latter is the Hub's rule


@dataclass(frozen=True)
class ModelSource:
    """Where a model is.

    Attributes:
        name: A model folder or Hub id.
        revision: The branch, tag or commit of a model on the Hub.
        cache_dir: Where to keep what is downloaded, if not in Hugging Face's cache.
    """

    name: str
    revision: str | None = None
    cache_dir: str | Path | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("--model_name_or_path is empty; give a model folder or a Hub id")
        if self.is_here:
            return
        if os.path.exists(self.name):
            raise InputError(f"{self.name} is a file; give the model folder that it is in")
        if len(self.name) > _LONGEST_ID or not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", self.name):
            raise InputError(f"{self.name}: not a model folder: no such folder")

    @property
    def is_here(self) -> bool:
        """Whether it is a folder here, not a model on the Hub; of names that no path can have, it isn't."""
        return os.path.isdir(self.name)

    @property
    def options(self) -> dict[str, Any]:
        """What Transformers' `from_pretrained` is to know: no code of a model folder is ever run."""
        return {"revision": self.revision, "cache_dir": self.cache_dir, "trust_remote_code": False}

    def find(self, file: str) -> Path | None:
        """Finds a file of the model; None if it has none of that name.

        Raises:
            InputError: If the Hub can't be asked, or has no such model.
        """
        with self.told():
            if self.is_here:
                path = Path(self.name) / file
                return path if path.is_file() else None
            try:
                return Path(hf_hub_download(self.name, file, revision=self.revision, cache_dir=self.cache_dir))
            except EntryNotFoundError:
                return None

    def read_object(self, file: str) -> dict[str, Any] | None:
        """Reads a JSON file of the model that holds an object; None if there is none.

        Raises:
            InputError: If it holds something else.
        """
        path = self.find(file)
        if path is None:
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise InputError(f"{self.name}: {file}, line {error.lineno}: it isn't JSON ({error.msg})") from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{self.name}: {file} can't be read ({_said(error)})") from error
        if not isinstance(content, dict):
            raise InputError(f"{self.name}: {file} holds a {type(content).__name__}, not an object")
        return content

    def read_config(self) -> dict[str, Any]:
        """Reads config.json, without which a folder is no model folder.

        Raises:
            InputError: If there is none, or it holds no object.
        """
        content = self.read_object(CONFIG)
        if content is None:
            raise self.lacks(CONFIG, f"; if it is d2l's checkpoint, run hf-nli convert --source {self.name} first")
        return content

    def lacks(self, what: str, remedy: str = "") -> InputError:
        """Makes the error of a model that has not what it must have.

        Args:
            what: The missing file, for people.
            remedy: What to do about it in a folder.
        """
        if self.is_here:
            return InputError(f"{self.name}: not a model folder: no {what}{remedy}")
        return InputError(
            f"{self.name}: not a model folder: no such folder, and no {what} of such a model on the Hub, as far as it "
            f"can be reached{why_offline()}"
        )

    @contextmanager
    def told(self, what: str = "") -> Iterator[None]:
        """Tells in one line what other libraries say of a model that they can't load.

        Args:
            what: The file that they read, or what was tried; for people.
        """
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            # The tokenizers library raises the bare `Exception`.
            if type(error) is not Exception and not isinstance(error, _UNLOADABLE):
                raise
            what = what or "not a model folder or Hub id that can be loaded"
            raise InputError(f"{self.name}: {what} ({_said(error)})") from error


def _said(error: BaseException) -> str:
    """What another library's error says, in one line that isn't too long."""
    if isinstance(error, KeyError):
        return f"no such key: {error}"
    return (" ".join(str(error).split()) or type(error).__name__)[:_REASON]
