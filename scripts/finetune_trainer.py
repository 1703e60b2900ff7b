"""Fine-tunes a model with Transformers' Trainer; takes `TrainingArguments`' flags, or one .json or .yaml file of them.

python scripts/finetune_trainer.py --model_name_or_path MODEL --dataset stanfordnlp/snli --output_dir OUT
python scripts/finetune_trainer.py arguments.yaml
"""

import sys
from dataclasses import dataclass, field, fields, make_dataclass
from typing import get_type_hints

from transformers import HfArgumentParser

from hf_nli.core.errors import InputError
from hf_nli.data.splits import read_splits
from hf_nli.settings.options import DataOptions
from hf_nli.training.trainer import NLITrainingArguments, make_trainer


@dataclass
class PlaceArguments:
    """What to fine-tune, and on what."""

    model_name_or_path: str = field(metadata={"help": "Model folder or Hub id to fine-tune."})
    dataset: str = field(metadata={"help": "Hub id, release, file or folder, as for `hf-nli train`."})
    validation_dataset: str | None = field(
        default=None, metadata={"help": "Data set to validate on, if not the validation split of --dataset."}
    )


# How to read it; TrainingArguments has `label_names` already, with another meaning.
DataArguments = make_dataclass(
    "DataArguments",
    [
        (
            each.name if each.name != "label_names" else "dataset_label_names",
            get_type_hints(DataOptions)[each.name],
            field(default=each.default, metadata=each.metadata),
        )
        for each in fields(DataOptions)
    ],
)


def main() -> None:
    """Trains, validates, and saves the best model with its results."""
    parser = HfArgumentParser((PlaceArguments, DataArguments, NLITrainingArguments))
    files = {".json": parser.parse_json_file, ".yaml": parser.parse_yaml_file, ".yml": parser.parse_yaml_file}
    read = next((read for suffix, read in files.items() if len(sys.argv) == 2 and sys.argv[1].endswith(suffix)), None)
    places, data, arguments = read(sys.argv[1]) if read else parser.parse_args_into_dataclasses()
    data_options = DataOptions(*vars(data).values())  # the same fields in the same order
    with arguments.main_process_first(desc="reading and encoding"):
        pairs = read_splits(places.dataset, places.validation_dataset, data_options, arguments.seed)
        trainer = make_trainer(places.model_name_or_path, pairs.train, pairs.validation, arguments)
    result = trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    for split, metrics in (("train", result.metrics), ("eval", trainer.evaluate())):
        trainer.log_metrics(split, metrics)
        trainer.save_metrics(split, metrics)


if __name__ == "__main__":
    try:
        main()
    except (InputError, ValueError) as error:  # Trainer's own refusals are of the second kind
        print(f"finetune_trainer.py: error: {error}", file=sys.stderr)
        sys.exit(2)
