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


def load_model(
    model_name_or_path: str, new_head: bool = False, dropout: float | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a sequence classifier and its tokenizer with the stock Auto classes.

    Args:
        model_name_or_path: A model folder or Hub id.
        new_head: Whether a model without NLI labels may be loaded: it gets a new head with ours, to be fine-tuned.
        dropout: Dropout of hidden states and attention, instead of what the model's configuration says.

    Returns:
        The model in evaluation mode, float32, and its tokenizer.

    Raises:
        InputError: If there is no such model, or if its labels are not entailment, neutral and contradiction.
    """
    try:
        config = AutoConfig.from_pretrained(model_name_or_path)
        if dropout is not None:
            config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
        if label_order(config) is None and new_head:
            config.id2label, config.label2id = ID2LABEL, LABEL2ID
        if label_order(config) is None:
            raise InputError(
                f"{model_name_or_path}: its labels are {', '.join(config.id2label.values())}, not "
                f"{', '.join(LABEL2ID)}; fine-tune it first, or set id2label in its config.json"
            )
        model = AutoModelForSequenceClassification.from_pretrained(model_name_or_path, config=config, dtype="float32")
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
