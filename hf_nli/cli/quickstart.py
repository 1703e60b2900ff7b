"""`hf-nli quickstart`: the whole path on the built-in sample, and loading the result with Transformers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hf_nli.cli.command import Command
from hf_nli.cli.signals import stopped_by
from hf_nli.core.environment import start_accelerate
from hf_nli.core.errors import Interrupted
from hf_nli.settings.recipe import Recipe

if TYPE_CHECKING:
    from hf_nli.runs.report import TrainingResults

RECIPE = Recipe(
    learning_rate=1e-3,
    embedding_lr_multiplier=1.0,
    num_train_epochs=12,
    per_device_train_batch_size=32,
    max_seq_length=64,
    dropout=0.0,
    mixed_precision="no",  # the net is too small for another to be faster
)
PAIRS = (
    ("A student in a red hat is playing a guitar.", "The person is wearing something red."),
    ("A student in a red hat is playing a guitar.", "The student is wearing a blue jacket."),
)

SUMMARY = """
Done. What was made, in {folder}:
  sample/                 a small NLI corpus and an untrained d2l checkpoint, both generated here
  converted/              the checkpoint as a Hugging Face model: its outputs differ from d2l's function by
                          {difference:.1e} at most (d2l's own float32: {source:.1e})
  model/                  that model, fine-tuned for {seconds:.0f} s: validation accuracy {validation:.3f}
  scores/                 accuracy {accuracy:.3f} on the test pairs, some of whose words were never trained on
                          (always saying "{majority_label}": {majority:.3f})
It says:
{predictions}
It loads in any project with Transformers 4.28.1 or newer, as a {model_class}:
  AutoModelForSequenceClassification.from_pretrained("{folder}/model")

Next, the real thing (needs the network; SNLI takes a GPU, or patience):
  hf-nli convert --source bert.small --output_dir models/bert-small
  hf-nli train --model_name_or_path models/bert-small --dataset stanfordnlp/snli --output_dir models/bert-small-snli
  hf-nli evaluate --model_name_or_path models/bert-small-snli --dataset stanfordnlp/snli --output_dir scores"""


@dataclass(frozen=True, kw_only=True)
class QuickstartArguments:
    """Flags of `hf-nli quickstart`."""

    output_dir: str = field(metadata={"help": "Folder for the sample and the model."})


def execute(arguments: QuickstartArguments) -> None:
    """Runs it, and prints what it made."""
    print(quickstart(output_dir=arguments.output_dir))


def quickstart(output_dir: str | Path) -> str:
    """Runs the whole path on a generated sample; needs no network and a minute or two on two cores.

    Args:
        output_dir: The folder for the sample, the models and the scores.

    Returns:
        A summary to print: what was made where, and what it measured.

    Raises:
        InputError: If the folder can't be written to, or holds models that aren't of an earlier quickstart.
    """
    from hf_nli.core.disk import check_output
    from hf_nli.core.sole_run import sole_run
    from hf_nli.d2l.convert import convert
    from hf_nli.evaluation.evaluate import FILES, evaluate
    from hf_nli.inference.predictor import predict
    from hf_nli.model.folder import refuse_other_model
    from hf_nli.model.load import load_model
    from hf_nli.sample.sample import write_sample

    folder = Path(output_dir)
    start_accelerate()
    with _one_thread(), sole_run(output_dir):
        again = (folder / "sample").is_dir()  # what is beside it is then its own, of an earlier time
        for name in ("converted", "model"):
            refuse_other_model(folder / name, again)
        check_output(folder / "scores", files=FILES)
        sample = write_sample(folder / "sample")
        report = convert(
            str(sample.checkpoint), folder / "converted", num_heads=sample.num_heads, overwrite_output_dir=again
        )
        training = _train(folder, str(sample.corpus), again)
        scores = evaluate(str(folder / "model"), str(sample.corpus), folder / "scores", split="test")
        predictions = list(predict(*load_model(str(folder / "model")), PAIRS))
        model_class = _load_elsewhere(folder / "model", [row["label"] for row in predictions])
    labels = scores.per_label
    return SUMMARY.format(
        folder=folder,
        difference=report.max_abs_difference,
        source=report.source_float32_difference,
        seconds=training.seconds,
        validation=training.eval_accuracy,
        accuracy=scores.accuracy,
        majority=scores.baselines["majority"],
        majority_label=max(labels, key=lambda label: labels[label]["support"]),
        predictions="\n".join(
            f"  {row['label']} ({row['scores'][row['label']]:.2f}): {row['premise']} / {row['hypothesis']}"
            for row in predictions
        ),
        model_class=model_class,
    ).lstrip("\n")


def _train(folder: Path, corpus: str, again: bool) -> TrainingResults:
    """Fine-tunes; nothing is left of a training that is stopped, as quickstart has no flag to go on from it."""
    from hf_nli.runs.output import drop_interrupted
    from hf_nli.training.train import train

    model = folder / "model"
    try:
        return train(str(folder / "converted"), corpus, model, RECIPE, overwrite_output_dir=again)
    except Interrupted as stopped:
        drop_interrupted(model)
        line = f"{stopped_by(stopped.signal_number)}; the same command starts it anew"
        raise Interrupted(line, stopped.signal_number) from stopped


@contextmanager
def _one_thread() -> Iterator[None]:
    """The net is so small that threads wait for each other longer than they work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _load_elsewhere(folder: Path, labels: list[str]) -> str:
    """Does what any other project does with the folder, and checks that it predicts the same labels."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    inputs = tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")
    with torch.inference_mode():
        elsewhere = [model.config.id2label[index] for index in model(**inputs).logits.argmax(-1).tolist()]
    if elsewhere != labels:
        raise RuntimeError(f"{folder} predicts {elsewhere} when loaded by itself, {labels} here")
    return type(model).__name__


COMMAND = Command(
    "quickstart",
    "the whole path on a built-in sample, without network",
    (QuickstartArguments,),
    execute,
    (
        "hf_nli.d2l.convert",
        "hf_nli.evaluation.evaluate",
        "hf_nli.inference.predictor",
        "hf_nli.sample.sample",
        "hf_nli.training.train",
    ),
)
