"""Compares two ways to cut long pairs: token by token off the longer text, as d2l does, or in proportion to both.

    python scripts/compare_truncation.py --model_name_or_path models/bert-small --dataset stanfordnlp/snli \
        --output_dir build/truncation [--validation_dataset dev.jsonl] [--max_train_samples 20000]

The exercise of d2l's section "Natural Language Inference: Fine-Tuning BERT". For each length it counts what is cut of
the validation pairs, and scores on them (a) the model that was fine-tuned with the greatest length, (b) a model
fine-tuned with this one. Ends with a table, truncation.json and truncation.png. A fine-tuning that is in the output
folder isn't run again.
"""

import json
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_nli.cli.command import Command
from hf_nli.cli.run import execute
from hf_nli.core.errors import InputError
from hf_nli.settings.options import DataOptions, Truncation
from hf_nli.settings.ranges import check_number, check_numbers
from hf_nli.settings.recipe import Recipe

if TYPE_CHECKING:  # what takes torch or datasets is imported where it is used: help and refusals don't wait for it
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

RESULTS, PICTURE = "truncation.json", "truncation.png"
STRATEGIES: tuple[Truncation, ...] = ("longest_first", "proportional")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What to compare on."""

    model_name_or_path: str = field(metadata={"help": "Model to fine-tune."})
    dataset: str = field(metadata={"help": "Pairs to fine-tune on."})
    validation_dataset: str | None = field(
        default=None, metadata={"help": "Pairs to score on, if not the validation split of --dataset."}
    )
    output_dir: str = field(metadata={"help": "Folder for the models and the results."})
    max_seq_lengths: list[int] = field(
        default_factory=lambda: [16, 24, 32, 48, 64, 128], metadata={"help": "Lengths to compare at."}
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on the first so many rows."})
    num_train_epochs: int = field(default=Recipe.num_train_epochs, metadata={"help": "Passes over the training data."})
    seeds: list[int] = field(default_factory=lambda: [1], metadata={"help": "A fine-tuning is run with each."})

    def __post_init__(self) -> None:
        check_numbers("max_seq_length", self.max_seq_lengths)
        check_numbers("seed", self.seeds)
        check_number("num_train_epochs", self.num_train_epochs)
        if self.max_train_samples is not None:
            check_number("max_train_samples", self.max_train_samples)

    @property
    def folder(self) -> Path:
        """The folder for the models and the results."""
        return Path(self.output_dir)


def main(setting: Setting) -> None:
    """Runs the comparison."""
    from hf_nli.core.disk import check_output
    from hf_nli.core.files import staged, write_json
    from hf_nli.data.splits import RunSources
    from hf_nli.model.load import load_model

    check_output(setting.output_dir, files=(RESULTS, PICTURE))
    sources = RunSources(setting.dataset, setting.validation_dataset, DataOptions())
    _, tokenizer = load_model(setting.model_name_or_path, new_head=True)
    pairs = sources.read(setting.seeds[0])
    training, validation = (lengths(split, tokenizer) for split in (pairs.train, pairs.validation))
    results = []
    for max_seq_length in sorted(setting.max_seq_lengths):
        budget = max_seq_length - tokenizer.num_special_tokens_to_add(pair=True)
        uncut = all(premise + hypothesis <= budget for premise, hypothesis in training + validation)
        for strategy in STRATEGIES:
            cut = count_cut(validation, budget, strategy)
            way = STRATEGIES[0] if uncut else strategy  # they make no difference
            scores = [accuracies(setting, max_seq_length, way, seed) for seed in setting.seeds]
            results.append({"max_seq_length": max_seq_length, "truncation": strategy, **cut, "accuracy": scores})
    facts: dict[str, Any] = {"pairs": len(validation), "premise_tokens": sum(premise for premise, _ in validation)}
    facts |= {"hypothesis_tokens": sum(hypothesis for _, hypothesis in validation), "seeds": setting.seeds}
    with staged(setting.output_dir) as folder:
        write_json(folder / RESULTS, facts | {"results": results})
        draw(facts, results, folder / PICTURE)
    print(table(facts, results))
    print(f"{RESULTS}, {PICTURE} and the models in {setting.output_dir}")


def lengths(pairs: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> list[tuple[int, int]]:
    """Counts the tokens of each premise and each hypothesis, special ones left out."""
    special = tokenizer.num_special_tokens_to_add(pair=False)
    counts = []
    for batch in pairs.iter(10_000):
        texts = (batch["premise"], batch["hypothesis"])
        sides = (tokenizer(side, truncation=False, return_attention_mask=False)["input_ids"] for side in texts)
        counts += [
            (len(premise) - special, len(hypothesis) - special) for premise, hypothesis in zip(*sides, strict=True)
        ]
    return counts


def count_cut(pairs: list[tuple[int, int]], budget: int, strategy: Truncation) -> dict[str, int]:
    """Counts the pairs and the tokens that are cut on each side."""
    from hf_nli.text.encoding import kept_lengths

    cut = [(p - kept[0], h - kept[1]) for p, h in pairs for kept in [kept_lengths(p, h, budget, strategy)]]
    return {
        "pairs_cut": sum(sum(sides) > 0 for sides in cut),
        "premises_cut": sum(premise > 0 for premise, _ in cut),
        "hypotheses_cut": sum(hypothesis > 0 for _, hypothesis in cut),
        "premise_tokens_cut": sum(premise for premise, _ in cut),
        "hypothesis_tokens_cut": sum(hypothesis for _, hypothesis in cut),
    }


def accuracies(setting: Setting, max_seq_length: int, strategy: Truncation, seed: int) -> dict[str, float]:
    """Scores on the validation pairs, cut to this length: of the model for the greatest one, and of one for this."""
    from hf_nli.core.files import write_json
    from hf_nli.data.splits import RunSources
    from hf_nli.data.table import TokenTable
    from hf_nli.model.load import load_model
    from hf_nli.model.precision import resolve_precision
    from hf_nli.model.score import predict_logits, score
    from hf_nli.text.encoding import encode
    from hf_nli.training.accelerator import make_accelerator

    longest = max(setting.max_seq_lengths)
    fine_tuned(setting, longest, STRATEGIES[0], seed)
    own = fine_tuned(setting, max_seq_length, strategy, seed)
    whole = setting.folder / f"{STRATEGIES[0]}-{longest}-{seed}"
    known = whole / f"accuracy-{strategy}-{max_seq_length}.json"
    if not known.exists():
        pairs = RunSources(setting.dataset, setting.validation_dataset, DataOptions()).read(seed).validation
        accelerator, (model, tokenizer) = make_accelerator(whole), load_model(str(whole))
        table = TokenTable.open(encode(pairs, tokenizer, max_seq_length, strategy), tokenizer)
        precision = resolve_precision(Recipe.mixed_precision, accelerator.device.type)  # as in training
        model, table = model.to(accelerator.device), table.to(accelerator.device)
        scores = score(*predict_logits(accelerator, model, table, Recipe.per_device_eval_batch_size, precision))
        write_json(known, scores.accuracy)
    return {"fine_tuned_long": read_number(known), "fine_tuned_alike": own}


def fine_tuned(setting: Setting, max_seq_length: int, strategy: Truncation, seed: int) -> float:
    """Fine-tunes, if that isn't done yet; gives the accuracy that all_results.json says."""
    from hf_nli.training.train import train

    folder = setting.folder / f"{strategy}-{max_seq_length}-{seed}"
    if not (folder / "all_results.json").exists():
        recipe = Recipe(
            max_seq_length=max_seq_length, truncation=strategy, seed=seed, num_train_epochs=setting.num_train_epochs
        )
        sources = (setting.model_name_or_path, setting.dataset, folder, recipe, setting.validation_dataset)
        train(*sources, max_train_samples=setting.max_train_samples)
    return read_number(folder / "all_results.json", "eval_accuracy")


def read_number(file: Path, key: str | None = None) -> float:
    """Reads the number that a JSON file of an earlier run is, or has under a key."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return float(content[key] if key else content)
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(f"{file}: it doesn't hold an earlier run's accuracy; delete {file.parent}") from error


def means(result: dict[str, Any]) -> dict[str, float]:
    """The accuracies, over the seeds."""
    return {name: statistics.mean(each[name] for each in result["accuracy"]) for name in result["accuracy"][0]}


def table(facts: dict[str, Any], results: list[dict[str, Any]]) -> str:
    """Lays the results out."""
    longest = results[-1]["max_seq_length"]
    head = f"tokens | what is cut | pairs | of premises | of hypotheses | fine-tuned at {longest} | at this length"
    lines = [f"| {head} |", "|---" * 7 + "|"]
    for each in results:
        shares = [each["pairs_cut"] / facts["pairs"]]
        shares += [each[f"{side}_tokens_cut"] / facts[f"{side}_tokens"] for side in ("premise", "hypothesis")]
        cells = [str(each["max_seq_length"]), each["truncation"], *(f"{share:.1%}" for share in shares)]
        lines.append(f"| {' | '.join([*cells, *(f'{value:.3f}' for value in means(each).values())])} |")
    return "\n".join(lines)


def draw(facts: dict[str, Any], results: list[dict[str, Any]], path: Path) -> None:
    """Draws what is cut, and the accuracies with the range over the seeds, by length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    cuts, scores = figure.subplots(1, 2)
    for strategy, color in zip(STRATEGIES, ("C0", "C1"), strict=True):
        own = [each for each in results if each["truncation"] == strategy]
        steps = [each["max_seq_length"] for each in own]
        for side, style in (("premise", "-"), ("hypothesis", "--")):
            shares = [each[f"{side}_tokens_cut"] / facts[f"{side}_tokens"] for each in own]
            cuts.plot(steps, shares, style, color=color, marker=".", label=f"{strategy}, {side}")
        for name, style, label in (
            ("fine_tuned_alike", "-", "with this length"),
            ("fine_tuned_long", "--", "with all"),
        ):
            values = [[score[name] for score in each["accuracy"]] for each in own]
            middle = list(map(statistics.mean, values))
            scores.plot(steps, middle, style, color=color, marker=".", label=f"{strategy}, fine-tuned at {label}")
            scores.fill_between(steps, list(map(min, values)), list(map(max, values)), color=color, alpha=0.15)
    cuts.set(ylabel="share of the tokens that is cut")
    scores.set(ylabel="validation accuracy")
    for axes in (cuts, scores):
        axes.set(xlabel="tokens a pair (max_seq_length)", xscale="log", xticks=steps, xticklabels=steps)
        axes.minorticks_off()
        axes.grid(alpha=0.5)
        axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    modules = ("hf_nli.data.splits", "hf_nli.training.train", "matplotlib.figure")
    command = Command("compare_truncation", "compare two ways to cut long pairs", (Setting,), main, modules)
    sys.exit(execute(command, Path(__file__).name, sys.argv[1:], closing=True))
