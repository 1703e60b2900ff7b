"""What differs between the versions of Transformers that we support."""

from __future__ import annotations

from transformers import PreTrainedModel

# Transformers 5.2x renames it: the field of `TrainingArguments`, and what a model's methods begin with.
ACTIVATION_CHECKPOINTING = (
    "activation_checkpointing"
    if hasattr(PreTrainedModel, "activation_checkpointing_enable")
    else "gradient_checkpointing"
)


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Makes a model compute each layer again when going backwards, instead of keeping what the layer computed."""
    getattr(model, f"{ACTIVATION_CHECKPOINTING}_enable")({"use_reentrant": False})
