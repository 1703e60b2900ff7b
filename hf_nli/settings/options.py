"""How data are read and pairs are cut: the settings that several commands share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS, TWO_WAY_LABELS, is_permutation, parse_label_map, renamed
from hf_nli.settings.ranges import check_number, check_settings

Truncation = Literal["longest_first", "proportional"]
TRUNCATION_HELP = {"help": "How longer pairs are cut: token by token, as d2l, or in proportion to the two lengths."}

Forward = Literal["auto", "stock"]
FORWARD_HELP = {"help": "auto: our forward pass, for the models that it knows; stock: always the model's own."}

# Where each column may be found: our own schema, the Stanford release, `transformers.pipeline`'s pairs.
COLUMNS = {
    "premise": ("premise", "sentence1", "text"),
    "hypothesis": ("hypothesis", "sentence2", "text_pair"),
    "label": ("label", "gold_label"),
}
# Names of single data sets, which are taken, as those above in any letter case, where only one column has one of them:
# ANLI's context, SICK's columns in its two editions.
OTHER_COLUMNS = {
    "premise": ("context", "sentence_A"),
    "hypothesis": ("sentence_B",),
    "label": ("entailment_label", "entailment_judgment"),
}
PARSES = {"premise": ("sentence1_binary_parse",), "hypothesis": ("sentence2_binary_parse",)}


@dataclass(frozen=True)
class RunOptions:
    """How a run is kept and watched; nothing here changes what is trained."""

    checkpointing_steps: str | None = field(
        default=None, metadata={"help": "Write a checkpoint every so many steps, or after every 'epoch'."}
    )
    checkpoints_total_limit: int | None = field(default=None, metadata={"help": "Keep so many, the newest."})
    resume_from_checkpoint: str | None = field(
        default=None, metadata={"help": "Go on from a checkpoint: its path, or 'latest' for the newest that is whole."}
    )
    eval_on_start: bool = field(
        default=False, metadata={"help": "Whether to score the model before training, too: epoch 0."}
    )
    logging_steps: int = field(default=50, metadata={"help": "Log the loss every so many steps."})
    report_to: Literal["none", "tensorboard", "trackio", "wandb"] = field(
        default="none", metadata={"help": "Where to report figures to, beside train_log.jsonl."}
    )

    def __post_init__(self) -> None:
        check_settings(self)
        steps = self.checkpointing_steps
        if steps not in (None, "epoch"):
            if not re.fullmatch("[0-9]{1,12}", steps):
                raise InputError(f"--checkpointing_steps is {steps}; it must be a number of steps, or 'epoch'")
            check_number("checkpointing_steps", int(steps))


@dataclass(frozen=True)
class TextOptions:
    """Where the texts of a data set are; the fields are flags of every command that reads one."""

    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set on the Hub."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit on the Hub."})
    text: Literal["raw", "parse"] = field(
        default="raw", metadata={"help": "Text of the Stanford release: its sentences, or its parses' words, as d2l."}
    )
    premise_column: str | None = field(default=None, metadata={"help": "Column of the premise, if not recognized."})
    hypothesis_column: str | None = field(default=None, metadata={"help": "Column of the hypothesis, likewise."})

    def __post_init__(self) -> None:
        flags = [f"{kind}_column" for kind in self._kinds]
        for index, flag in enumerate(flags):
            name = getattr(self, flag)
            if name == "":
                raise InputError(f"--{flag} is empty; give the name of a column")
            for other in flags[:index]:
                if name is not None and name == getattr(self, other):
                    raise InputError(f"--{other} and --{flag} are both {name}; they must differ")

    @property
    def _kinds(self) -> list[str]:
        return [kind for kind in COLUMNS if hasattr(self, f"{kind}_column")]

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The names that each column may have, the one that is preferred first."""
        return {kind: (name,) if name else self._recognized[kind] for kind, name in self._given.items()}

    @property
    def other_columns(self) -> dict[str, tuple[str, ...]]:
        """The names that each column may have in any letter case; of a column that was named, none."""
        parses = PARSES if self.text == "parse" else {}
        return {
            kind: () if name else self._recognized[kind] + (() if kind in parses else OTHER_COLUMNS[kind])
            for kind, name in self._given.items()
        }

    @property
    def _given(self) -> dict[str, str | None]:
        return {kind: getattr(self, f"{kind}_column") for kind in self._kinds}

    @property
    def _recognized(self) -> dict[str, tuple[str, ...]]:
        return COLUMNS | (PARSES if self.text == "parse" else {})


@dataclass(frozen=True)
class DataOptions(TextOptions):
    """How to read a data set with labels."""

    label_column: str | None = field(default=None, metadata={"help": "Column of the label, likewise."})
    label_names: list[str] | None = field(
        default=None, metadata={"help": "What the label ids 0, 1, … of this data set mean, in their order."}
    )
    label_map: list[str] | None = field(
        default=None,
        metadata={"help": "What other labels mean, as contradictory=contradiction e=entailment."},
    )

    def __post_init__(self) -> None:
        label_map = self.renamed
        if self.label_names is not None and not is_permutation(renamed(name, label_map) for name in self.label_names):
            raise InputError(
                f"--label_names: {', '.join(map(repr, self.label_names))}; it must be {', '.join(LABELS)}, or "
                f"{', '.join(TWO_WAY_LABELS)}, each once, in the order of the ids"
            )
        super().__post_init__()

    @property
    def renamed(self) -> dict[str, str]:
        """What labels of other names mean, by `label_map`."""
        return parse_label_map(self.label_map or ())


@dataclass(frozen=True, kw_only=True)
class PredictorOptions:
    """How pairs become answers."""

    max_seq_length: int | None = field(
        default=None, metadata={"help": "Tokens a pair; default: as many as the model takes."}
    )
    truncation: Truncation = field(default="longest_first", metadata=TRUNCATION_HELP)
    forward: Forward = field(default="auto", metadata=FORWARD_HELP)
    long_premises: Literal["truncate", "windows"] = field(
        default="truncate",
        metadata={"help": "A premise that is too long is cut, or scored window by window, with the evidence named."},
    )
    threshold: float | None = field(
        default=None, metadata={"help": "Answer 'undecided' where the label's probability is lower."}
    )
    tokens_per_batch: int | None = field(
        default=None, metadata={"help": "Tokens a batch, padding included; default: what suits the device."}
    )

    def __post_init__(self) -> None:
        check_settings(self)
