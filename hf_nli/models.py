"""A model folder, loaded: stock model, tokenizer, and which of its outputs is which label."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_nli.errors import InputError
from hf_nli.labels import ID2LABEL, LABEL2ID, label_order


def load_model(model_name_or_path: str, new_head: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a sequence classifier and its tokenizer with the stock Auto classes.

    Args:
        model_name_or_path: A model folder or Hub id.
        new_head: Whether a model without NLI labels may be loaded: it gets a new head with ours, to be fine-tuned.

    Returns:
        The model in evaluation mode, float32, and its tokenizer.

    Raises:
        InputError: If there is no such model, or if its labels are not entailment, neutral and contradiction.
    """
    try:
        config = AutoConfig.from_pretrained(model_name_or_path)
        options = {"num_labels": len(ID2LABEL), "id2label": ID2LABEL, "label2id": LABEL2ID}
        needs_head = label_order(config) is None
        if needs_head and not new_head:
            raise InputError(
                f"{model_name_or_path}: its labels are {', '.join(config.id2label.values())}, not "
                f"{', '.join(LABEL2ID)}; fine-tune it first, or set id2label in its config.json"
            )
        model = AutoModelForSequenceClassification.from_pretrained(
            model_name_or_path, dtype="float32", **(options if needs_head else {})
        )
        return model.eval(), AutoTokenizer.from_pretrained(model_name_or_path)
    except InputError:
        raise
    except Exception as error:  # a damaged folder and an unreachable Hub show in many ways
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{model_name_or_path}: not a model folder or Hub id that can be loaded ({reason})"
        ) from error


def max_positions(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input, in tokens, that both the model's positions and the tokenizer allow."""
    return min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", tokenizer.model_max_length))
