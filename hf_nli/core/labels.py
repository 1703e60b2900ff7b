"""The label order of this project, which is that of SNLI on the Hub, and every other order brought into it by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from hf_nli.core.errors import InputError

if TYPE_CHECKING:  # the command line reads labels, and shall answer --help at once
    from transformers import PretrainedConfig

LABELS = ("entailment", "neutral", "contradiction")
TWO_WAY_LABELS = ("entailment", "not_entailment")
LABEL_SETS = {"three_way": LABELS, "two_way": TWO_WAY_LABELS}
ID2LABEL = dict(enumerate(LABELS))
LABEL2ID = {label: index for index, label in ID2LABEL.items()}

MERGED = {TWO_WAY_LABELS[1]: list(LABELS[1:])}  # what becomes of three labels where there are two

NO_LABEL = "-"  # the annotators of the row didn't agree

# Other forms of the words: "entails" is SciTail's, "non_entailment" HANS's, the letters are ANLI's, "contradictory" is
# in XNLI's translated training data.
_SPELLINGS = {
    "e": "entailment",
    "n": "neutral",
    "c": "contradiction",
    "entail": "entailment",
    "entails": "entailment",
    "entailed": "entailment",
    "contradict": "contradiction",
    "contradicts": "contradiction",
    "contradicted": "contradiction",
    "contradictory": "contradiction",
    "non_entailment": "not_entailment",
    "no_entailment": "not_entailment",
    "nonentailment": "not_entailment",
    "notentailment": "not_entailment",
    "not_entailed": "not_entailment",
}


def nli_labels(config: PretrainedConfig) -> tuple[str, ...] | None:
    """Tells which of `LABELS` and `TWO_WAY_LABELS` a model's labels are, in whatever order and spelling.

    Args:
        config: A model's configuration.

    Returns:
        None if they are neither.
    """
    names = [str(name) for name in (config.id2label or {}).values()]
    return label_set(names) if is_permutation(names) else None


def model_labels(config: PretrainedConfig, model: str = "the model") -> tuple[str, ...]:
    """Does what `nli_labels` does, for a model that has to have such labels.

    Args:
        config: The model's configuration.
        model: What to call the model in errors.

    Raises:
        InputError: If its labels have other names.
    """
    labels = nli_labels(config)
    if labels is None:
        names = config.id2label or {}
        raise InputError(
            f"{model}: its {len(names)} labels are {', '.join(map(str, names.values()))}; needs {', '.join(LABELS)}; "
            f"or {', '.join(TWO_WAY_LABELS)} (fine-tune it first, or name its labels in config.json's id2label)"
        )
    return labels


def label_order(config: PretrainedConfig, model: str = "the model") -> list[int]:
    """Finds a model's outputs by the names of their labels.

    Args:
        config: A model's configuration.
        model: What to call the model in errors.

    Returns:
        The model's output for each of its `model_labels`, so that `logits[:, label_order(config)]` has our order.

    Raises:
        InputError: If its labels have other names.
    """
    labels = model_labels(config, model)
    ids = {label_id(str(name), labels): int(index) for index, name in (config.id2label or {}).items()}
    return [ids[index] for index in range(len(labels))]


def label_set(names: Iterable[str]) -> tuple[str, ...]:
    """Tells from the label names of a data set whether it has `LABELS` or `TWO_WAY_LABELS` (as RTE, HANS, SciTail).

    Args:
        names: The names, in any spelling.
    """
    plain = {_plain(name) for name in names}
    known = {spelled(name) for name in plain}
    two_way = "not_entailment" in known or ("entails" in plain and "contradiction" not in known)
    return TWO_WAY_LABELS if two_way else LABELS


def label_id(name: str, labels: tuple[str, ...]) -> int | None:
    """Finds the id of a label by its name.

    Args:
        name: The name, in any letter case, with "-", "_" or blanks between words. Whatever isn't entailment is
            "not_entailment" where that is a label.
        labels: `LABELS` or `TWO_WAY_LABELS`.

    Returns:
        The index in `labels`, None if the name isn't one.
    """
    name = spelled(name)
    if labels == TWO_WAY_LABELS and name in LABELS[1:]:
        name = "not_entailment"
    return labels.index(name) if name in labels else None


def parse_label_map(entries: Sequence[str]) -> dict[str, str]:
    """Reads what labels of other names or ids mean.

    Args:
        entries: "from=to", where `to` is a label's name or "-", which means that the row has no gold label.

    Returns:
        What `renamed` takes.

    Raises:
        InputError: If an entry isn't of that form, or two give one label different meanings.
    """
    meanings: dict[str, str] = {}
    for entry in entries:
        source, equals, target = entry.rpartition("=")
        name = NO_LABEL if target.strip() == NO_LABEL else spelled(target)
        if not equals or name not in (*LABELS, *TWO_WAY_LABELS, NO_LABEL):
            raise InputError(
                f"--label_map: {entry!r} must be a label of the data, =, and one of {', '.join(LABELS)}, "
                f"{TWO_WAY_LABELS[1]}, - (no gold label)"
            )
        if meanings.setdefault(_plain(source), name) != name:
            raise InputError(f"--label_map: {source!r} is both {meanings[_plain(source)]} and {name}")
    return meanings


def renamed(name: str, label_map: Mapping[str, str]) -> str:
    """Gives what a label means, or the label if nothing is said of it.

    Args:
        name: A label of the data, in any letter case.
        label_map: What `parse_label_map` gives.
    """
    return label_map.get(_plain(name), name) if label_map else name


def is_permutation(names: Iterable[str]) -> bool:
    """Says whether names are those of `LABELS`, or of `TWO_WAY_LABELS`, each once, in any order and spelling.

    Args:
        names: The names.
    """
    names = list(names)
    labels = label_set(names)
    ids = [label_id(name, labels) for name in names]
    return set(ids) == set(range(len(labels))) and len(ids) == len(labels)


def spelled(name: str) -> str:
    """Gives our spelling of a label's name; one that isn't known stays, in small letters with "_" between words.

    Args:
        name: The name.
    """
    name = _plain(name)
    return _SPELLINGS.get(name, name)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())
