"""The model card: what was measured, and nothing else, as README.md of a model folder."""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from yaml import YAMLError

from hf_nli.core.errors import InputError
from hf_nli.core.files import staged, write_json
from hf_nli.core.hub_ids import hub_id, public_name
from hf_nli.evaluation.figures import confusion_matrix
from hf_nli.inference.predictor import predict
from hf_nli.model.folder import CARD, CONVERSION, EVALUATIONS, LOG, RESULTS, TRAINING, read_epochs
from hf_nli.model.load import load_model
from hf_nli.settings.recipe import Recipe

logger = logging.getLogger(__name__)

# Where they are in an installed package, and in a checkout.
TEMPLATES = [Path(__file__).parents[1] / "model_card", Path(__file__).parents[2] / "model_card"]
BEGIN, END = "<!-- begin: written by hf_nli, replaced at the next run -->", "<!-- end: written by hf_nli -->"
# The metadata that is written anew.
OURS = {
    "language",
    "library_name",
    "pipeline_tag",
    "tags",
    "datasets",
    "metrics",
    "base_model",
    "widget",
    "model-index",
}
PACKAGES = ("hf-nli", "torch", "transformers", "datasets", "accelerate", "tokenizers")
EXAMPLES = (
    ("A soccer game with multiple males playing.", "Some men are playing a sport."),
    ("A man inspects the uniform of a figure.", "The man is sleeping."),
)


def versions() -> dict[str, str]:
    """The versions of the packages that make results what they are."""
    return {name: metadata.version(name) for name in PACKAGES}


def write_card(folder: str | Path, repo_id: str | None = None) -> Path:
    """Writes or refreshes README.md from the reports in a model folder; a missing report leaves its section out.

    Text outside of the generated part stays, and so does metadata that isn't ours or that says another license.

    Args:
        folder: The model folder.
        repo_id: Where the model is on the Hub, for the examples; by default what the card says so far, or a name.

    Returns:
        The file.

    Raises:
        InputError: If there is no model in the folder, or a README.md whose metadata can't be read.
    """
    folder = Path(folder)
    facts = _facts(folder)
    try:
        old = ModelCard.load(folder / CARD, ignore_metadata_errors=True) if (folder / CARD).exists() else None
    except (ValueError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / CARD}: its metadata can't be read ({reason}); mend or delete it") from error
    kept, data = (old.text, old.data.to_dict()) if old else ("", {})
    known = re.search(r'pipeline\("text-classification", "([^"]+/[^"]+)"\)', kept)
    facts["repo_id"] = repo_id or (known.group(1) if known else f"USER/{facts['name']}")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined)
    part = f"{BEGIN}\n\n{environment.get_template('README.md.jinja').render(**facts).strip()}\n\n{END}"
    if BEGIN in kept and END in kept:
        before, _, rest = kept.partition(BEGIN)
        text = before.strip("\n") + ("\n\n" if before.strip() else "") + part + rest.partition(END)[2].rstrip("\n")
    else:
        text = f"{part}\n\n{kept.strip()}".rstrip()
    kept_data = {name: value for name, value in data.items() if name not in OURS}
    written = _metadata(facts)
    written["tags"] = list(dict.fromkeys(written["tags"] + data.get("tags", [])))
    data = written | kept_data
    with staged(folder) as temporary:
        header = ModelCardData(**data, ignore_metadata_errors=False).to_yaml()
        (temporary / CARD).write_text(f"---\n{header}\n---\n\n{text}\n", encoding="utf-8")
    return folder / CARD


@contextmanager
def card_matters_less() -> Iterator[None]:
    """Makes a warning of what keeps a card from being written: other results are there by then."""
    try:
        yield
    except InputError as error:
        logger.warning("The model's card stays as it is: %s", error)


def add_evaluation(folder: str | Path, results: dict[str, Any], revision: str | None = None) -> None:
    """Keeps the results of an evaluation in the model folder, for its card.

    Args:
        folder: The model folder.
        results: What `evaluation.evaluate` gives.
        revision: The data set's revision on the Hub.
    """
    dataset, split = public_name(results["dataset"]), results["split"]
    record = {name: value for name, value in results.items() if name != "model"}
    record |= {"dataset": dataset, "revision": revision, "hub_id": hub_id(results["dataset"])}
    record["picture"] = re.sub(r"[^\w.-]+", "-", f"confusion_matrix-{dataset}-{split}.png")
    others = [each for each in _read(folder, EVALUATIONS, []) if (each["dataset"], each["split"]) != (dataset, split)]
    with staged(folder) as temporary:
        write_json(temporary / EVALUATIONS, [*others, record])
        confusion_matrix(record["confusion_matrix"], temporary / record["picture"])


def _read(folder: str | Path, name: str, default: Any = None) -> Any:
    path = Path(folder) / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def _facts(folder: Path) -> dict[str, Any]:
    """Everything that the template says."""
    model, tokenizer = load_model(str(folder))
    examples = [
        {"premise": premise, "hypothesis": hypothesis, "scores": prediction["scores"]}
        for (premise, hypothesis), prediction in zip(EXAMPLES, predict(model, tokenizer, EXAMPLES), strict=True)
    ]
    conversion, training = _read(folder, CONVERSION), _training(folder)
    if conversion:
        conversion["name"] = public_name(conversion["source"])
        conversion["framework_name"] = {"pytorch": "PyTorch", "mxnet": "MXNet"}[conversion["framework"]]
        conversion["text_sample_name"] = public_name(conversion.get("text_sample", ""))
    return {
        "name": folder.resolve().name,
        "architecture": type(model).__name__,
        "id2label": model.config.id2label,
        "vocab_size": len(tokenizer),
        "whole_words": json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"] == "WordLevel",
        "unknown": tokenizer.unk_token,
        "text_style": (conversion or {}).get("text_style"),
        "examples": examples,
        "conversion": conversion,
        "unk_rates": (conversion or {}).get("unk_rate", {}),
        "training": training,
        "evaluations": _read(folder, EVALUATIONS, []),
        "reproduce": _commands(conversion, training),
        "versions": ", ".join(map(" ".join, (training["versions"] if training else versions()).items())),
    }


def _training(folder: Path) -> dict[str, Any] | None:
    results, facts = _read(folder, RESULTS), _read(folder, TRAINING)
    if not results or not facts or not (folder / LOG).exists():
        return None
    default = vars(Recipe())
    recipe = {name: value for name, value in facts["recipe"].items() if value != default.get(name)}
    return {
        **facts,
        **{name: results[name] for name in ("steps", "device", "examples_per_second", "best_epoch")},
        "examples": results["num_train_examples"],
        "precision": {"no": "float32"}.get(results["mixed_precision"], results["mixed_precision"]),
        "recipe": recipe,
        "epochs": read_epochs(folder),
    }


def _commands(conversion: dict[str, Any] | None, training: dict[str, Any] | None) -> list[str]:
    """The commands that make such a model; what isn't public goes by its name alone."""
    lines, model = [], "MODEL"
    if conversion:
        source, heads = shlex.quote(conversion["name"]), conversion["sizes"]["num_heads"]
        lines.append(f"hf-nli convert --source {source} --num_heads {heads} --output_dir MODEL")
    if training:
        model = training["model"] if hub_id(training["model"]) else model
        flags = "".join(f" --{name} {value}" for name, value in training["recipe"].items())
        source = shlex.quote(training["dataset"])
        lines.append(f"hf-nli train --model_name_or_path {model} --dataset {source} --output_dir OUT{flags}")
    return lines


def _metadata(facts: dict[str, Any]) -> dict[str, Any]:
    """The card's metadata, as `ModelCardData` takes it."""
    training, evaluations = facts["training"], facts["evaluations"]
    sources = [training["dataset"]] if training and hub_id(training["dataset"]) else []
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Natural Language Inference",
            dataset_type=each["hub_id"] or each["dataset"],
            dataset_name=each["dataset"],
            dataset_split=each["split"],
            dataset_revision=each["revision"],
            metric_type="accuracy",
            metric_value=each["accuracy"],
        )
        for each in evaluations
    ]
    widget = [
        {
            "text": example["premise"],
            "text_pair": example["hypothesis"],
            "output": [{"label": label, "score": round(score, 4)} for label, score in example["scores"].items()],
        }
        for example in facts["examples"]
    ]
    wanted = {
        "language": "en",
        "license": "cc-by-sa-4.0",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["natural-language-inference", "nli", "bert", "d2l"],
        "datasets": sources or None,
        "metrics": ["accuracy", "f1"] if evaluations else None,
        "base_model": hub_id(training["model"]) if training else None,
        "widget": widget,
    }
    if results:
        wanted |= {"model_name": facts["name"], "eval_results": results}
    return {name: value for name, value in wanted.items() if value}
