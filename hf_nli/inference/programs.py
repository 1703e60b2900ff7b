"""Exported programs, run by onnxruntime or OpenVINO: made from a model when they are first needed, and kept."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Literal

import numpy
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.cache import content_key, kept_folder
from hf_nli.core.environment import versions
from hf_nli.core.errors import InputError
from hf_nli.core.labels import label_order, model_labels
from hf_nli.inference.backends import CPU_TOKENS, DType, Logits, TorchBackend
from hf_nli.inference.export import PACKAGES, PROGRAM, quiet, refuse_missing, write_program
from hf_nli.inference.export_check import Run, check, check_batches, onnx_run

logger = logging.getLogger(__name__)

Runtime = Literal["onnx", "openvino"]
NAMES: dict[Runtime, str] = {"onnx": "onnxruntime", "openvino": "OpenVINO"}
_NEEDED: dict[Runtime, tuple[str, ...]] = {"onnx": PACKAGES, "openvino": (*PACKAGES, "openvino", "nncf")}
_EXTRA: dict[Runtime, str] = {"onnx": "export", "openvino": "openvino"}
_CONVERTED = "program.xml"
_GROUP = 64  # channels whose activations share a scale: those of the lift's large constants are few


class ProgramBackend:
    """A program that was made of a model, on the CPU; it was compared with the model.

    Args:
        runtime: What runs it.
        model: The model, in float32, in evaluation mode.
        tokenizer: Its tokenizer.
        max_length: The most tokens of a pair.
        dtype: The type of matrix products; onnxruntime has float32 alone.
        int8: Whether the layers' matrices have 8 bits.

    Raises:
        InputError: If a package is missing, the runtime lacks what is asked for, or the program's answers are off by
            more than `export_check.check` allows.
    """

    def __init__(
        self,
        runtime: Runtime,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        dtype: DType = "auto",
        int8: bool = False,
    ) -> None:
        refuse_missing(_NEEDED[runtime], f"--backend {runtime}", _EXTRA[runtime])
        if dtype == "float16" or (dtype == "bfloat16" and runtime == "onnx"):
            raise InputError(f"--dtype {dtype}: {NAMES[runtime]} doesn't compute in it here; use float32")
        self.workers, self.tokens = torch.get_num_threads(), CPU_TOKENS
        self._tokenizer = tokenizer
        self.labels, self._order = model_labels(model.config), label_order(model.config)
        of_model = TorchBackend(model, tokenizer).identity()["model"]
        self._identity = {"model": of_model, "--backend": runtime, "--dtype": dtype, "--int8": str(int8)}
        batches = check_batches(tokenizer, max_length)
        key = content_key(of_model, tokenizer.backend_tokenizer.to_str(), max_length, versions())

        def write(folder: Path, int8: bool = False) -> None:
            write_program(model, batches[-1], max_length, int8, folder)

        if runtime == "onnx":
            name = f"programs-{content_key(key, 'onnx', int8)}"
            self._run = onnx_run(kept_folder(name, lambda folder: write(folder, int8)) / PROGRAM, 1)
        else:
            plain = kept_folder(f"programs-{content_key(key, 'onnx', False)}", write) / PROGRAM
            name = f"programs-{content_key(key, 'openvino', int8)}"
            program = kept_folder(name, lambda folder: _convert(plain, folder, int8)) / _CONVERTED
            self._run = openvino_run(program, self.workers, dtype)
        bits: Literal[8, 16, 32] = 8 if int8 else 16 if dtype == "bfloat16" else 32
        found = check(model, self._run, batches, bits, NAMES[runtime])
        logger.info(
            "%s gives PyTorch's label for %.0f %% of %d pairs; logits differ by at most %.1e",
            NAMES[runtime],
            100 * found.label_agreement,
            found.pairs,
            found.max_abs_difference,
        )

    def __call__(self, inputs: dict[str, list[list[int]]]) -> Logits:
        """See `backends.Backend`."""
        padded = self._tokenizer.pad(inputs, return_tensors="np")
        return self._run(dict(padded))[:, self._order]

    def identity(self) -> dict[str, str]:
        """See `backends.Backend`."""
        return self._identity


def openvino_run(program: Path, threads: int, dtype: DType) -> Run:
    """Gives what runs a program in OpenVINO, from any thread.

    Args:
        program: What OpenVINO reads.
        threads: How many run it at once, each on a thread of its own.
        dtype: The type of matrix products.
    """
    import openvino

    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == "bfloat16" else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP,
    }
    compiled = openvino.Core().compile_model(program, "CPU", settings)
    of_thread = threading.local()

    def run(feed: dict[str, NDArray[numpy.int64]]) -> Logits:
        if not hasattr(of_thread, "request"):
            of_thread.request = compiled.create_infer_request()
        logits: Logits = of_thread.request.infer(feed)["logits"]
        return logits.copy()  # which the next call overwrites

    return run


def _convert(program: Path, folder: Path, int8: bool) -> None:
    """Converts an ONNX program; 8 bits have the layers' matrices alone: the lift's constants are in the embeddings."""
    import openvino

    model = openvino.Core().read_model(program)
    with quiet():
        if int8:
            import nncf

            scope = nncf.IgnoredScope(types=["Gather"], validate=False)
            model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=scope)
        openvino.save_model(model, folder / _CONVERTED, compress_to_fp16=False)
