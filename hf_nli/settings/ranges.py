"""The one rule for settings: of their type, finite, and in their range, wherever they come from."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from hf_nli.core.errors import InputError


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may be, ends included; `below` isn't.

    Attributes:
        minimum: The least one.
        maximum: The greatest one.
        below: What it must be less than.
    """

    minimum: float
    maximum: float = math.inf
    below: float = math.inf

    def __str__(self) -> str:
        upper = f" and at most {self.maximum}" if self.maximum < math.inf else ""
        return f"at least {self.minimum}{upper}" + (f" and less than {self.below}" if self.below < math.inf else "")


SHORTEST_PAIR = 5  # tokens: <cls>, two <sep>, and a token of each text

COUNT = Range(1, 10**9)  # enough for anybody, and what is counted up to it ends
RATE = Range(0)
SHARE = Range(0, below=1)

# By the names of the flags, whichever command has them.
RANGES = {
    "num_train_epochs": COUNT,
    "max_train_steps": COUNT,
    "max_train_samples": COUNT,
    "per_device_train_batch_size": COUNT,
    "per_device_eval_batch_size": COUNT,
    "batch_size": COUNT,
    "gradient_accumulation_steps": COUNT,
    "tokens_per_batch": COUNT,
    "early_stopping_patience": COUNT,
    "checkpoints_total_limit": COUNT,
    "checkpointing_steps": COUNT,
    "logging_steps": COUNT,
    "max_seq_length": Range(SHORTEST_PAIR, 10**9),
    "learning_rate": RATE,
    "embedding_lr_multiplier": RATE,
    "weight_decay": RATE,
    "max_grad_norm": RATE,
    "warmup_ratio": SHARE,
    "dropout": SHARE,
    "threshold": Range(0, 1),
    "mixing_weights": Range(1e-6, 10**9),
    "resamples": Range(100, 10**6),  # of fewer, an end of an interval is chance itself
    "seed": Range(0, 2**32 - 1),  # NumPy takes no other
}


def check_number(name: str, value: object, whole: bool = True, allowed: Range | None = None) -> None:
    """Refuses a number that its flag can't be.

    Args:
        name: The flag's name.
        value: What was given.
        whole: Whether only whole numbers will do.
        allowed: The numbers that it may be; by default those of `RANGES`.

    Raises:
        InputError: If it is no such number, infinite, or out of its range.
    """
    allowed = allowed or RANGES[name]
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        raise InputError(f"--{name} is {value!r}; it must be a {'whole ' if whole else ''}number")
    number = cast(float, value)
    # A NaN fails as well.
    if not (allowed.minimum <= number <= min(allowed.maximum, sys.float_info.max) and number < allowed.below):
        finite = ", and finite" if allowed == RATE else ""
        raise InputError(f"--{name} is {value}; it must be {allowed}{finite}")


def check_numbers(name: str, values: Iterable[object], whole: bool = True) -> None:
    """Refuses a list of numbers that is empty or has one that `check_number` refuses.

    Args:
        name: The name, one of `RANGES`, of the flag of which each is a value.
        values: What was given.
        whole: Whether only whole numbers will do.

    Raises:
        InputError: As `check_number`.
    """
    values = list(values)
    if not values:
        raise InputError(f"--{name}: no value is given; give at least one")
    for value in values:
        check_number(name, value, whole)


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Refuses what isn't one of a flag's choices.

    Args:
        name: The flag's name.
        value: What was given.
        choices: What may be.

    Raises:
        InputError: If it isn't one of them.
    """
    choices = tuple(choices)
    if value not in choices:
        raise InputError(f"--{name} is {value!r}; it must be one of {', '.join(map(str, choices))}")


def check_settings(settings: Any) -> None:
    """Refuses settings that aren't of their types, or numbers among them that are out of their ranges.

    Args:
        settings: A dataclass whose fields are flags, with types of numbers, bool, str or `Literal`; None passes where
            the type has it.

    Raises:
        InputError: If one of them can't be used.
    """
    hints = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        hint, value = hints[field.name], getattr(settings, field.name)
        kinds = set(get_args(hint)) if NoneType in get_args(hint) else {hint}
        if value is None and NoneType in kinds:
            continue
        kind = (kinds - {NoneType}).pop()
        if get_origin(kind) is Literal:
            check_choice(field.name, value, get_args(kind))
        elif kind in (int, float):
            check_number(field.name, value, whole=kind is int)
        elif kind is bool or kind is str:
            if not isinstance(value, kind):
                raise InputError(
                    f"--{field.name} is {value!r}; it must be {'True or False' if kind is bool else 'text'}"
                )
