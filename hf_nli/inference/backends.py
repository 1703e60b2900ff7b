"""What computes logits of encoded pairs."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import Literal, Protocol

import numpy
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.core.labels import label_order, model_labels
from hf_nli.data.table import GPU_WIDTH
from hf_nli.engine.attach import choose_forward
from hf_nli.model.precision import Precision, autocast, fast_precision
from hf_nli.settings.options import Forward

DType = Literal["auto", "float32", "bfloat16", "float16"]
Logits = NDArray[numpy.float32]

_PRECISIONS: dict[DType, Precision] = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


class Backend(Protocol):
    """Computes logits.

    Attributes:
        labels: What the model tells apart: `labels.LABELS` or `labels.TWO_WAY_LABELS`.
        workers: How many batches it is best to compute at once, each in a thread of its own.
        tokens: How many tokens a batch is best made of, padding included.
    """

    labels: tuple[str, ...]
    workers: int
    tokens: int

    def __call__(self, inputs: dict[str, list[list[int]]]) -> Logits:
        """Computes the logits of a batch.

        Args:
            inputs: What the tokenizer gives for each pair, not padded, the longest first.

        Returns:
            Float32 (pairs, labels), in the order of `labels`.
        """

    def identity(self) -> dict[str, str]:
        """Says what the logits depend on, by names for people."""


class TorchBackend:
    """PyTorch, on any device.

    On a CPU each batch is computed by one thread, and several batches at a time. Small nets are faster so than with
    all threads at each product, and what comes out doesn't depend on how many threads there are.

    Args:
        model: An NLI classifier in float32, in evaluation mode, on its device.
        tokenizer: Its tokenizer.
        dtype: The type of matrix products; the weights stay in float32. "auto" is float32 on a CPU, and on a GPU the
            fast one of 16 bits.
        forward: What computes.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        dtype: DType = "auto",
        forward: Forward = "auto",
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self.labels, self._order = model_labels(model.config), label_order(model.config)
        self._device = model.device
        self._compute = choose_forward(model, forward)
        on_cpu = self._device.type == "cpu"
        self._flat = on_cpu and self._compute is not model
        self._precision = _precision(dtype, self._device)
        self.workers = torch.get_num_threads() if on_cpu else 1
        self.tokens = CPU_TOKENS if on_cpu else GPU_TOKENS

    def __call__(self, inputs: dict[str, list[list[int]]]) -> Logits:
        """See `Backend`."""
        with torch.inference_mode(), autocast(self._device, self._precision):
            batch = flat(inputs) if self._flat else self._padded(inputs)
            logits: Tensor = self._compute(**batch).logits[:, self._order]
        return logits.float().cpu().numpy()

    def identity(self) -> dict[str, str]:
        """See `Backend`."""
        digest = hashlib.sha256(self._model.config.to_json_string(use_diff=False).encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return {"model": digest.hexdigest(), "device": self._device.type, "--dtype": self._precision}

    def _padded(self, inputs: dict[str, list[list[int]]]) -> dict[str, Tensor]:
        multiple = None if self._device.type == "cpu" else GPU_WIDTH
        padded = self._tokenizer.pad(inputs, return_tensors="pt", pad_to_multiple_of=multiple)
        return dict(padded.to(self._device))


CPU_TOKENS, GPU_TOKENS = 4096, 2**17


def flat(inputs: dict[str, list[list[int]]]) -> dict[str, Tensor]:
    """Lays pairs one after the other, as our forward pass takes them; see `engine.attach.choose_forward`.

    Args:
        inputs: What the tokenizer gives for each pair.
    """
    lengths = torch.tensor([len(ids) for ids in inputs["input_ids"]])
    joined = {name: torch.tensor([list(chain.from_iterable(rows))]) for name, rows in inputs.items()}
    joined.pop("attention_mask", None)
    return joined | {"cu_seq_lens_q": torch.nn.functional.pad(lengths.cumsum(0), (1, 0))}


def find_device(name: str | None) -> torch.device:
    """Finds a device.

    Args:
        name: As PyTorch calls it; None for this process's GPU, or the CPU if there is none.

    Raises:
        InputError: If there is no such device.
    """
    if name is None:
        device: torch.device = PartialState().device
        return device
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"--device {name}: PyTorch can't use it here ({said}); try cpu, cuda or cuda:1") from error


def _precision(dtype: DType, device: torch.device) -> Precision:
    if dtype == "auto":
        return "no" if device.type == "cpu" else fast_precision(device.type)
    if dtype == "float16" and device.type == "cpu":
        raise InputError("--dtype float16 needs a GPU; on a CPU use float32 or bfloat16")
    return _PRECISIONS[dtype]
