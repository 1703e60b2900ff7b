"""The one rule for numbers among the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hf_nli.core.errors import InputError


def check_at_least(settings: object, minima: Mapping[str, float]) -> None:
    """Refuses numbers that are too small, infinite or not a number.

    Args:
        settings: What has them as attributes, by the names of their flags; None passes.
        minima: The least value of each.

    Raises:
        InputError: If one is none that can be used.
    """
    for name, minimum in minima.items():
        value = getattr(settings, name)
        if value is not None and not minimum <= value < math.inf:
            raise InputError(f"--{name} is {value}; it must be at least {minimum}, and finite")
