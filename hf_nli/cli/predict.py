"""`hf-nli predict`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

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
        print(json.dumps(prediction, ensure_ascii=False))


COMMAND = Command("predict", "predict the label of a pair, as a line of JSON", (PredictArguments,), execute)
