"""What of a command's input can be told to be missing or unreadable before torch and Transformers are loaded.

Each refuses as the command itself would, seconds later.
"""

from __future__ import annotations

from collections.abc import Sequence

from hf_nli.settings.options import DataOptions, TextOptions


def check_model(model_name_or_path: str, revision: str | None = None) -> None:
    """Refuses a model without a configuration, here or on the Hub.

    Args:
        model_name_or_path: A model folder or Hub id.
        revision: The branch, tag or commit of a model on the Hub.

    Raises:
        InputError: If there is no such model.
    """
    from hf_nli.model.source import ModelSource

    ModelSource(model_name_or_path, revision).read_config()


def check_data(source: str, options: TextOptions, split: str | None = None) -> None:
    """Refuses data that aren't here, or can't be read; those on the Hub and in archives are looked at later.

    Args:
        source: What `load_nli` takes.
        options: How to read it.
        split: The split that is read for sure, if it is there; None for all of them.

    Raises:
        InputError: If there is no such source, or the beginning of one of its files isn't what it should be.
    """
    from hf_nli.sources.columns import find_columns, read_columns
    from hf_nli.sources.source import find_splits, is_at_hand, open_source

    if not is_at_hand(source):
        return
    splits = open_source(source, options.dataset_config, options.dataset_revision)
    for name in splits if split is None else find_splits(splits, split):
        where = f"{source}, {name}"
        for part in splits[name].parts:
            find_columns(part, read_columns(part, where), options, where)


def check_sources(
    dataset: str | Sequence[str],
    options: DataOptions,
    split: str,
    weights: Sequence[float] | None = None,
    first: bool = True,
) -> None:
    """Refuses, of what a run trains or is scored on, what `check_data` refuses.

    Args:
        dataset: The sources, as they are given to `train` or `evaluate`.
        options: How to read them.
        split: The split of those that name none.
        weights: The proportions to mix them in.
        first: Whether the first of them is the run's first, whose a configuration and a revision are.

    Raises:
        InputError: As `check_data`, or if the weights aren't one positive number a source.
    """
    from hf_nli.sources.named import name_sources

    for number, each in enumerate(name_sources(dataset, weights)):
        check_data(each.source, each.options(options, first and number == 0), each.split or split)


def check_evaluations(run_a: str, run_b: str) -> None:
    """Refuses two folders that aren't those of evaluations of the same pairs.

    Args:
        run_a: An output folder of `evaluate`.
        run_b: Another one.

    Raises:
        InputError: If one of them isn't one, or the pairs differ.
    """
    from hf_nli.comparison.pairs import match_runs
    from hf_nli.comparison.runs import read_run

    match_runs(read_run(run_a), read_run(run_b))


def check_checkpoint(source: str, vocab: str | None) -> None:
    """Refuses a d2l checkpoint that isn't here; what would be downloaded is looked at later.

    Args:
        source: What `convert` takes.
        vocab: Its vocabulary, if it isn't the vocab.json beside the parameters.

    Raises:
        InputError: If there is no such checkpoint, or it lacks one of the two.
    """
    from hf_nli.d2l.source import find_checkpoint, is_at_hand

    if is_at_hand(source):
        find_checkpoint(source, vocab)
