"""A model folder as ONNX, which needs neither PyTorch nor Transformers, checked against the model it came from."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.core.files import staged, write_json
from hf_nli.core.labels import LABELS, label_order
from hf_nli.model.load import input_length, load_model
from hf_nli.text.tokenizer import save_tokenizer

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4
PROGRAM = "model.onnx"
PREMISE, HYPOTHESIS = "A soccer game with multiple males playing.", "Some men are playing a sport."


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
        The report, as written to export_report.json: `bytes` of the program and its data, and over batches of several
        sizes and lengths `max_abs_difference` between onnxruntime's logits and PyTorch's in float32, and
        `pytorch_float32_difference` between those and PyTorch's in float64.

    Raises:
        InputError: If a package is missing, if the model can't be loaded, or if its logits differ by more than 1e-4
            and ten times what PyTorch's own differ; in 8 bits they do, and that is only reported. Nothing is written
            then.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(f"export needs {', '.join(missing)}; pip install 'hf-nli[export]'")
    model, tokenizer = load_model(model_name_or_path, revision=revision)
    max_length = input_length(model.config, tokenizer)
    batches = _batches(tokenizer, max_length)
    with staged(output_dir) as folder:
        _write(model, batches[-1], max_length, int8, folder)
        save_tokenizer(tokenizer, folder)
        difference, own = _differences(model, folder / PROGRAM, batches)
        tolerance = max(TOLERANCE, 10 * own)
        if not int8 and not difference <= tolerance:  # a NaN fails too
            raise InputError(
                f"{model_name_or_path}: onnxruntime's logits differ from PyTorch's by {difference:.1e}, more than "
                f"{tolerance:.1e}; nothing was written. Please report the model"
            )
        report = {
            "model": str(model_name_or_path),
            "format": format,
            "weights": "int8" if int8 else "float32",
            "bytes": sum(file.stat().st_size for file in folder.glob(f"{PROGRAM}*")),
            "max_abs_difference": difference,
            "pytorch_float32_difference": own,
            "max_length": max_length,
            "labels": [LABELS[label_order(model.config).index(output)] for output in range(len(LABELS))],
        }
        write_json(folder / "export_report.json", report)
    return report


def _batches(tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[BatchEncoding]:
    """Batches of 1, 3 and 2 pairs: a short one, some as long as the model takes, and padded ones."""
    long = f"{PREMISE} " * max_length
    settings = {"padding": True, "truncation": True, "max_length": max_length, "return_tensors": "pt"}
    return [
        tokenizer(premises, hypotheses, **settings)
        for premises, hypotheses in (
            ([HYPOTHESIS], [PREMISE]),
            ([long, PREMISE, HYPOTHESIS], [HYPOTHESIS, PREMISE, long]),
            ([PREMISE, HYPOTHESIS], [HYPOTHESIS, f"{HYPOTHESIS} {PREMISE}"]),
        )
    ]


def _write(model: PreTrainedModel, example: BatchEncoding, max_length: int, int8: bool, folder: Path) -> None:
    try:
        from transformers.exporters import OnnxConfig, OnnxExporter, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer
    except ImportError as error:
        raise InputError("export needs Transformers 5.23 or newer; pip install 'hf-nli[export]'") from error

    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=max_length)}
    # Not the embeddings: the large constants that a lifted table carries leave its rows no bits.
    quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig(("MatMul", "Gemm"), per_channel=True)) if int8 else None
    config = OnnxConfig(dynamic_shapes=dict.fromkeys(example, sizes), quantizer=quantizer)
    for name in ("torch.onnx", "root"):  # which list operators that no BERT has
        logging.getLogger(name).setLevel(logging.ERROR)
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        OnnxExporter().export(model, dict(example), config=config).save_pretrained(folder)


@torch.inference_mode()
def _differences(model: PreTrainedModel, program: Path, batches: list[BatchEncoding]) -> tuple[float, float]:
    """The largest differences of PyTorch's logits from onnxruntime's, and from PyTorch's own in float64."""
    import onnxruntime

    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    ours = [model(**batch).logits for batch in batches]
    theirs = [session.run(["logits"], {name: each.numpy() for name, each in batch.items()})[0] for batch in batches]
    model.double()
    exact = [model(**batch).logits for batch in batches]
    return tuple(
        torch.cat([(torch.as_tensor(b) - a).abs().flatten() for a, b in zip(ours, others, strict=True)]).max().item()
        for others in (theirs, exact)
    )
