"""The command `hf-nli`: parse, call, print."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Any

from hf_nli.arguments import (
    ConvertArguments,
    EvaluateArguments,
    ExportArguments,
    InspectArguments,
    PredictArguments,
    PushArguments,
    QuickstartArguments,
    ReproduceArguments,
    TrainArguments,
)
from hf_nli.errors import InputError, Interrupted
from hf_nli.options import DataOptions, RunOptions
from hf_nli.recipe import RECIPES, Recipe

# Commands import what they run when they run, so that `hf-nli --help` doesn't wait for torch.


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
        f"  of {report['pairs']} built-in pairs, onnxruntime gives {report['label_agreement']:.1%} PyTorch's label\n"
        f"  largest difference of onnxruntime's logits from PyTorch's: {report['max_abs_difference']:.1e} "
        f"(PyTorch's float32 from its float64: {report['pytorch_float32_difference']:.1e})\n"
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
