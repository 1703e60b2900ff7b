"""The flags of each command of `hf-nli`, beside those of the recipe, the data and the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hf_nli.settings.options import TRUNCATION_HELP, Truncation
from hf_nli.settings.recipe import Recipe, RecipeName

REVISION_HELP = {"help": "Branch, tag or commit of what is on the Hub."}
OVERWRITE_HELP = {"help": "Whether to replace a model in the output folder, with all that was reported of it."}
RECIPE_HELP = {"help": "Settings to start from: ours, the book's, or some for bert.base; other flags change them."}
DATASET_HELP = (
    "A Hub id (stanfordnlp/snli), the Stanford release (folder or zip), a .jsonl/.json/.csv/.tsv/.txt/.parquet file "
    "or a pattern of such files, or a folder written by save_to_disk."
)


def _model(purpose: str) -> Any:
    return field(metadata={"help": f"Model folder or Hub id to {purpose}."})


@dataclass
class ConvertArguments:
    """Flags of `hf-nli convert`."""

    source: str = field(
        metadata={"help": "bert.small, bert.base, or a folder, zip, .params file or Hub id of a d2l checkpoint."}
    )
    output_dir: str = field(metadata={"help": "Model folder to write."})
    num_heads: int | None = field(
        default=None, metadata={"help": "d2l's number of attention heads; needed for all but the published names."}
    )
    vocab: str | None = field(default=None, metadata={"help": "Vocabulary, if not vocab.json beside the parameters."})
    text_style: Literal["ptb", "wikitext"] = field(
        default="ptb",
        metadata={"help": "Words of SNLI's parses, as d2l; or of WikiText, for a model that is yet to be fine-tuned."},
    )
    text_sample: str | None = field(
        default=None, metadata={"help": "Data set or text file to report each text style's share of unknown words on."}
    )
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    framework: Literal["pytorch", "mxnet"] | None = field(
        default=None, metadata={"help": "Whose file of a published name to take; default: pytorch."}
    )
    d2l_label_order: list[str] | None = field(
        default=None,
        metadata={"help": "Labels of a fine-tuned d2l net's outputs; default: entailment contradiction neutral."},
    )
    overwrite_output_dir: bool = field(default=False, metadata=OVERWRITE_HELP)


@dataclass
class TrainArguments:
    """Flags of `hf-nli train`, beside those of the recipe and the data."""

    model_name_or_path: str = _model("fine-tune")
    dataset: str = field(metadata={"help": DATASET_HELP})
    output_dir: str = field(metadata={"help": "Model folder to write, with train_log.jsonl and all_results.json."})
    validation_dataset: str | None = field(
        default=None, metadata={"help": "Data set to validate on, if not the validation split of --dataset."}
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on the first so many rows."})
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Whether to replace a model in output_dir, once the new one is complete."}
    )
    license: str | None = field(
        default=None, metadata={"help": "License of the weights, for the card; default: the base model's."}
    )
    push_to_hub: bool = field(default=False, metadata={"help": "Whether to publish the model at the end."})
    hub_model_id: str | None = field(default=None, metadata={"help": "Where to: USER/NAME."})
    recipe: RecipeName = field(default="tuned", metadata=RECIPE_HELP)


@dataclass(kw_only=True)
class LengthArguments:
    """How pairs are cut, where no recipe says it."""

    max_seq_length: int | None = field(
        default=None, metadata={"help": "Tokens a pair; default: as many as the model takes."}
    )
    truncation: Truncation = field(default="longest_first", metadata=TRUNCATION_HELP)


@dataclass(kw_only=True)
class EvaluateArguments(LengthArguments):
    """Flags of `hf-nli evaluate`, beside those of the data."""

    model_name_or_path: str = _model("score")
    dataset: str = field(metadata={"help": DATASET_HELP})
    output_dir: str = field(metadata={"help": "Folder for eval_results.json and other results."})
    split: str | None = field(default=None, metadata={"help": "Split to score on; default: test, or else validation."})
    per_device_eval_batch_size: int = field(
        default=Recipe.per_device_eval_batch_size, metadata={"help": "Pairs a batch, on each process."}
    )
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    mixed_precision: Literal["no", "bf16", "fp16", "auto"] = field(
        default="no", metadata={"help": "Precision of matrix products; no is float32, auto what is fast."}
    )


@dataclass(kw_only=True)
class PredictArguments(LengthArguments):
    """Flags of `hf-nli predict`."""

    model_name_or_path: str = _model("ask")
    premise: str = field(metadata={"help": "What is taken as true."})
    hypothesis: str = field(metadata={"help": "What may follow from it."})
    revision: str | None = field(default=None, metadata=REVISION_HELP)


@dataclass
class PushArguments:
    """Flags of `hf-nli push`."""

    model_name_or_path: str = field(metadata={"help": "Model folder to publish."})
    repo_id: str = field(metadata={"help": "Where to: USER/NAME."})
    private: bool = field(default=False, metadata={"help": "Whether to make a new repository private."})
    revision: str | None = field(default=None, metadata={"help": "Branch; made, if it isn't there."})
    commit_message: str | None = field(default=None, metadata={"help": "What the commit says."})
    create_pr: bool = field(default=False, metadata={"help": "Whether to open a pull request instead."})
    license: str | None = field(
        default=None, metadata={"help": "The model's licence, for its card: mit, apache-2.0, …"}
    )


@dataclass
class ExportArguments:
    """Flags of `hf-nli export`."""

    model_name_or_path: str = _model("export")
    output_dir: str = field(metadata={"help": "Folder to write, with model.onnx and tokenizer.json."})
    format: Literal["onnx"] = field(default="onnx", metadata={"help": "What to write."})
    int8: bool = field(default=False, metadata={"help": "Whether to quantize matrices to 8 bits."})
    revision: str | None = field(default=None, metadata=REVISION_HELP)


@dataclass
class InspectArguments:
    """Flags of `hf-nli inspect`, beside those of the data."""

    dataset: str = field(metadata={"help": DATASET_HELP})
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Model whose tokenizer counts the tokens; without one, words are counted."}
    )
    output_dir: str | None = field(
        default=None, metadata={"help": "Folder for inspect_results.json and length_histogram.png."}
    )
    max_seq_length: int = field(default=Recipe.max_seq_length, metadata={"help": "Count the pairs longer than this."})


@dataclass
class ReproduceArguments:
    """Flags of `hf-nli reproduce`, beside those of the recipe and the data."""

    output_dir: str = field(metadata={"help": "Folder for the converted and the fine-tuned model and its scores."})
    checkpoint: Literal["bert.small", "bert.base"] = field(
        default="bert.small", metadata={"help": "Which of d2l's checkpoints to fine-tune."}
    )
    source: str | None = field(default=None, metadata={"help": "A copy of it here (folder, zip or .params file)."})
    dataset: str = field(default="stanfordnlp/snli", metadata={"help": DATASET_HELP})
    recipe: RecipeName = field(default="d2l", metadata=RECIPE_HELP)
    overwrite_output_dir: bool = field(default=False, metadata=OVERWRITE_HELP)


@dataclass
class QuickstartArguments:
    """Flags of `hf-nli quickstart`."""

    output_dir: str = field(metadata={"help": "Folder for the sample and the model."})
