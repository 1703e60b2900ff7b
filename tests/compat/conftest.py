"""What the tests of another environment share. They import nothing of the project.

COMPAT_PINS names the file of versions that the environment must have, COMPAT_FOLDERS where `write_folders.py` wrote.
"""

from __future__ import annotations

import json
import os
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

OURS = ("converted", "trained", "trainer", "added")  # with a tokenizer of d2l's words
OTHER = ("other_bert",)


@pytest.fixture(scope="session", autouse=True)
def environment() -> None:
    """Fails every test where this isn't the environment that was meant."""
    pins = re.findall(r"^(\S+)==(\S+)$", Path(os.environ["COMPAT_PINS"]).read_text(), re.M)
    assert pins
    for name, wanted in pins:
        assert version(name) == wanted
    assert find_spec("hf_nli") is None
    assert (find_spec("transformers") is not None) == ("transformers" in dict(pins))


@pytest.fixture(scope="session", params=OURS + OTHER)
def folder(request: pytest.FixtureRequest) -> Path:
    """A model folder."""
    return Path(os.environ["COMPAT_FOLDERS"]) / request.param


@pytest.fixture(scope="session")
def expected(folder: Path) -> dict[str, Any]:
    """What was computed where it was written."""
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))
