"""`hf-nli predict`."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hf_nli.cli.checks import check_model
from hf_nli.cli.command import Command
from hf_nli.cli.flags import REVISION_HELP, model_help
from hf_nli.core.environment import first_process, start_accelerate
from hf_nli.core.errors import InputError
from hf_nli.settings.options import PredictorOptions, TextOptions

if TYPE_CHECKING:  # they take seconds
    from hf_nli.inference.files import PredictionSummary
    from hf_nli.inference.predictor import Predictor

logger = logging.getLogger(__name__)

STANDARD = "-"


@dataclass(frozen=True, kw_only=True)
class PredictArguments:
    """Flags of `hf-nli predict`, beside those of the input's columns and of the predictor."""

    model_name_or_path: str = field(metadata=model_help("ask"))
    premise: str | None = field(default=None, metadata={"help": "What is taken as true; of one pair."})
    hypothesis: str | None = field(default=None, metadata={"help": "What may follow from it."})
    input_file: str | None = field(
        default=None,
        metadata={
            "help": "Instead of one pair: a .jsonl/.json/.csv/.tsv/.txt/.parquet file (.gz too), a pattern of such "
            "files, a Hub id, a folder written by save_to_disk, or - for lines of JSON on standard input, which are "
            "answered as they come."
        },
    )
    output_file: str = field(
        default=STANDARD,
        metadata={"help": "A .jsonl, .csv, .tsv or .parquet file for all columns and the answers; - for JSON lines."},
    )
    split: str | None = field(default=None, metadata={"help": "Split of the input, if it has several."})
    prefix: str = field(default="", metadata={"help": "What the names of the new columns begin with."})
    skip_bad_rows: bool = field(
        default=False, metadata={"help": "Whether a row without a pair of texts gets no answer and an error."}
    )
    overwrite: bool = field(
        default=False, metadata={"help": "Whether to replace the output file, or what another run began of it."}
    )
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    device: str | None = field(
        default=None, metadata={"help": "Where to compute: cpu, cuda, cuda:1, …; default: a GPU, if there is one."}
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = field(
        default="auto", metadata={"help": "Type of matrix products; auto is float32 on a CPU, 16 bits on a GPU."}
    )
    backend: Literal["torch", "onnx", "openvino"] = field(
        default="torch", metadata={"help": "What computes: PyTorch, or onnxruntime or OpenVINO on a CPU."}
    )
    int8: bool = field(default=False, metadata={"help": "Whether the layers' matrices have 8 bits; not with PyTorch."})

    def __post_init__(self) -> None:
        pair = [name for name in ("premise", "hypothesis") if getattr(self, name) is not None]
        if self.input_file and pair:
            raise InputError(f"--{pair[0]} and --input_file: give one pair, or a file of pairs")
        if not self.input_file and len(pair) < 2:
            raise InputError("give one pair, with --premise and --hypothesis, or a file of pairs with --input_file")
        if pair and self.output_file != STANDARD:
            raise InputError("--output_file is for --input_file; the answer to one pair goes to standard output")


def check(arguments: PredictArguments, options: PredictorOptions, text_options: TextOptions) -> None:
    """Refuses input that is missing."""
    from hf_nli.data.records import Records
    from hf_nli.inference.writers import form_of
    from hf_nli.sources.source import is_at_hand

    if arguments.output_file != STANDARD:
        form_of(arguments.output_file)
    if arguments.input_file not in (None, STANDARD) and is_at_hand(arguments.input_file):
        Records(arguments.input_file, arguments.split, text_options, arguments.skip_bad_rows)
    check_model(arguments.model_name_or_path, arguments.revision)


def execute(arguments: PredictArguments, options: PredictorOptions, text_options: TextOptions) -> None:
    """Predicts, and prints lines of JSON, or what a file was made of."""
    from hf_nli.inference.files import predict_file
    from hf_nli.inference.predictor import Predictor

    start_accelerate(arguments.device == "cpu")

    def load() -> Predictor:
        return Predictor.from_pretrained(
            arguments.model_name_or_path,
            arguments.revision,
            arguments.device,
            arguments.dtype,
            arguments.backend,
            arguments.int8,
            **vars(options),
        )

    if arguments.input_file is None:
        predictions = load()([(arguments.premise or "", arguments.hypothesis or "")])
        for prediction in predictions:
            print(json.dumps(prediction, ensure_ascii=_ascii_only()))
        return
    if arguments.output_file == STANDARD:
        _print_answers(arguments, text_options, load)
        return
    with tempfile.TemporaryDirectory() as folder:
        summary = predict_file(
            load,
            _spooled(arguments.input_file, Path(folder)),
            arguments.output_file,
            arguments.split,
            text_options,
            arguments.prefix,
            arguments.skip_bad_rows,
            arguments.overwrite,
        )
    print(f"{_told(summary)}\n  in {arguments.output_file}")


def _print_answers(arguments: PredictArguments, text_options: TextOptions, load: Callable[[], Predictor]) -> None:
    """Answers on standard output, and tells in the log what came of it."""
    from accelerate import PartialState

    from hf_nli.data.records import Records
    from hf_nli.inference.files import Columns, summarize
    from hf_nli.inference.stream import predict_lines, predict_stream
    from hf_nli.inference.writers import FORMS

    if PartialState().num_processes > 1:
        raise InputError("several processes write no standard output together; give an --output_file")

    def write(text: str) -> None:
        print(text, end="", flush=True)

    if arguments.input_file == STANDARD:
        predictor = load()
        columns = Columns.of(predictor, arguments.prefix, arguments.skip_bad_rows)
        started = time.perf_counter()
        counts = predict_stream(predictor, sys.stdin.buffer, write, text_options, columns, _ascii_only())
    else:
        records = Records(arguments.input_file or "", arguments.split, text_options, arguments.skip_bad_rows)
        scan = records.scan(False, FORMS[".jsonl"].check)
        predictor = load()
        columns = Columns.of(predictor, arguments.prefix, arguments.skip_bad_rows)
        columns.check(scan.columns, arguments.input_file or "")
        started = time.perf_counter()
        counts = predict_lines(predictor, records, write, columns, _ascii_only())
    logger.info(_told(summarize(counts, columns.labels, counts["rows"], time.perf_counter() - started)))


def _spooled(input_file: str, folder: Path) -> str:
    """Gives a file of what is on standard input, if that was asked for: it has to be read more than once."""
    if input_file != STANDARD:
        return input_file
    if not first_process() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("standard input can be read by one process alone; write it to a file first")
    file = folder / "standard_input.jsonl"
    with file.open("wb") as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled)
    return str(file)


def _told(summary: PredictionSummary) -> str:
    labels = ", ".join(f"{label} {count:,}" for label, count in summary.labels.items())
    skipped = f", {summary.skipped:,} without an answer" if summary.skipped else ""
    return (
        f"{summary.rows:,} rows in {summary.seconds:.1f} s, {summary.rows_per_second:,.0f} rows/s: {labels}; "
        f"{summary.cut:,} pairs cut{skipped}"
    )


def _ascii_only() -> bool:
    """Whether standard output can't take all letters."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") != "utf8"


COMMAND = Command(
    "predict",
    "predict the labels of a pair, or of all rows of a file",
    (PredictArguments, PredictorOptions, TextOptions),
    execute,
    (
        "hf_nli.inference.files",
        "hf_nli.inference.stream",
    ),
    check,
)
