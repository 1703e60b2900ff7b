"""`hf-nli predict`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from hf_nli.cli.command import Command
from hf_nli.cli.flags import REVISION_HELP, LengthArguments, model_help


@dataclass(frozen=True, kw_only=True)
class PredictArguments(LengthArguments):
    """Flags of `hf-nli predict`."""

    model_name_or_path: str = field(metadata=model_help("ask"))
    premise: str = field(metadata={"help": "What is taken as true."})
    hypothesis: str = field(metadata={"help": "What may follow from it."})
    revision: str | None = field(default=None, metadata=REVISION_HELP)


def execute(arguments: PredictArguments) -> None:
    """Predicts, and prints a line of JSON."""
    from hf_nli.inference.predictor import predict
    from hf_nli.model.load import load_model

    model, tokenizer = load_model(model_name_or_path=arguments.model_name_or_path, revision=arguments.revision)
    predictions = predict(
        model,
        tokenizer,
        [(arguments.premise, arguments.hypothesis)],
        max_seq_length=arguments.max_seq_length,
        truncation=arguments.truncation,
    )
    for prediction in predictions:
        print(_line(prediction))


def _line(prediction: dict[str, Any]) -> str:
    """Lays out JSON with letters as they are, or escaped where standard output can't take them."""
    line = json.dumps(prediction, ensure_ascii=False)
    try:
        line.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(prediction)
    return line


COMMAND = Command(
    "predict",
    "predict the label of a pair, as a line of JSON",
    (PredictArguments,),
    execute,
    (
        "hf_nli.inference.predictor",
        "hf_nli.model.load",
    ),
)
