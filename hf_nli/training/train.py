"""Fine-tuning with Accelerate: from a model, a data set and a recipe to a model folder."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed

from hf_nli.card.card import card_matters_less, versions, write_card
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged, write_json
from hf_nli.core.hub_ids import public_name
from hf_nli.data.splits import read_splits
from hf_nli.data.table import TokenTable
from hf_nli.model.folder import CONVERSION, EVALUATIONS, RESULTS, TRAINING
from hf_nli.model.load import input_length, load_model
from hf_nli.settings.options import DataOptions, RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.text.encoding import encode
from hf_nli.training.accelerator import make_accelerator
from hf_nli.training.loop import Run

logger = logging.getLogger(__name__)


def train(
    model_name_or_path: str,
    dataset: str,
    output_dir: str | Path,
    recipe: Recipe | None = None,
    validation_dataset: str | None = None,
    max_train_samples: int | None = None,
    data_options: DataOptions | None = None,
    run_options: RunOptions | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Fine-tunes a model and leaves the best epoch, by validation accuracy, in `output_dir`.

    Args:
        model_name_or_path: A model folder or Hub id.
        dataset: Any source that `data.load_nli` takes, for its split "train" and, by default, its "validation".
        output_dir: The model folder to write, with train_log.jsonl, training_curves.png and all_results.json.
        recipe: The settings; the defaults if None.
        validation_dataset: Another source to validate on.
        max_train_samples: Train on the first so many rows.
        data_options: How to read the data.
        run_options: Checkpoints and reports.
        revision: The branch, tag or commit of a model on the Hub.

    Returns:
        The results, as written to all_results.json: `train_loss` is the last epoch's mean, `eval_*` the best epoch's,
        speeds and `seconds` count training alone, `padding_fraction` is the share of padding in the training batches.

    Raises:
        InputError: If the model, the data or the checkpoint can't be loaded, or the machine lacks the precision
            asked for.
        Interrupted: If the process got SIGTERM or SIGINT; a checkpoint was written.
    """
    recipe, run_options = recipe or Recipe(), run_options or RunOptions()
    accelerator = make_accelerator(recipe, run_options, Path(output_dir))
    set_seed(recipe.seed)
    with accelerator.main_process_first():
        model, tokenizer = load_model(
            model_name_or_path, new_head=True, dropout=recipe.dropout, seed=recipe.seed, revision=revision
        )
        max_length = input_length(model.config, tokenizer, recipe.max_seq_length)
        pairs = read_splits(
            dataset, validation_dataset, data_options or DataOptions(), recipe.seed, recipe.test_each_epoch
        )
        if max_train_samples is not None and max_train_samples < 1:
            raise InputError(f"--max_train_samples is {max_train_samples}; it must be at least 1")
        if max_train_samples is not None:
            pairs = replace(pairs, train=pairs.train.select(range(min(max_train_samples, len(pairs.train)))))
        splits = {"train": pairs.train, "validation": pairs.validation} | ({"test": pairs.test} if pairs.test else {})
        data = {name: encode(split, tokenizer, max_length, recipe.truncation) for name, split in splits.items()}
        tables = {name: TokenTable.open(encoded, tokenizer) for name, encoded in data.items()}
    identity = {f"{name}_data": encoded._fingerprint for name, encoded in data.items()}
    run = Run(accelerator, model, tokenizer, tables, recipe, run_options, Path(output_dir), identity)
    results = run.fit() | {"num_train_examples": len(pairs.train), "dropped_examples": pairs.dropped}
    if accelerator.is_main_process:
        facts = {"model": public_name(model_name_or_path), "dataset": public_name(dataset), "versions": versions()}
        report = Path(model_name_or_path) / CONVERSION
        with staged(output_dir) as folder:
            write_json(folder / RESULTS, results)
            write_json(folder / TRAINING, facts | {"recipe": dataclasses.asdict(recipe)})
            if report.exists():
                shutil.copyfile(report, folder / CONVERSION)
        (Path(output_dir) / EVALUATIONS).unlink(missing_ok=True)  # of an earlier model
        with card_matters_less():
            write_card(output_dir)
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.wait_for_everyone()
    return results
