"""The commands that make a model and measure it, with all that wasn't a default."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from hf_nli.card.facts import CardFacts
from hf_nli.card.training import Flag, TrainingStep
from hf_nli.core.hub_ids import public_name
from hf_nli.d2l.report import ConversionReport
from hf_nli.model.evaluations import CalibrationReport, EvaluationRecord


def commands(facts: CardFacts) -> list[str]:
    """Lays out the commands, in their order; what isn't public goes by its name alone.

    Args:
        facts: What is known of the model.

    Returns:
        A command a line, and a comment where it isn't known what made an input; nothing if nothing is known.
    """
    steps = list(_steps(facts))
    # A folder goes by the name that it had when it was used, made different from those before.
    folders: list[str] = []
    for name in [*(step.model or "" for step in steps), facts.model.name]:
        folders.append(name if "/" in name else _other_name(name, folders))
    lines = []
    if facts.conversion:
        lines.append(_convert(facts.conversion, folders[0]))
    elif steps and "/" not in folders[0]:
        weights = f" (SHA-256 of its weights: {steps[0].base_model_sha256})" if steps[0].base_model_sha256 else ""
        lines.append(f"# {folders[0]}: a model folder of which no more is known{weights}")
    for step, base, folder in zip(steps, folders, folders[1:], strict=False):
        given: dict[str, Flag] = {"model_name_or_path": base}
        if isinstance(step, TrainingStep):
            given |= {"dataset": step.datasets, "output_dir": folder}
            lines.append(_command("train", given | step.settings))
        else:
            lines.append(_command("calibrate", given | step.arguments | {"output_dir": folder}))
    return lines + [_evaluate(each, folders[-1]) for each in facts.evaluations if lines]


def _steps(facts: CardFacts) -> Iterator[TrainingStep | CalibrationReport]:
    """What a command each made of the first model; a calibration that was a part of training is in its command."""
    for step in facts.training.steps_to_here if facts.training else []:
        yield from (each for each in step.calibrations if each.model)
        yield step
    yield from (each for each in facts.calibrations if each.model)


def _other_name(name: str, taken: list[str]) -> str:
    others = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    return next(each for each in others if each not in taken)


def _convert(report: ConversionReport, folder: str) -> str:
    return _command("convert", {"source": public_name(report.source), **report.arguments, "output_dir": folder})


def _evaluate(record: EvaluationRecord, folder: str) -> str:
    names = ["dataset", "dataset_config", "dataset_revision", "split", "premise_column", "hypothesis_column"]
    names += ["label_column", "label_names", "label_map", "max_seq_length"]
    given: dict[str, Flag] = {name: getattr(record, name) for name in names}
    defaults = {"text": "raw", "truncation": "longest_first", "mixed_precision": "no"}
    given |= {name: getattr(record, name) for name, value in defaults.items() if getattr(record, name) != value}
    return _command("evaluate", {"model_name_or_path": folder, **given, "output_dir": "scores"})


def _command(name: str, flags: Mapping[str, Flag]) -> str:
    words = [f"hf-nli {name}"]
    for flag, value in flags.items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            words.append(f"--{flag} " + " ".join(shlex.quote(str(each)) for each in values))
    return " ".join(words)
