"""Which precision is chosen, and that it holds whatever else is going on."""

from types import SimpleNamespace

import pytest
import torch

from hf_nli.core.errors import InputError
from hf_nli.model.precision import autocast, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "able, precision",
    [({"amx_tile": True}, "bf16"), ({"avx512_bf16": True}, "bf16"), ({"avx512_f": True, "avx512_bf16": False}, "no")],
)
def test_auto_on_a_cpu(able, precision, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: able)
    assert resolve_precision("auto", "cpu") == precision
    assert resolve_precision("no", "cpu") == "no"


@pytest.mark.parametrize("capability, precision", [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_on_a_gpu(capability, precision, monkeypatch):
    monkeypatch.setattr("torch.cuda", SimpleNamespace(get_device_capability=lambda: capability))
    assert resolve_precision("auto", "cuda") == precision


def test_other_devices():
    assert resolve_precision("auto", "mps") == "no" and resolve_precision("fp16", "mps") == "fp16"
    with pytest.raises(InputError, match="--mixed_precision fp16 needs a GPU"):
        resolve_precision("fp16", "cpu")


@pytest.mark.parametrize("precision, dtype", [("no", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.parametrize("outside", [False, True])
def test_products(precision, dtype, outside):
    with torch.autocast("cpu", torch.bfloat16, enabled=outside), autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
