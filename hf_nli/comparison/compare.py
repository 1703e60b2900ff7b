"""Two models on the same pairs: by how much one is better, and whether that may be chance."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from hf_nli.comparison.chance import accuracy_interval, difference_interval, mcnemar
from hf_nli.comparison.figures import comparison
from hf_nli.comparison.pairs import Answers, match_runs
from hf_nli.comparison.results import CompareResults, Disagreement, LabelDifference, Side
from hf_nli.comparison.runs import Run, read_run
from hf_nli.core.disk import check_output
from hf_nli.core.environment import first_process
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.processes import on_main
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.settings.options import DataOptions
from hf_nli.settings.ranges import check_number
from hf_nli.settings.recipe import Recipe

RESULTS, PICTURE = "compare_results.json", "comparison.png"
EXAMPLES = 10
_CONDITIONS = ("text", "max_seq_length", "truncation", "mixed_precision")
METHODS = {
    "accuracy": "Wilson's 95 % interval (Wilson 1927)",
    "difference": "percentiles 2.5 and 97.5 of a paired bootstrap (Efron & Tibshirani 1993; Koehn 2004)",
    "mcnemar_p_value": "McNemar's test (McNemar 1947), exact and two-sided",
}


def compare(
    run_a: str | Path,
    run_b: str | Path,
    dataset: str | None = None,
    split: str | None = None,
    output_dir: str | Path | None = None,
    seed: int = Recipe.seed,
    resamples: int = 10_000,
    data_options: DataOptions | None = None,
) -> CompareResults:
    """Compares two models on the same pairs.

    What is said of chance is about other pairs of the same kind, not about training the models again: for that, train
    with several seeds.

    Args:
        run_a: An output folder of `evaluate`; with a `dataset`, a model folder or Hub id, which is evaluated first.
        run_b: Likewise. A model that tells two labels apart can be compared with one that tells three.
        dataset: What to evaluate the two models on: any source that `data.load_nli` takes.
        split: Its split, as for `evaluate`.
        output_dir: The folder to write compare_results.json and comparison.png to, if any.
        seed: The seed of the bootstrap.
        resamples: How many samples the bootstrap draws.
        data_options: How to read the data set.

    Returns:
        The results, as written to compare_results.json.

    Raises:
        InputError: If a folder isn't one of `evaluate`, a model or the data can't be loaded, or the two evaluations
            aren't of the same pairs.
    """
    check_number("seed", seed)
    check_number("resamples", resamples)
    if output_dir is not None:
        check_output(output_dir, files=(RESULTS, PICTURE))
    if dataset is not None:
        one, other = (_evaluated(str(model), dataset, split, data_options) for model in (run_a, run_b))
    elif split is None and data_options in (None, DataOptions()):
        one, other = (read_run(folder) for folder in (run_a, run_b))
    else:
        raise InputError("--split and how to read data need --dataset; folders of hf-nli evaluate have theirs already")
    results = _compared(one, other, seed, resamples)
    if output_dir is not None and first_process():
        with staged(output_dir) as folder:
            results.write(folder / RESULTS)
            comparison(results.a.accuracy, results.b.accuracy, results.labels, results.flows, folder / PICTURE)
    return results


def _evaluated(model: str, dataset: str, split: str | None, options: DataOptions | None) -> Run:
    with tempfile.TemporaryDirectory(prefix="hf_nli_") as folder:
        evaluate(model, dataset, folder, split, data_options=options)
        return on_main(lambda: read_run(folder, model))


def _compared(run_a: Run, run_b: Run, seed: int, resamples: int) -> CompareResults:
    a, b = match_runs(run_a, run_b)
    right_a, right_b = a.predicted == a.gold, b.predicted == b.gold
    (both_wrong, only_b), (only_a, both_right) = confusion_matrix(right_a, right_b, labels=[False, True]).tolist()
    flows = confusion_matrix(a.predicted, b.predicted, labels=range(len(a.labels)))
    conditions = {name: [getattr(run.results, name) for run in (run_a, run_b)] for name in _CONDITIONS}
    return CompareResults(
        a=_side(run_a, right_a),
        b=_side(run_b, right_b),
        dataset=run_a.results.dataset,
        split=run_a.results.split,
        examples=len(a.gold),
        labels=list(a.labels),
        difference=difference_interval(only_a, only_b, len(a.gold), resamples, seed),
        mcnemar_p_value=mcnemar(only_a, only_b),
        counts={"both_right": both_right, "only_a": only_a, "only_b": only_b, "both_wrong": both_wrong},
        flows=flows.tolist(),
        per_label=_per_label(a, b),
        disagreements=_disagreements(a, b),
        other_conditions={name: values for name, values in conditions.items() if values[0] != values[1]},
        resamples=resamples,
        seed=seed,
        methods=METHODS,
    )


def _side(run: Run, right: NDArray[numpy.bool_]) -> Side:
    accuracy = accuracy_interval(int(right.sum()), len(right))
    return Side(run.name, run.results.model, run.results.model_sha256, accuracy)


def _per_label(a: Answers, b: Answers) -> dict[str, LabelDifference]:
    ids = range(len(a.labels))
    scores = [
        numpy.array(precision_recall_fscore_support(a.gold, each.predicted, labels=ids, zero_division=0.0))
        for each in (a, b)
    ]
    precision, recall, f1 = (scores[1] - scores[0])[:3].tolist()
    support = scores[0][3].astype(int).tolist()
    return {
        label: LabelDifference(precision[index], recall[index], f1[index], support[index])
        for index, label in enumerate(a.labels)
    }


def _disagreements(a: Answers, b: Answers) -> list[Disagreement]:
    rows = numpy.flatnonzero(a.predicted != b.predicted)
    before, after = (each.probabilities[numpy.arange(len(a.gold)), a.gold] for each in (a, b))
    most = rows[numpy.argsort(-abs(after - before)[rows], kind="stable")][:EXAMPLES]
    label_a, label_b = ([each.labels[index] for index in each.predicted[most]] for each in (a, b))
    return [
        Disagreement(*a.pairs[row], label_a[index], label_b[index], float(before[row]), float(after[row]))
        for index, row in enumerate(map(int, most))
    ]
