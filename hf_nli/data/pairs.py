"""One row of a source, in whatever form, as a pair: two texts and the id of a label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hf_nli.core.content import refuse_surrogates
from hf_nli.core.labels import LABELS, NO_LABEL, label_id, label_set, renamed


class TwoWayLabel(Exception):
    """A label that only two-way data have was met in what was taken for three-way data."""


class PairMaker:
    """Makes pairs of rows.

    Args:
        labels: `labels.LABELS` or `labels.TWO_WAY_LABELS`.
        names: What the label ids 0, 1, … of the rows mean, if that is known.
        parse: Whether the texts are binary parses, of which the words are taken.
        label_map: What labels of other names or ids mean, as `settings.options.DataOptions.renamed` gives it.

    Attributes:
        met: The names of labels that were met, as the rows have them.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        names: Sequence[str] | None = None,
        parse: bool = False,
        label_map: Mapping[str, str] | None = None,
    ) -> None:
        self._labels, self._names, self._parse, self._map = labels, names, parse, label_map or {}
        self._ids: dict[str, int | None] = {}
        self.met: set[str] = set()

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
        texts = make_texts(premise, hypothesis, self._parse)
        identity = self.label_id(label)
        return None if identity is None else (*texts, identity)

    def label_id(self, label: Any) -> int | None:
        """Finds a label's index in `labels`; see `make`."""
        if not isinstance(label, str):
            return self._label_id(label)
        if label not in self._ids:
            self._ids[label] = self._label_id(label)
        return self._ids[label]

    def _label_id(self, label: Any) -> int | None:
        name = self._name(label)
        if name == NO_LABEL:
            return None
        self.met.add(name)
        identity = label_id(name, self._labels)
        if identity is None:
            if label_set([name]) != self._labels == LABELS:
                raise TwoWayLabel
            raise ValueError(
                f"unknown label {clipped(name)}; expected {', '.join(self._labels)}, or '-' for none; say what "
                "another one means, as in --label_map unrelated=neutral"
            )
        return identity

    def _name(self, label: Any) -> str:
        """Finds the name of a label, which may be given by its id."""
        if label is None:
            raise ValueError("the label is missing; a row without a gold label has '-' or -1")
        text = str(label)
        number = re.fullmatch(r"(-?[0-9]{1,9})(\.0)?", text)
        if number:
            text = number[1]
        name = renamed(text, self._map)
        if name != text or isinstance(label, str) and not number:
            return name
        if not number or not isinstance(label, str | int | float):
            raise ValueError(f"unknown label {clipped(label)}; it must be a name or an id")
        if int(text) == -1:
            return NO_LABEL
        if self._names is None:
            raise ValueError(
                f"the label is the number {text}, and data sets number labels differently (1 is neutral in SNLI on "
                "the Hub, contradiction in d2l); say what 0, 1, 2 are here, as in --label_names "
                f"{' '.join(LABELS)}"
            )
        if not 0 <= int(text) < len(self._names):
            raise ValueError(f"unknown label {text}; there are names for 0 to {len(self._names) - 1}")
        return renamed(self._names[int(text)], self._map)


def make_texts(premise: Any, hypothesis: Any, parse: bool) -> tuple[str, str]:
    """Makes the texts of a pair of the values in a row.

    Args:
        premise: The premise; a text, if the row is right.
        hypothesis: The hypothesis, likewise.
        parse: Whether they are binary parses, of which the words are taken.

    Raises:
        ValueError: If one is no text; the message says why.
    """
    for column, text in (("premise", premise), ("hypothesis", hypothesis)):
        if not isinstance(text, str):
            raise ValueError(f"the {column} is {clipped(text)}, not a text")
        if not text.isascii():
            refuse_surrogates(text)
    return (_words(premise), _words(hypothesis)) if parse else (premise, hypothesis)


def clipped(value: Any) -> str:
    """Shows the beginning of a value, for errors."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _words(parse: str) -> str:
    """The words of a binary parse, as d2l's `read_snli` extracts them (d2l section "The SNLI Dataset")."""
    return re.sub(r"\s{2,}", " ", parse.replace("(", "").replace(")", "")).strip()
