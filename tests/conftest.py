"""What the tests share: no network, a cache of their own, d2l's own code, the real data beside the project."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import ModuleType

from model_hub import Hub, serve

# Before any Hugging Face import. Programs that the tests start get them too.
CACHE = tempfile.TemporaryDirectory(prefix="hf_nli_tests_")
HUB = serve()
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": CACHE.name, "TOKENIZERS_PARALLELISM": "false"}
os.environ |= {"HF_ENDPOINT": HUB.address, "NO_PROXY": "127.0.0.1,localhost"}
os.environ |= {"HYPOTHESIS_STORAGE_DIRECTORY": CACHE.name}
os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}

import huggingface_hub.constants
import pytest
from helpers import write_pairs, write_tiny_model
from hypothesis import settings

# The same examples in every run, and no clock: a busy machine is no failure.
settings.register_profile("hf_nli", deadline=None, derandomize=True, database=None, max_examples=100)
settings.load_profile("hf_nli")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes by the argument's name: compressed ones hold the time, and all workers must collect the same tests."""
    return argname if isinstance(val, bytes) else None


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def d2l() -> ModuleType:
    """d2l 1.0.3's own PyTorch module."""
    from d2l_chapter import d2l  # which takes seconds

    return d2l


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and checkpoints beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """A tiny stock model."""
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> str:
    """A file of 144 pairs and 4 without a gold label."""
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


@pytest.fixture
def hub(monkeypatch) -> Hub:
    """A Hub of the tests' own, empty, and a token to write to it."""
    HUB.__init__(HUB.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    return HUB
