"""One row of a source, in whatever form, as a pair: two texts and the id of a label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hf_nli.core.labels import LABELS, label_id, label_set
from hf_nli.text.encoding import refuse_surrogates


class TwoWayLabel(Exception):
    """A label that only two-way data have was met in what was taken for three-way data."""


class PairMaker:
    """Makes pairs of rows.

    Args:
        labels: `labels.LABELS` or `labels.TWO_WAY_LABELS`.
        names: What the label ids 0, 1, … of the rows mean, if that is known.
        parse: Whether the texts are binary parses, of which the words are taken.
    """

    def __init__(self, labels: tuple[str, ...], names: Sequence[str] | None = None, parse: bool = False) -> None:
        self._labels, self._names, self._parse = labels, names, parse
        self._ids: dict[str, int | None] = {}

    def make(self, premise: Any, hypothesis: Any, label: Any) -> tuple[str, str, int] | None:
        """Makes a pair of the values in a row.

        Args:
            premise: The premise; a text, if the row is right.
            hypothesis: The hypothesis, likewise.
            label: The label: a name or an id, as a text or a number.

        Returns:
            Premise, hypothesis and the label's index in `labels`; None if the row has no gold label.

        Raises:
            ValueError: If it is no row of NLI data; the message says why.
            TwoWayLabel: If the label's name says that the data are two-way, and `labels` aren't.
        """
        for column, text in (("premise", premise), ("hypothesis", hypothesis)):
            if not isinstance(text, str):
                raise ValueError(f"the {column} is {text!r}, not a text")
            if not text.isascii():
                refuse_surrogates(text)
        identity = self._known(label) if isinstance(label, str) else self._label_id(label)
        if identity is None:
            return None
        if self._parse:
            premise, hypothesis = _words(premise), _words(hypothesis)
        return premise, hypothesis, identity

    def _known(self, label: str) -> int | None:
        if label not in self._ids:
            self._ids[label] = self._label_id(label)
        return self._ids[label]

    def _label_id(self, label: Any) -> int | None:
        name = label
        if isinstance(label, str | float) and (number := re.fullmatch(r"(-?[0-9]+)(\.0)?", str(label))):
            label = int(number[1])
        if label in ("-", -1):
            return None
        if isinstance(label, int) and not isinstance(label, bool):
            if self._names is None:
                raise ValueError(
                    f"the label is the number {label}, and data sets number labels differently (1 is neutral in SNLI "
                    "on the Hub, contradiction in d2l); say what 0, 1, 2 are here, as in --label_names "
                    f"{' '.join(LABELS)}"
                )
            name = self._names[label] if 0 <= label < len(self._names) else label
        elif self._names is None and isinstance(label, str) and label_set([label]) != LABELS == self._labels:
            raise TwoWayLabel
        identity = label_id(name, self._labels) if isinstance(name, str) else None
        if identity is None:
            raise ValueError(f"unknown label {name!r}; expected {', '.join(self._labels)}, or '-' for none")
        return identity


def _words(parse: str) -> str:
    """The words of a binary parse, as d2l's `read_snli` extracts them (d2l section "The SNLI Dataset")."""
    return re.sub(r"\s{2,}", " ", parse.replace("(", "").replace(")", "")).strip()
