"""The metadata of a model card: what is known of the model, and what somebody else wrote there."""

from __future__ import annotations

from typing import Any

from huggingface_hub import EvalResult

from hf_nli.card.facts import CardFacts
from hf_nli.model.evaluations import EvaluationRecord

PRECISIONS = {"no": "float32"}  # what others are called anyway

Metadata = dict[str, Any]

# What is always written anew: nobody else's is kept.
_ALWAYS_OURS = {"library_name", "pipeline_tag", "metrics", "widget", "model-index"}


def known_metadata(facts: CardFacts) -> Metadata:
    """Gives what is known of a model, and may be changed by others.

    Args:
        facts: What is known.

    Returns:
        Some of `language`, `license`, `tags`, `datasets` and `base_model`.
    """
    step = facts.training.last if facts.training else None
    tags = ["natural-language-inference", "nli"]
    tags += ["bert"] if facts.model.model_type == "bert" else []
    tags += ["d2l"] if facts.conversion else []
    wanted = {
        "language": "en" if step and step.is_snli else None,
        "license": step.license if step else None,
        "tags": tags,
        "datasets": step.hub_ids if step else None,
        "base_model": step.model if step and "/" in step.model else None,
    }
    return {name: value for name, value in wanted.items() if value}


def all_metadata(facts: CardFacts, known: Metadata, there: Metadata, written: Metadata) -> Metadata:
    """Puts a card's metadata together, as `ModelCardData` takes them.

    Args:
        facts: What is known of the model.
        known: What `known_metadata` gives.
        there: What the card has so far.
        written: What of that we wrote, and nobody else.
    """
    others = {name: value for name, value in there.items() if value != written.get(name)}
    tags = [tag for tag in there.get("tags") or [] if tag not in written.get("tags", [])]
    kept = {name: value for name, value in others.items() if name not in _ALWAYS_OURS}
    return (
        {**known, "library_name": "transformers", "pipeline_tag": "text-classification", "widget": _widget(facts)}
        | ({"metrics": ["accuracy", "f1"]} if facts.evaluations else {})
        | kept
        | {"tags": list(dict.fromkeys([*known["tags"], *tags]))}
        | ({"model_name": facts.model.name, "eval_results": _results(facts)} if facts.evaluations else {})
    )


def conditions(record: EvaluationRecord) -> str:
    """Says in a line under which conditions a model was evaluated.

    Args:
        record: What a model folder keeps of it.
    """
    parts = [
        f"up to {record.max_seq_length} tokens a pair ({record.truncation})",
        PRECISIONS.get(record.mixed_precision, record.mixed_precision),
        f"text {record.text}",
    ]
    for name in ("dataset_config", "dataset_revision", "premise_column", "hypothesis_column", "label_column"):
        if value := getattr(record, name):
            parts.append(f"{name} {value}")
    for name in ("label_names", "label_map"):
        if values := getattr(record, name):
            parts.append(f"{name} {' '.join(values)}")
    return ", ".join(parts)


def _results(facts: CardFacts) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Natural Language Inference",
            dataset_type=each.hub_id or each.dataset,
            dataset_name=each.dataset,
            dataset_config=each.dataset_config,
            dataset_split=each.split,
            # Files of one name may be different ones.
            dataset_revision=each.dataset_revision or each.dataset_sha256,
            metric_type="accuracy",
            metric_name=f"Accuracy ({conditions(each)})",
            metric_value=each.accuracy,
        )
        for each in facts.evaluations
    ]


def _widget(facts: CardFacts) -> list[Metadata]:
    return [
        {
            "text": example.premise,
            "text_pair": example.hypothesis,
            "output": [{"label": label, "score": round(score, 4)} for label, score in example.scores.items()],
        }
        for example in facts.model.examples
    ]
