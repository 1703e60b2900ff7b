"""Fine-tunes a model with Transformers' Trainer; takes `TrainingArguments`' flags, or one .json or .yaml file of them.

python scripts/finetune_trainer.py --model_name_or_path MODEL --dataset stanfordnlp/snli --output_dir OUT
python scripts/finetune_trainer.py arguments.yaml
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from hf_nli.cli.end import end
from hf_nli.cli.session import session
from hf_nli.cli.signals import Signals
from hf_nli.core.environment import accelerate_starts, check_environment
from hf_nli.core.errors import InputError
from hf_nli.settings.options import DataOptions

if TYPE_CHECKING:
    from hf_nli.training.trainer import NLITrainingArguments

PROG = Path(__file__).name


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
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json" and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise yaml.YAMLError("it has an alias, as *name; write out what that stands for")  # which may be huge
        settings = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise InputError(f"{path}: it can't be read ({why})") from error
    if not isinstance(settings, dict):
        raise InputError(f"{path}: give names and values, as in learning_rate: 0.0002")
    flags = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        flags += [f"--{name}", *map(str, values)] if value is not None else []
    return flags


def main(signals: Signals) -> None:
    """Trains, validates, and saves the best model with its results."""
    check_environment()
    with session():
        from transformers import HfArgumentParser

        from hf_nli.cli.parser import FlagParser
        from hf_nli.core.processes import on_main
        from hf_nli.core.sole_run import sole_run
        from hf_nli.training.trainer import NLITrainingArguments

        class TrainerFlagParser(FlagParser, HfArgumentParser):
            """Takes the fields of `TrainingArguments`, too, whose types Transformers' own parser knows."""

            def add_settings(self, settings: Any) -> None:
                self._add_dataclass_arguments(settings)

        parser = TrainerFlagParser((PlaceArguments, DataArguments, NLITrainingArguments), PROG, __doc__)
        parser.set_defaults(disable_tqdm=False)  # which Trainer turns on where other lines of its are off
        given = sys.argv[1:]
        if len(given) == 1 and given[0].endswith((".json", ".yaml", ".yml")):
            given = read_flags(Path(given[0]))
        with refusals_of_trainer(), accelerate_starts():
            places, data, arguments = parser.parse(given)
        options = DataOptions(**{name: getattr(data, flag) for name, flag in FLAGS.items()})
        with ExitStack() as stack:
            on_main(lambda: stack.enter_context(sole_run(str(arguments.output_dir))))
            fine_tune(places, options, arguments, signals)


def fine_tune(
    places: PlaceArguments, options: DataOptions, arguments: "NLITrainingArguments", signals: Signals
) -> None:
    """Trains with flags that are read."""
    from hf_nli.core.labels import LABEL_SETS
    from hf_nli.core.processes import on_main
    from hf_nli.data.splits import RunSources
    from hf_nli.model.folder import SHA256, weights_sha256
    from hf_nli.training.trainer import load_base, make_trainer_of

    signals.at_once = False
    on_main(lambda: arguments.goes_on(arguments.resume_from_checkpoint))
    with arguments.main_process_first(desc="reading and encoding"):
        labels = LABEL_SETS[arguments.labels]
        sources = RunSources(places.dataset, places.validation_dataset, options, labels=labels)
        model, tokenizer = load_base(places.model_name_or_path, arguments, places.revision)
        pairs = sources.read(arguments.seed)
        trainer = make_trainer_of(model, tokenizer, pairs.train, pairs.validation, arguments)
    with refusals_of_trainer():
        result = trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    for split, metrics in (("train", result.metrics), ("eval", trainer.evaluate())):
        trainer.log_metrics(split, metrics)
        trainer.save_metrics(split, metrics | {SHA256: weights_sha256(arguments.folder)})


@contextmanager
def refusals_of_trainer() -> Iterator[None]:
    """Makes Trainer's own refusals, of flags that don't go together or of what it can't go on from, bad input."""
    try:
        yield
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(" ".join(str(error).split())) from error


if __name__ == "__main__":
    sys.exit(end(PROG, main, closing=True))
