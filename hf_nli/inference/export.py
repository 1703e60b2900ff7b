"""A model folder as ONNX, which needs neither PyTorch nor Transformers, checked against the model it came from."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from transformers import BatchEncoding, PreTrainedModel

from hf_nli.core.errors import InputError
from hf_nli.core.labels import label_order, model_labels
from hf_nli.core.report import Report
from hf_nli.core.sole_run import sole_run
from hf_nli.engine.attach import fast_forward
from hf_nli.inference.export_check import check, check_batches, onnx_run
from hf_nli.model.folder import model_folder, refuse_other_model
from hf_nli.model.load import input_length, load_model
from hf_nli.settings.ranges import check_choice
from hf_nli.text.tokenizer import save_tokenizer

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
PROGRAM = "model.onnx"


@dataclass(frozen=True)
class ExportReport(Report):
    """What was written, and how it compares with the model on this machine (see `export_check.Comparison`).

    Attributes:
        model: The model's folder or Hub id.
        format: What was written.
        weights: The type of the layers' matrices.
        bytes: The size of the program and its data.
        max_length: The most tokens a pair may have, special tokens included.
        labels: What the outputs mean, in their order.
    """

    model: str
    format: Literal["onnx"]
    weights: Literal["float32", "int8"]
    bytes: int
    pairs: int
    label_agreement: float
    max_abs_difference: float
    relative_error: float
    pytorch_float32_difference: float
    max_length: int
    labels: list[str]


def export(
    model_name_or_path: str,
    output_dir: str | Path,
    format: Literal["onnx"] = "onnx",
    int8: bool = False,
    revision: str | None = None,
    overwrite_output_dir: bool = False,
) -> ExportReport:
    """Writes a model as ONNX, with Transformers' own exporter, and compares what onnxruntime makes of it.

    Args:
        model_name_or_path: A model folder or Hub id, NLI with any order of labels.
        output_dir: The folder to write: model.onnx, model.onnx.data, config.json, tokenizer files, export.json (by
            which Transformers loads it) and export_report.json.
        format: The only one so far.
        int8: Whether to store matrices in 8 bits and multiply in them (onnxruntime's dynamic quantization).
        revision: The branch, tag or commit of a model on the Hub.
        overwrite_output_dir: Whether a model in `output_dir` may be replaced.

    Returns:
        The report, as written to export_report.json.

    Raises:
        InputError: If a package is missing, if the model can't be loaded, if the program's answers are off by more
            than `export_check.check` allows, or if `output_dir` holds a model. Nothing is written then.
    """
    check_choice("format", format, ("onnx",))
    refuse_missing(PACKAGES, "export", "export")
    with sole_run(output_dir):
        refuse_other_model(output_dir, overwrite_output_dir)
        model, tokenizer = load_model(model_name_or_path, revision=revision)
        labels, order = model_labels(model.config), label_order(model.config)
        max_length = input_length(model.config, tokenizer)
        batches = check_batches(tokenizer, max_length)
        with model_folder(output_dir, overwrite_output_dir) as folder:
            write_program(model, batches[-1], max_length, int8, folder)
            save_tokenizer(tokenizer, folder)
            comparison = check(model, onnx_run(folder / PROGRAM), batches, 8 if int8 else 32)
            report = ExportReport(
                model=str(model_name_or_path),
                format=format,
                weights="int8" if int8 else "float32",
                bytes=sum(file.stat().st_size for file in folder.glob(f"{PROGRAM}*")),
                **vars(comparison),
                max_length=max_length,
                labels=[labels[order.index(output)] for output in range(len(labels))],
            )
            report.write(folder / "export_report.json")
        return report


def refuse_missing(packages: Sequence[str], purpose: str, extra: str) -> None:
    """Raises `InputError` if a package isn't installed.

    Args:
        packages: The packages.
        purpose: What needs them; for people.
        extra: The extra of ours that has them.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(f"{purpose} needs {', '.join(missing)}; pip install 'hf-nli[{extra}]'")


def write_program(model: PreTrainedModel, example: BatchEncoding, max_length: int, int8: bool, folder: Path) -> None:
    """Writes model.onnx, with our forward pass for the models that it knows, and its data.

    Args:
        model: The model in float32, in evaluation mode.
        example: A batch of pairs.
        max_length: The most tokens of a pair.
        int8: Whether to store matrices in 8 bits and multiply in them.
        folder: Where to.

    Raises:
        InputError: If Transformers has no exporter.
    """
    try:
        from transformers.exporters import OnnxConfig, OnnxExporter, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer
    except ImportError as error:
        raise InputError("export needs Transformers 5.23 or newer; pip install 'hf-nli[export]'") from error
    from onnxruntime.quantization import QuantType

    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=max_length)}
    # Unsigned weights, because CPUs with AVX2 or AVX-512 but without VNNI add up products with signed ones in 16 bits,
    # where they saturate. Not the embeddings: the large constants in a lifted one would leave its rows no bits.
    matrices = OnnxRuntimeDynamicConfig(["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QUInt8)
    quantizer = OnnxRuntimeQuantizer(matrices) if int8 else None
    config = OnnxConfig(dynamic_shapes=dict.fromkeys(example, sizes), quantizer=quantizer)
    with quiet(), fast_forward(model):
        OnnxExporter().export(model, dict(example), config=config).save_pretrained(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the exporters' progress, and their lists of operators that no BERT has, off the screen."""
    root = logging.getLogger()
    others = map(logging.getLogger, ("torch.onnx", "transformers", "nncf"))
    levels = {logger: logger.level for logger in (root, *others)}
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
