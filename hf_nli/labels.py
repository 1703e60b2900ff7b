"""The one label order of this project, which is that of SNLI on the Hub, and how to find it in other models."""

from __future__ import annotations

from transformers import PretrainedConfig

LABELS = ("entailment", "neutral", "contradiction")
ID2LABEL = dict(enumerate(LABELS))
LABEL2ID = {label: index for index, label in ID2LABEL.items()}


def label_order(config: PretrainedConfig) -> list[int] | None:
    """Finds a model's outputs by the names of their labels, in whatever order and letter case they are.

    Args:
        config: A model's configuration.

    Returns:
        The model's output for each of `LABELS`, so that `logits[:, label_order(config)]` has our order; None if the
        model's labels have other names.
    """
    ids = {name.lower(): index for index, name in config.id2label.items()}
    if ids.keys() != LABEL2ID.keys():
        return None
    return [ids[label] for label in LABELS]
