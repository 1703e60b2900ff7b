"""Fine-tunes a model with Transformers' Trainer; takes `TrainingArguments`' flags, or one .json or .yaml file of them.

python scripts/finetune_trainer.py --model_name_or_path MODEL --dataset stanfordnlp/snli --output_dir OUT
python scripts/finetune_trainer.py arguments.yaml
"""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from hf_nli.cli.parser import FlagParser
from hf_nli.core.errors import InputError
from hf_nli.core.processes import leave_others, on_main
from hf_nli.core.sole_run import sole_run
from hf_nli.data.splits import read_splits
from hf_nli.model.folder import SHA256, weights_sha256
from hf_nli.settings.options import DataOptions
from hf_nli.training.trainer import NLITrainingArguments, make_trainer


@dataclass
class PlaceArguments:
    """What to fine-tune, and on what."""

    model_name_or_path: str = field(metadata={"help": "Model folder or Hub id to fine-tune."})
    dataset: str = field(metadata={"help": "Hub id, release, file or folder, as for `hf-nli train`."})
    revision: str | None = field(
        default=None, metadata={"help": "Branch, tag or commit of a --model_name_or_path on the Hub."}
    )
    validation_dataset: str | None = field(
        default=None, metadata={"help": "Data set to validate on, if not the validation split of --dataset."}
    )


# The fields of `DataOptions` by their flags: TrainingArguments has `label_names` already, with another meaning.
FLAGS = {each.name: each.name for each in fields(DataOptions)} | {"label_names": "dataset_label_names"}
DataArguments = make_dataclass(
    "DataArguments",
    [
        (FLAGS[each.name], get_type_hints(DataOptions)[each.name], field(default=each.default, metadata=each.metadata))
        for each in fields(DataOptions)
    ],
)


def read_flags(path: Path) -> list[str]:
    """Reads a .json or .yaml file of names and values as flags, so that both are checked in the same way."""
    text = path.read_text(encoding="utf-8")
    try:
        settings = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: it can't be read ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict):
        raise InputError(f"{path}: give names and values, as in learning_rate: 0.0002")
    flags = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        flags += [f"--{name}", *map(str, values)] if value is not None else []
    return flags


def main() -> None:
    """Trains, validates, and saves the best model with its results."""
    parser = FlagParser((PlaceArguments, DataArguments, NLITrainingArguments), "finetune_trainer.py")
    given = sys.argv[1:]
    if len(given) == 1 and given[0].endswith((".json", ".yaml", ".yml")):
        given = read_flags(Path(given[0]))
    places, data, arguments = parser.parse(given)
    with ExitStack() as stack:
        on_main(lambda: stack.enter_context(sole_run(arguments.folder)))
        fine_tune(places, data, arguments)


def fine_tune(places: Any, data: Any, arguments: NLITrainingArguments) -> None:
    """Does it, with the flags as they were read."""
    if not arguments.resume_from_checkpoint:
        arguments.refuse_other_run()
    options = DataOptions(**{name: getattr(data, flag) for name, flag in FLAGS.items()})
    with arguments.main_process_first(desc="reading and encoding"):
        pairs = read_splits(places.dataset, places.validation_dataset, options, arguments.seed)
        trainer = make_trainer(
            places.model_name_or_path, pairs.train, pairs.validation, arguments, revision=places.revision
        )
    result = trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    for split, metrics in (("train", result.metrics), ("eval", trainer.evaluate())):
        trainer.log_metrics(split, metrics)
        trainer.save_metrics(split, metrics | {SHA256: weights_sha256(arguments.folder)})


if __name__ == "__main__":
    code = 0
    try:
        main()
    except (OSError, ValueError) as error:  # of files, and Trainer's own refusals beside ours
        print(f"finetune_trainer.py: error: {error}", file=sys.stderr)
        code = 2
    leave_others()
    sys.exit(code)
