"""The command `hf-nli`: parse, call, print."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Literal

from hf_nli.errors import InputError, Interrupted
from hf_nli.options import TRUNCATION_HELP, DataOptions, RunOptions, Truncation
from hf_nli.recipe import RECIPES, Recipe

# Commands import what they run when they run, so that `hf-nli --help` doesn't wait for torch.

REVISION_HELP = {"help": "Branch, tag or commit of what is on the Hub."}
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
    push_to_hub: bool = field(default=False, metadata={"help": "Whether to publish the model at the end."})
    hub_model_id: str | None = field(default=None, metadata={"help": "Where to: USER/NAME."})
    recipe: Literal["tuned", "d2l", "d2l-base"] = field(default="tuned", metadata=RECIPE_HELP)


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
    recipe: Literal["tuned", "d2l", "d2l-base"] = field(default="d2l", metadata=RECIPE_HELP)


@dataclass
class QuickstartArguments:
    """Flags of `hf-nli quickstart`."""

    output_dir: str = field(metadata={"help": "Folder for the sample and the model."})


def _convert(arguments: ConvertArguments) -> None:
    from hf_nli.conversion import convert

    report = convert(**vars(arguments))
    print(
        f"Converted {report['source']} to {arguments.output_dir}: the same function, computed by a stock BERT.\n"
        f"  hidden size {report['hidden_size']} with {report['num_attention_heads']} heads for d2l's "
        f"{report['sizes']['num_hiddens']} with {report['sizes']['num_heads']}\n"
        f"  in {report['seconds']:.0f} s; largest difference from d2l's function {report['max_abs_difference']:.1e} "
        f"(d2l's own float32: {report['source_float32_difference']:.1e})\n"
        + "".join(
            f"  words of {arguments.text_sample} that it doesn't know in text style {style}: {rate:.2%}\n"
            for style, rate in report.get("unk_rate", {}).items()
        )
        + f"  {len(report['carried_over'])} tensors carried over, {len(report['not_carried_over'])} not; "
        f"all in {arguments.output_dir}/conversion_report.json"
    )


def _train(arguments: TrainArguments, recipe: Recipe, data_options: DataOptions, run_options: RunOptions) -> None:
    from hf_nli.reporting import closing_table, epochs, in_the_books_words
    from hf_nli.training import train

    own = ("recipe", "push_to_hub", "hub_model_id")
    places = {name: value for name, value in vars(arguments).items() if name not in own}
    if arguments.push_to_hub:
        from hf_nli.hub import check, push

        if not arguments.hub_model_id:
            raise InputError("--push_to_hub needs --hub_model_id USER/NAME")
        check(arguments.hub_model_id)  # before the work, not after it
    results = train(**places, recipe=recipe, data_options=data_options, run_options=run_options)
    print(closing_table(arguments.output_dir, results["best_epoch"]))
    if recipe.test_each_epoch:
        print(in_the_books_words(epochs(arguments.output_dir)[-1]))
        print(f"{results['examples_per_second']:.1f} examples/sec on {results['device']}")
    print(
        f"Trained on {results['num_train_examples']} pairs for {results['epochs']} epochs, {results['steps']} steps, "
        f"in {results['seconds']:.0f} s: {results['examples_per_second']:.0f} examples/s on {results['device']}.\n"
        f"  best epoch {results['best_epoch']}: validation accuracy {results['eval_accuracy']:.3f}, "
        f"loss {results['eval_loss']:.3f}\n"
        f"  model, README.md, train_log.jsonl, training_curves.png and all_results.json in {arguments.output_dir}"
    )
    if arguments.push_to_hub and _first():
        print(_published(push(arguments.output_dir, arguments.hub_model_id)))


def _evaluate(arguments: EvaluateArguments, data_options: DataOptions) -> None:
    from hf_nli.evaluation import evaluate

    results = evaluate(**vars(arguments), data_options=data_options)
    print(
        f"{results['split']}: accuracy {results['accuracy']:.4f}, loss {results['loss']:.4f} on {results['examples']} "
        f"pairs, {results['dropped']} without a gold label dropped "
        f"(always the most frequent label: {results['baselines']['majority']:.4f})"
    )
    for label, scores in results["per_label"].items():
        figures = ", ".join(f"{name} {scores[name]:.3f}" for name in ("precision", "recall", "f1"))
        print(f"  {label:<13} {figures}, support {scores['support']}")
    for label, merged in results.get("merged_labels", {}).items():
        print(f"  {label}: the model's probabilities of {' and '.join(merged)}, added up")
    print(f"  eval_results.json, predictions.jsonl and confusion_matrix.png in {arguments.output_dir}")


def _inspect(arguments: InspectArguments, data_options: DataOptions) -> None:
    from hf_nli.inspection import inspect_data, summary

    print(summary(inspect_data(**vars(arguments), data_options=data_options)))
    if arguments.output_dir:
        print(f"inspect_results.json and length_histogram.png in {arguments.output_dir}")


def _push(arguments: PushArguments) -> None:
    from hf_nli.hub import push

    print(_published(push(**vars(arguments))))


def _published(report: dict[str, Any]) -> str:
    if not report["changed"]:
        return f"Nothing new: {report['repo_id']} has all of it already, read back and compared."
    return (
        f"Published {len(report['files'])} files as {report['url']},\n"
        f"  read back and compared: AutoModelForSequenceClassification.from_pretrained({report['repo_id']!r})"
    )


def _predict(arguments: PredictArguments) -> None:
    from hf_nli.inference import predict
    from hf_nli.models import load_model

    model, tokenizer = load_model(arguments.model_name_or_path, revision=arguments.revision)
    pairs = [(arguments.premise, arguments.hypothesis)]
    lengths = {"max_seq_length": arguments.max_seq_length, "truncation": arguments.truncation}
    for prediction in predict(model, tokenizer, pairs, **lengths):
        print(json.dumps(prediction, ensure_ascii=False))


def _export(arguments: ExportArguments) -> None:
    from hf_nli.export import export

    report = export(**vars(arguments))
    print(
        f"Exported {report['model']} to {arguments.output_dir}: model.onnx ({report['weights']}, "
        f"{report['bytes'] / 2**20:.1f} MiB with its data), tokenizer.json, export_report.json\n"
        f"  largest difference of onnxruntime's logits from PyTorch's: {report['max_abs_difference']:.1e}\n"
        f"  any number of pairs, up to {report['max_length']} tokens; outputs: {', '.join(report['labels'])}"
    )


def _reproduce(
    arguments: ReproduceArguments, recipe: Recipe, data_options: DataOptions, run_options: RunOptions
) -> None:
    from hf_nli.reproduction import reproduce

    places = {name: value for name, value in vars(arguments).items() if name != "recipe"}
    print(reproduce(**places, recipe=recipe, data_options=data_options, run_options=run_options))


def _quickstart(arguments: QuickstartArguments) -> None:
    from hf_nli.quickstart import quickstart

    print(quickstart(**vars(arguments)))


COMMANDS: dict[str, tuple[Callable[..., None], tuple[type, ...], str]] = {
    "convert": (_convert, (ConvertArguments,), "turn a d2l checkpoint into a model folder"),
    "train": (_train, (TrainArguments, Recipe, DataOptions, RunOptions), "fine-tune a model folder"),
    "evaluate": (_evaluate, (EvaluateArguments, DataOptions), "score a model on a data set"),
    "inspect": (_inspect, (InspectArguments, DataOptions), "count what is in a data set, and how long its pairs are"),
    "predict": (_predict, (PredictArguments,), "predict the label of a pair, as a line of JSON"),
    "export": (_export, (ExportArguments,), "write a model folder as ONNX"),
    "push": (_push, (PushArguments,), "publish a model folder on the Hub"),
    "reproduce": (
        _reproduce,
        (ReproduceArguments, Recipe, DataOptions, RunOptions),
        "the book's chapter: download, convert, fine-tune on SNLI, test",
    ),
    "quickstart": (_quickstart, (QuickstartArguments,), "the whole path on a built-in sample, without network"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `hf-nli`.

    Args:
        argv: The command and its flags; by default the process's own.

    Returns:
        The exit code: 0, or 2 for bad input, which is explained in one line on standard error.
    """
    epilog = "\n".join(f"  {name:<12}{summary}" for name, (_, _, summary) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="hf-nli",
        usage="hf-nli COMMAND [FLAGS]   (hf-nli COMMAND --help lists a command's flags)",
        description="d2l's BERT for natural language inference, in the Hugging Face ecosystem.",
        epilog=f"commands:\n{epilog}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run(parser.parse_args(arguments[:1]).command, arguments[1:])


def _first() -> bool:
    """Whether this is the process that speaks: of several, one does, but for errors."""
    return os.environ.get("RANK", "0") == "0"


def run(command: str, argv: Sequence[str] | None = None) -> int:
    """Runs one command; the files in scripts/ are this with a name.

    Args:
        command: One of `COMMANDS`.
        argv: Its flags; by default the process's own.

    Returns:
        The exit code, as from `main`.
    """
    from datasets.utils import logging as datasets_logging
    from transformers import HfArgumentParser
    from transformers.utils import logging as transformers_logging

    # Both say on their own what our one line on bad input says better.
    datasets_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    function, dataclasses, summary = COMMANDS[command]
    prog = f"hf-nli {command}" if argv is not None else None
    parser = HfArgumentParser(dataclasses, prog=prog, description=summary)
    # A handler of our own, not the root's, which would print other libraries' lines a second time.
    logger, handler = logging.getLogger("hf_nli"), logging.StreamHandler()
    logger.setLevel(logging.INFO)
    first = _first()
    if first:
        logger.addHandler(handler)
    try:
        if Recipe in dataclasses:
            named = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
            named.add_argument("--recipe", choices=RECIPES, default=parser.get_default("recipe"))
            parser.set_defaults(**RECIPES[named.parse_known_args(argv)[0].recipe])
        with nullcontext() if first else redirect_stdout(None):
            function(*parser.parse_args_into_dataclasses(argv))
    except InputError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        if first:
            print(f"{parser.prog}: {interrupted}", file=sys.stderr)
        return interrupted.exit_code
    finally:
        logger.removeHandler(handler)
    return 0
