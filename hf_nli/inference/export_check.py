"""What an exported program answers on sentence pairs, compared with the model that it was made from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy
import torch
from numpy.typing import NDArray
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.errors import InputError
from hf_nli.model.score import check_logits

logger = logging.getLogger(__name__)

# Gives the logits (pairs, labels), in the model's own order, of what the tokenizer gives, int64 (pairs, tokens).
Run = Callable[[dict[str, NDArray[numpy.int64]]], NDArray[numpy.float32]]

TOLERANCE = 1e-4
# Normally distributed noise of 0.05 of the logits' spread changes one label in 40, noise of 0.2 one in 10.
NOTICEABLE, LIMIT = 0.05, 0.2
_REMEDIES = {8: "do without --int8", 16: "use --dtype float32"}

# Premise and hypothesis: eight entailments, eight neutral pairs, eight contradictions.
PAIRS = (
    ("A man in a blue shirt is playing a guitar on stage.", "A musician is performing."),
    ("Two dogs run along the beach.", "Animals are outdoors."),
    ("The committee rejected the proposal by nine votes to two.", "The proposal was not accepted."),
    ("A girl is riding a red bicycle down a narrow street while her mother watches.", "A child is on a bike."),
    ("She bought three apples and two pears.", "She bought some fruit."),
    ("Because of the storm, every flight to the island was cancelled.", "No plane flew to the island."),
    ("The museum, which opened in 1987, is closed on Mondays.", "You can't visit the museum on a Monday."),
    ("He forgot to lock the door.", "The door was left unlocked."),
    ("An old woman is selling vegetables at the market.", "The woman's vegetables are from her own garden."),
    ("A boy kicks a ball.", "The boy is the best player of his team."),
    ("Several people are waiting at a bus stop in the rain.", "The bus is late."),
    ("The company hired 120 engineers last year.", "Most of the engineers were hired in spring."),
    ("Do you know where the station is?", "The speaker has a train to catch."),
    ("A chef in a white hat is cutting onions.", "The chef is making soup for his guests."),
    ("Scientists found water on the moon, the newspaper reported.", "The discovery will change space travel."),
    ("Three friends are laughing in a restaurant.", "They are celebrating a birthday."),
    ("A man is asleep on the sofa.", "The man is running a marathon."),
    ("The room was completely empty.", "Five chairs stood in the room."),
    ("Nobody in the village speaks French.", "Everyone in the village speaks French."),
    ("A woman in a long black coat crosses the road.", "A woman is swimming in a lake."),
    ("The train left on time.", "The train was delayed by an hour."),
    ("Children are building a snowman in the garden.", "It is a hot summer day and the garden is empty."),
    ("The price of bread rose from two to three euros.", "Bread has become cheaper."),
    ("All of the students passed the exam, although it was harder than the year before.", "Some students failed."),
)


@dataclass(frozen=True)
class Comparison:
    """A program's logits against PyTorch's in float32.

    Attributes:
        pairs: How many pairs were compared.
        label_agreement: The share of them that get the same label.
        max_abs_difference: The largest difference of a logit.
        relative_error: The root mean square of the differences over that of the logits, both without what a pair's
            logits have in common, which changes neither label nor probabilities.
        pytorch_float32_difference: The largest difference of PyTorch's logits from its own in float64.
    """

    pairs: int
    label_agreement: float
    max_abs_difference: float
    relative_error: float
    pytorch_float32_difference: float


def check_batches(tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[BatchEncoding]:
    """Encodes the built-in pairs, and two of which a text is longer than the model takes.

    Args:
        tokenizer: The model's.
        max_length: The length, in tokens, to cut pairs to.

    Returns:
        Batches of 1, 3 and 22 pairs as int64 tensors (pairs, tokens), padded to their longest.
    """
    first, second, *others = PAIRS
    long = f"{first[0]} " * max_length
    return [
        tokenizer(
            [premise for premise, _ in pairs],
            [hypothesis for _, hypothesis in pairs],
            padding=True,
            truncation=True,
            max_length=max_length,
            return_tensors="pt",
        )
        for pairs in ([first], [(long, first[1]), second, (first[0], long)], others)
    ]


def check(
    model: PreTrainedModel,
    run: Run,
    batches: Sequence[BatchEncoding],
    bits: Literal[8, 16, 32],
    runtime: str = "onnxruntime",
) -> Comparison:
    """Compares an exported program with its model, and refuses it if it answers differently.

    Float32 programs must agree with PyTorch up to rounding. What 8 bits may change has no natural bound, and labels
    alone don't tell: those of an untrained net, whose logits are nearly equal, change with the last bit. So the error
    is measured against the spread of a pair's logits. Within 0.05 a program passes, up to 0.2 it is warned of, beyond
    it is refused: there about one label in ten changes, if logits and errors are normally distributed.

    Args:
        model: The model in float32, in evaluation mode.
        run: What runs the program.
        batches: As from `check_batches`.
        bits: In how many bits the program multiplies.
        runtime: What to call the runtime.

    Returns:
        The comparison.

    Raises:
        InputError: If float32 logits differ by more than 1e-4 and ten times what PyTorch's own do from float64, or
            8-bit ones by more than 0.2 of their spread, or if any is not a number.
    """
    comparison = compare(model, run, batches)
    error, labels = comparison.relative_error, f"{comparison.label_agreement:.0%} of {comparison.pairs} pairs"
    if bits < 32 and not error <= LIMIT:  # a NaN fails too
        raise InputError(
            f"{model.name_or_path}: in {bits} bits {runtime}'s logits are off by {error:.0%} of their spread, more "
            f"than {LIMIT:.0%}, with PyTorch's label for {labels}; nothing was written. {_REMEDIES[bits]}"
        )
    if bits < 32 and error > NOTICEABLE:
        logger.warning(
            "%d bits change this model's logits by %.0f%% of their spread, with PyTorch's label for %s; "
            "compare its accuracy with the float32 program's before using it",
            bits,
            100 * error,
            labels,
        )
    difference, tolerance = comparison.max_abs_difference, max(TOLERANCE, 10 * comparison.pytorch_float32_difference)
    if bits == 32 and not difference <= tolerance:
        raise InputError(
            f"{model.name_or_path}: {runtime}'s logits differ from PyTorch's by {difference:.1e}, more than "
            f"{tolerance:.1e}; nothing was written. Please report the model"
        )
    return comparison


def onnx_run(program: Path, threads: int | None = None) -> Run:
    """Gives what runs a program in onnxruntime on this machine's CPU.

    Args:
        program: The ONNX file.
        threads: How many threads compute a call; by default as many as PyTorch has.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    session = onnxruntime.InferenceSession(program, options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(["logits"], feed)[0]


@torch.no_grad()
def compare(model: PreTrainedModel, run: Run, batches: Sequence[BatchEncoding]) -> Comparison:
    """Runs a program, and its model in PyTorch.

    Args:
        model: The model in float32, in evaluation mode; it passes through float64 and comes back the same.
        run: What runs the program.
        batches: As from `check_batches`.

    Raises:
        InputError: If a logit of the model is NaN or infinite.
    """
    ours = torch.cat([model(**batch).logits for batch in batches])
    check_logits(ours, f"{model.name_or_path}: the built-in pairs")
    feeds = [{name: each.numpy() for name, each in batch.items()} for batch in batches]
    theirs = torch.cat([torch.from_numpy(run(feed)) for feed in feeds])
    model.double()
    exact = torch.cat([model(**batch).logits for batch in batches])
    model.float()
    difference = theirs - ours
    # Logits that are equal up to float32's rounding have no spread to compare with.
    spread = max(_deviation(ours), TOLERANCE)
    return Comparison(
        pairs=len(ours),
        label_agreement=(ours.argmax(1) == theirs.argmax(1)).double().mean().item(),
        max_abs_difference=difference.abs().max().item(),
        relative_error=_deviation(difference) / spread,
        pytorch_float32_difference=(exact - ours).abs().max().item(),
    )


def _deviation(logits: torch.Tensor) -> float:
    """The root mean square of (pairs, labels) without each pair's mean."""
    return (logits - logits.mean(1, keepdim=True)).square().mean().sqrt().item()
