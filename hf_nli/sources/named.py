"""What a run calls its sources: where each is, and maybe which split of it and what its label ids mean."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import public_name
from hf_nli.settings.options import DataOptions
from hf_nli.settings.ranges import check_numbers

_NAMED = re.compile(r"(?P<source>.+?)(:(?P<split>\w+))?(:(?P<names>[\w -]+(,[\w -]+)+))?", re.DOTALL)


@dataclass(frozen=True)
class NamedSource:
    """One source of a run.

    Attributes:
        source: What `load.load_nli` takes.
        split: Which of its splits; None for the usual one.
        label_names: What its label ids mean, if that was said of it alone.
    """

    source: str
    split: str | None = None
    label_names: list[str] | None = None

    @property
    def public_name(self) -> str:
        """What may be published of it, in the form in which it was given."""
        names = ",".join(self.label_names or ())
        return ":".join(filter(None, (public_name(self.source), self.split, names)))

    def options(self, given: DataOptions, first: bool) -> DataOptions:
        """Gives the options that it is read by.

        Args:
            given: Those of the run; a configuration and a revision are the first source's.
            first: Whether it is the first one.

        Raises:
            InputError: If its label names can't be such.
        """
        if self.label_names:
            given = dataclasses.replace(given, label_names=self.label_names)
        return given if first else dataclasses.replace(given, dataset_config=None, dataset_revision=None)


def name_source(text: str) -> NamedSource:
    """Reads SOURCE, SOURCE:SPLIT, SOURCE:NAME,NAME,NAME or SOURCE:SPLIT:NAME,NAME,NAME.

    Args:
        text: What was given; a file or folder of that very name is a source, whatever colons are in it.
    """
    match = None if os.path.exists(text) else _NAMED.fullmatch(text)
    if not match:
        return NamedSource(text)
    names = match["names"]
    return NamedSource(match["source"], match["split"], names.split(",") if names else None)


def name_sources(dataset: str | Sequence[str], weights: Sequence[float] | None = None) -> list[NamedSource]:
    """Reads which sources a run trains on.

    Args:
        dataset: One, or several.
        weights: The proportions to mix them in, if any are given.

    Raises:
        InputError: If there is no source, or if the weights aren't one positive number a source.
    """
    sources = [name_source(each) for each in ([dataset] if isinstance(dataset, str) else dataset)]
    if not sources:
        raise InputError("--dataset: no data set is given; give at least one")
    if weights is not None:
        check_numbers("mixing_weights", weights, whole=False)
        if len(weights) != len(sources):
            raise InputError(f"--mixing_weights: {len(weights)} for {len(sources)} data sets; give one a data set")
    return sources
