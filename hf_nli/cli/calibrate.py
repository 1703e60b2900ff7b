"""`hf-nli calibrate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_nli.cli.checks import check_model, check_sources
from hf_nli.cli.command import Command
from hf_nli.cli.flags import DATASET_HELP, OVERWRITE_HELP, REVISION_HELP, PairArguments, model_help
from hf_nli.settings.options import DataOptions
from hf_nli.settings.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class CalibrateArguments(PairArguments):
    """Flags of `hf-nli calibrate`, beside those of the data."""

    model_name_or_path: str = field(metadata=model_help("calibrate"))
    dataset: str = field(metadata=DATASET_HELP)
    output_dir: str = field(metadata={"help": "Model folder to write."})
    split: str | None = field(default=None, metadata={"help": "Split to calibrate on; default: validation."})
    seed: int = field(default=Recipe.seed, metadata={"help": "Seed of the half that the temperature is fitted on."})
    per_device_eval_batch_size: int = field(
        default=Recipe.per_device_eval_batch_size, metadata={"help": "Pairs a batch, on each process."}
    )
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    overwrite_output_dir: bool = field(default=False, metadata=OVERWRITE_HELP)


def check(arguments: CalibrateArguments, data_options: DataOptions) -> None:
    """Refuses input that is missing."""
    check_model(arguments.model_name_or_path, arguments.revision)
    check_sources(arguments.dataset, data_options, arguments.split or "validation")


def execute(arguments: CalibrateArguments, data_options: DataOptions) -> None:
    """Calibrates, and prints what the probabilities are worth before and after."""
    from hf_nli.evaluation.calibrate import calibrate

    report = calibrate(
        model_name_or_path=arguments.model_name_or_path,
        dataset=arguments.dataset,
        output_dir=arguments.output_dir,
        split=arguments.split,
        seed=arguments.seed,
        per_device_eval_batch_size=arguments.per_device_eval_batch_size,
        max_seq_length=arguments.max_seq_length,
        truncation=arguments.truncation,
        data_options=data_options,
        revision=arguments.revision,
        forward=arguments.forward,
        overwrite_output_dir=arguments.overwrite_output_dir,
    )
    changes = "\n".join(f"  {name}: {old:.4f} before, {new:.4f} after" for name, old, new in report.changes)
    print(
        f"Calibrated {report.model} on {report.pairs}: its logits are divided by {report.temperature:.4f}, "
        f"fitted on {report.fitted_pairs} pairs.\n"
        f"On {report.held_out_pairs} others:\n{changes}\n"
        f"  labels that changed: {report.changed_labels} of {report.fitted_pairs + report.held_out_pairs}\n"
        f"  model, tokenizer, README.md and calibration_report.json in {arguments.output_dir}"
    )


COMMAND = Command(
    "calibrate",
    "make a model's probabilities as often right as they say",
    (CalibrateArguments, DataOptions),
    execute,
    ("hf_nli.evaluation.calibrate",),
    check,
)
