"""A model folder as ONNX, which needs neither PyTorch nor Transformers, checked against the model it came from."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import BatchEncoding, PreTrainedModel

from hf_nli.errors import InputError
from hf_nli.export_check import check, check_batches
from hf_nli.files import staged, write_json
from hf_nli.labels import LABELS, label_order
from hf_nli.models import input_length, load_model
from hf_nli.tokenization import save_tokenizer

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
PROGRAM = "model.onnx"


def export(
    model_name_or_path: str,
    output_dir: str | Path,
    format: Literal["onnx"] = "onnx",
    int8: bool = False,
    revision: str | None = None,
) -> dict[str, Any]:
    """Writes a model as ONNX, with Transformers' own exporter, and compares what onnxruntime makes of it.

    Args:
        model_name_or_path: A model folder or Hub id, three-way NLI with any order of labels.
        output_dir: The folder to write: model.onnx, model.onnx.data, config.json, tokenizer files, export.json (by
            which Transformers loads it) and export_report.json.
        format: The only one so far.
        int8: Whether to store matrices in 8 bits and multiply in them (onnxruntime's dynamic quantization).
        revision: The branch, tag or commit of a model on the Hub.

    Returns:
        The report, as written to export_report.json: `bytes` of the program and its data, and what the check found on
        this machine over built-in sentence pairs, the fields of `export_check.Comparison`.

    Raises:
        InputError: If a package is missing, if the model can't be loaded, or if the program's answers are off by more
            than `export_check.check` allows. Nothing is written then.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(f"export needs {', '.join(missing)}; pip install 'hf-nli[export]'")
    model, tokenizer = load_model(model_name_or_path, revision=revision)
    max_length = input_length(model.config, tokenizer)
    batches = check_batches(tokenizer, max_length)
    with staged(output_dir) as folder:
        _write(model, batches[-1], max_length, int8, folder)
        save_tokenizer(tokenizer, folder)
        comparison = check(model, folder / PROGRAM, batches, int8)
        report = {
            "model": str(model_name_or_path),
            "format": format,
            "weights": "int8" if int8 else "float32",
            "bytes": sum(file.stat().st_size for file in folder.glob(f"{PROGRAM}*")),
            **asdict(comparison),
            "max_length": max_length,
            "labels": [LABELS[label_order(model.config).index(output)] for output in range(len(LABELS))],
        }
        write_json(folder / "export_report.json", report)
    return report


def _write(model: PreTrainedModel, example: BatchEncoding, max_length: int, int8: bool, folder: Path) -> None:
    try:
        from transformers.exporters import OnnxConfig, OnnxExporter, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer
    except ImportError as error:
        raise InputError("export needs Transformers 5.23 or newer; pip install 'hf-nli[export]'") from error
    from onnxruntime.quantization import QuantType

    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=max_length)}
    # Unsigned weights, because CPUs with AVX2 or AVX-512 but without VNNI add up products with signed ones in 16 bits,
    # where they saturate. Not the embeddings: the large constants that a lifted table carries leave its rows no bits.
    matrices = OnnxRuntimeDynamicConfig(["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QUInt8)
    quantizer = OnnxRuntimeQuantizer(matrices) if int8 else None
    config = OnnxConfig(dynamic_shapes=dict.fromkeys(example, sizes), quantizer=quantizer)
    with _quiet():
        OnnxExporter().export(model, dict(example), config=config).save_pretrained(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporters' progress, and their lists of operators that no BERT has, off the screen."""
    root = logging.getLogger()
    levels = {logger: logger.level for logger in (root, logging.getLogger("torch.onnx"))}
    handler = logging.NullHandler()  # onnxruntime calls logging.warning(), which gives a root without handlers one
    root.addHandler(handler)
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)
