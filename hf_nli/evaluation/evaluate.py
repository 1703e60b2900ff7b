"""A model on data sets: numbers, predictions, a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, overload

from accelerate import Accelerator
from torch import Tensor

from hf_nli.core.disk import check_output
from hf_nli.core.environment import accelerate_starts
from hf_nli.core.errors import InputError
from hf_nli.core.labels import MERGED
from hf_nli.core.processes import in_turn, on_main
from hf_nli.data.columns import ANNOTATORS
from hf_nli.data.table import TokenTable
from hf_nli.evaluation.conditions import describe
from hf_nli.evaluation.inputs import Inputs, LoadedModel, Reader, check_settings, find, find_training_data
from hf_nli.evaluation.record import record_evaluation
from hf_nli.evaluation.report import FILES, Chapter, write_report
from hf_nli.evaluation.results import (
    EvaluationResults,
    Outcome,
    annotator_agreement,
    find_slices,
    scores_of,
)
from hf_nli.model.folder import holds_model
from hf_nli.model.precision import Precision, resolve_precision
from hf_nli.model.score import compute_logits
from hf_nli.settings.options import DataOptions, Forward, Truncation
from hf_nli.settings.ranges import check_choice, check_number
from hf_nli.settings.recipe import Recipe

_SLICE_COLUMNS = ("heuristic",)  # HANS's, whose three heuristics are what it is made for


@overload
def evaluate(
    model_name_or_path: str, dataset: str, output_dir: str | Path, *more: Any, **settings: Any
) -> EvaluationResults: ...


@overload
def evaluate(
    model_name_or_path: str, dataset: Sequence[str], output_dir: str | Path, *more: Any, **settings: Any
) -> list[EvaluationResults]: ...


def evaluate(
    model_name_or_path: str,
    dataset: str | Sequence[str],
    output_dir: str | Path,
    split: str | None = None,
    per_device_eval_batch_size: int = Recipe.per_device_eval_batch_size,
    max_seq_length: int | None = None,
    truncation: Truncation = "longest_first",
    data_options: DataOptions | None = None,
    revision: str | None = None,
    mixed_precision: Literal["no", "bf16", "fp16", "auto"] = "no",
    forward: Forward = "auto",
    baselines: bool = False,
    baseline_dataset: str | None = None,
    slice_column: list[str] | None = None,
    seed: int = Recipe.seed,
) -> EvaluationResults | list[EvaluationResults]:
    """Scores a model on data sets and writes eval_results.json, predictions.jsonl, pictures and report.md and .html.

    Of several data sets, each has a folder of its own in the output folder, whose eval_results.json has the results of
    all. A model folder keeps the results, too: in evaluations.json, a picture and README.md. On two-way data
    (entailment, not_entailment) a three-way model's probabilities of neutral and contradiction are added up; the
    results say so as `merged_labels`. For a two-way model, neutral and contradiction of three-way data are
    not_entailment (`merged_gold_labels`).

    Args:
        model_name_or_path: A model folder or Hub id, NLI with any order of labels.
        dataset: Any source that `data.load_nli` takes, or several; with ":" and a split's name, that split of it.
        output_dir: The folder to write to.
        split: The split to score on, where `dataset` doesn't say it; by default test, or else validation, or else the
            only one there is.
        per_device_eval_batch_size: Pairs a batch, on each process.
        max_seq_length: Tokens a pair; by default as many as the model takes.
        truncation: How longer pairs are cut.
        data_options: How to read the data.
        revision: The branch, tag or commit of a model on the Hub.
        mixed_precision: The precision of matrix products, float32 by default, whatever was trained in; auto for the
            fast one.
        forward: What computes: our forward pass, for the models that it knows, or always the model's own.
        baselines: Whether to train what the model should be compared with (see `baselines.BASELINES`), and to score
            the model on pairs whose premises are exchanged, which tells how much it reads them.
        baseline_dataset: What to train baselines on; by default the split train of each data set.
        slice_column: Columns by whose values pairs are taken together in the report.
        seed: Of the baselines and the exchange.

    Returns:
        The results, as written to eval_results.json; a list of them for several data sets.

    Raises:
        InputError: If a setting can't be used, the model or the data can't be loaded, `split` isn't there, the device
            lacks the precision, `output_dir` holds another model, or a pair's logits are NaN or infinite.
    """
    check_settings(per_device_eval_batch_size, max_seq_length, truncation, forward)
    check_number("seed", seed)
    check_choice("mixed_precision", mixed_precision, (*get_args(Precision), "auto"))
    sources = [dataset] if isinstance(dataset, str) else list(dataset)
    if not sources:
        raise InputError("--dataset: none is given; give at least one")
    options = data_options or DataOptions()
    with accelerate_starts():
        accelerator = Accelerator()
    precision = resolve_precision(mixed_precision, accelerator.device.type)
    on_main(lambda: _refuse_other_folder(model_name_or_path, output_dir))

    def load() -> tuple[LoadedModel, list[Inputs]]:
        asked = find(sources, split, options)
        baseline_data = find_training_data(baseline_dataset, options) if baseline_dataset else None
        model = LoadedModel.load(model_name_or_path, revision, max_seq_length)
        reader = Reader(model, truncation, baselines, baseline_data, seed)
        return model, [reader.read(each, slice_column or (), (ANNOTATORS, *_SLICE_COLUMNS)) for each in asked]

    model, inputs = in_turn(load)

    def logits_of(table: TokenTable, source: str) -> tuple[Tensor, Tensor]:
        name = f"{model_name_or_path} on {source}, pairs with a gold label"
        return compute_logits(accelerator, model.net, table, per_device_eval_batch_size, precision, forward, name)

    outcomes = []
    for each in inputs:
        others = logits_of(each.exchanged, each.source)[0] if each.exchanged else None
        outcomes.append(Outcome.of(each, model.labels, *logits_of(each.table, each.source), others))
    chapters = []
    for each, outcome in zip(inputs, outcomes, strict=True):
        results = EvaluationResults(
            **vars(describe(each.source, options, each.split, model.length, truncation, precision)),
            **vars(scores_of(each, outcome)),
            model=str(model_name_or_path),
            model_sha256=model.sha256,
            examples=len(each.pairs),
            dropped=each.dropped,
            merged_labels=MERGED if outcome.merged else None,
            merged_gold_labels=MERGED if each.merged else None,
            slices=find_slices(each, outcome, model.tokenizer),
            annotator_agreement=annotator_agreement(each, outcome.references),
            baseline_examples=each.baseline_examples,
        )
        chapters.append(Chapter(results, each, outcome))
    on_main(lambda: _write(Path(output_dir), chapters))
    return chapters[0].results if isinstance(dataset, str) else [chapter.results for chapter in chapters]


def _refuse_other_folder(model_name_or_path: str, output_dir: str | Path) -> None:
    check_output(output_dir, files=FILES)
    if holds_model(output_dir) and Path(output_dir).resolve() != Path(model_name_or_path).resolve():
        raise InputError(f"{output_dir} holds another model than {model_name_or_path}; choose another --output_dir")


def _write(output_dir: Path, chapters: Sequence[Chapter]) -> None:
    write_report(output_dir, chapters)
    for chapter in chapters:
        if Path(chapter.results.model).is_dir():
            record_evaluation(chapter.results.model, chapter.results)
