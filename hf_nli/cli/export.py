"""`hf-nli export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf_nli.cli.checks import check_model
from hf_nli.cli.command import Command
from hf_nli.cli.flags import OVERWRITE_HELP, REVISION_HELP, model_help


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """Flags of `hf-nli export`."""

    model_name_or_path: str = field(metadata=model_help("export"))
    output_dir: str = field(metadata={"help": "Folder to write, with model.onnx and tokenizer.json."})
    format: Literal["onnx"] = field(default="onnx", metadata={"help": "What to write."})
    int8: bool = field(default=False, metadata={"help": "Whether to quantize matrices to 8 bits."})
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    overwrite_output_dir: bool = field(default=False, metadata=OVERWRITE_HELP)


def check(arguments: ExportArguments) -> None:
    """Refuses input that is missing."""
    check_model(arguments.model_name_or_path, arguments.revision)


def execute(arguments: ExportArguments) -> None:
    """Exports, and prints how exact it is."""
    from hf_nli.inference.export import export

    report = export(
        model_name_or_path=arguments.model_name_or_path,
        output_dir=arguments.output_dir,
        format=arguments.format,
        int8=arguments.int8,
        revision=arguments.revision,
        overwrite_output_dir=arguments.overwrite_output_dir,
    )
    print(
        f"Exported {report.model} to {arguments.output_dir}: model.onnx ({report.weights}, "
        f"{report.bytes / 2**20:.1f} MiB with its data), tokenizer.json, export_report.json\n"
        f"  PyTorch's label for {report.label_agreement:.0%} of {report.pairs} sentence pairs on this machine\n"
        f"  largest difference of onnxruntime's logits from PyTorch's: {report.max_abs_difference:.1e} "
        f"(PyTorch's float32 from its float64: {report.pytorch_float32_difference:.1e})\n"
        f"  any number of pairs, up to {report.max_length} tokens; outputs: {', '.join(report.labels)}"
    )


COMMAND = Command(
    "export", "write a model folder as ONNX", (ExportArguments,), execute, ("hf_nli.inference.export",), check
)
