"""What the tests share: d2l's own code, the real data beside the project, and tiny models."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

# Before any Hugging Face import: no test may reach for the network, and none should wait for it.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

SHARED = Path(__file__).resolve().parents[2] / "shared"
SPECIAL_TOKENS = ["<cls>", "<mask>", "<pad>", "<sep>", "<unk>"]


@pytest.fixture(scope="session")
def d2l() -> ModuleType:
    """d2l 1.0.3's own PyTorch module. What it imports for pictures and notebooks is replaced."""
    stubs = ["torchvision", "torchvision.transforms", "PIL", "IPython", "IPython.display", "matplotlib"]
    stubs += ["matplotlib.pyplot", "matplotlib_inline", "matplotlib_inline.backend_inline"]
    added = [name for name in stubs if name not in sys.modules]
    sys.modules.update({name: mock.MagicMock() for name in added})
    try:
        return importlib.import_module("d2l.torch")
    finally:
        for name in added:
            del sys.modules[name]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and checkpoints beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}")
    return SHARED


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """Accelerate keeps its precision for the life of a process; each test chooses its own."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def d2l_model(d2l: ModuleType, seed: int = 0, **sizes: int) -> torch.nn.Module:
    """d2l's `BERTModel` in eval mode, with norms and biases moved away from where they start."""
    torch.manual_seed(seed)
    net = d2l.BERTModel(dropout=0.2, **sizes).eval()
    ids = torch.zeros(1, 4, dtype=torch.long)
    net(ids, ids, torch.tensor([4]), torch.tensor([[1]]))  # its layers are lazy
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("ln.weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return net


def write_checkpoint(folder: Path, state: dict[str, torch.Tensor], tokens: list[str] | None = None) -> Path:
    """Writes a checkpoint as d2l lays it out; without tokens, with as many made-up ones as it needs."""
    rows = len(state["encoder.token_embedding.weight"])
    tokens = tokens or SPECIAL_TOKENS + [f"word{index}" for index in range(rows - len(SPECIAL_TOKENS))]
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "pretrained.params")
    (folder / "vocab.json").write_text(json.dumps(tokens))
    return folder
