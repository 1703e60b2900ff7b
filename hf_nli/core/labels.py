"""The label order of this project, which is that of SNLI on the Hub, and every other order brought into it by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hf_nli.core.errors import InputError

if TYPE_CHECKING:  # the command line reads labels, and shall answer --help at once
    from transformers import PretrainedConfig

LABELS = ("entailment", "neutral", "contradiction")
TWO_WAY_LABELS = ("entailment", "not_entailment")
ID2LABEL = dict(enumerate(LABELS))
LABEL2ID = {label: index for index, label in ID2LABEL.items()}

# Other forms of the words; "entails" is SciTail's, "non_entailment" HANS's.
_SPELLINGS = {
    "entail": "entailment",
    "entails": "entailment",
    "entailed": "entailment",
    "contradict": "contradiction",
    "contradicts": "contradiction",
    "contradictory": "contradiction",
    "non_entailment": "not_entailment",
}


def has_nli_labels(config: PretrainedConfig) -> bool:
    """Says whether a model's labels are `LABELS`, in whatever order and spelling.

    Args:
        config: A model's configuration.
    """
    return sorted(_spelled(str(name)) for name in (config.id2label or {}).values()) == sorted(LABELS)


def label_order(config: PretrainedConfig, model: str = "the model") -> list[int]:
    """Finds a model's outputs by the names of their labels.

    Args:
        config: A model's configuration.
        model: What to call the model in errors.

    Returns:
        The model's output for each of `LABELS`, so that `logits[:, label_order(config)]` has our order.

    Raises:
        InputError: If its labels have other names.
    """
    names = config.id2label or {}
    if not has_nli_labels(config):
        raise InputError(
            f"{model}: its labels are {', '.join(map(str, names.values()))}; needs {', '.join(LABELS)} "
            "(fine-tune it first, or name its labels in config.json's id2label)"
        )
    ids = {_spelled(str(name)): int(index) for index, name in names.items()}
    return [ids[label] for label in LABELS]


def label_set(names: Iterable[str]) -> tuple[str, ...]:
    """Tells from the label names of a data set whether it has `LABELS` or `TWO_WAY_LABELS` (as RTE, HANS, SciTail).

    Args:
        names: The names, in any spelling.
    """
    names = set(names)
    spelled = {_spelled(name) for name in names}
    two_way = "not_entailment" in spelled or ("entails" in names and "contradiction" not in spelled)
    return TWO_WAY_LABELS if two_way else LABELS


def label_id(name: str, labels: tuple[str, ...]) -> int | None:
    """Finds the id of a label by its name.

    Args:
        name: The name, in any letter case, with "-" or "_". Whatever isn't entailment is "not_entailment" where that
            is a label.
        labels: `LABELS` or `TWO_WAY_LABELS`.

    Returns:
        The index in `labels`, None if the name isn't one.
    """
    name = _spelled(name)
    if labels == TWO_WAY_LABELS and name in LABELS[1:]:
        name = "not_entailment"
    return labels.index(name) if name in labels else None


def _spelled(name: str) -> str:
    name = name.strip().lower().replace("-", "_")
    return _SPELLINGS.get(name, name)
