"""Temperature scaling: one number that a classifier's logits are divided by, in its own weights.

Guo et al. (2017), "On Calibration of Modern Neural Networks", section 4.2.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from hf_nli.core.errors import InputError
from hf_nli.core.processes import on_main
from hf_nli.data.table import TokenTable
from hf_nli.model.confidence import brier_score, expected_calibration_error
from hf_nli.model.evaluations import Calibration, Confidence
from hf_nli.model.score import compute_logits
from hf_nli.settings.options import Forward

TOLERANCE = 1e-4  # of logits, above rounding and far below what another layer after the last one changes


def scale(
    accelerator: Accelerator,
    model: PreTrainedModel,
    table: TokenTable,
    batch_size: int,
    seed: int,
    forward: Forward,
    name: str,
) -> Calibration:
    """Divides a model's logits by the temperature that fits a half of some pairs, in float32; changes the model.

    Args:
        accelerator: The processes and their device; all of them have to call it.
        model: A three-way NLI classifier whose last layer is a linear one, which is moved to the device.
        table: The pairs, encoded.
        batch_size: Pairs a batch, on each process.
        seed: Chooses the half.
        forward: What computes.
        name: What to call model and pairs in errors.

    Returns:
        The temperature, and what the probabilities of the other half's pairs are worth before and after.

    Raises:
        InputError: If no temperature fits, the model has no such layer, or there are too few pairs; on all processes.
    """
    layer_name, layer = last_layer(model, name)
    before, references = compute_logits(accelerator, model, table, batch_size, "no", forward, name)
    fitted, held_out = _halves(len(references), seed, name)
    temperature = on_main(lambda: fit_temperature(before[fitted], references[fitted], name))
    divide(layer, temperature)
    after, _ = compute_logits(accelerator, model, table, batch_size, "no", forward, name)
    expected = before.double() / temperature
    difference = (after.double() - expected).abs().max().item()
    if difference > TOLERANCE * max(1.0, expected.abs().max().item()):
        raise InputError(
            f"{name}: can't be calibrated: {layer_name}, the last linear layer of this {model.config.model_type}, "
            "isn't what gives its logits"
        )
    return Calibration(
        temperature=temperature,
        fitted_pairs=len(fitted),
        held_out_pairs=len(held_out),
        before=_confidence(before[held_out], references[held_out]),
        after=_confidence(after[held_out], references[held_out]),
        changed_labels=int((after.argmax(1) != before.argmax(1)).sum()),
        max_abs_difference=difference,
    )


def last_layer(model: PreTrainedModel, name: str = "the model") -> tuple[str, nn.Linear]:
    """Finds the layer that gives a classifier's logits, as far as its place and its shape tell.

    Args:
        model: Any sequence classifier.
        name: What to call it in errors.

    Returns:
        The last linear layer of its head that has as many outputs as there are labels, and that layer's name.

    Raises:
        InputError: If there is none.
    """
    base, labels = f"{model.base_model_prefix}.", model.config.num_labels
    found = [
        (place, layer)
        for place, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == labels and not place.startswith(base)
    ]
    if not found:
        raise InputError(
            f"{name}: can't be calibrated: the head of this {model.config.model_type} has no linear layer with "
            f"{labels} outputs"
        )
    return found[-1]


@torch.no_grad()
def divide(layer: nn.Linear, temperature: float) -> None:
    """Divides what a linear layer gives by a number: its weight and its bias, in float64.

    Args:
        layer: The layer.
        temperature: The number.
    """
    for parameter in layer.parameters():
        exact = parameter.cpu().double() / temperature  # not every device has float64
        parameter.copy_(exact.to(parameter.dtype))


def fit_temperature(logits: Tensor, references: Tensor, name: str = "the pairs") -> float:
    """Finds the temperature with the least mean cross-entropy, with L-BFGS in float64.

    In 1 / temperature the cross-entropy is convex, so that there is one such temperature, or none.

    Args:
        logits: Float (examples, labels).
        references: The gold labels, integer (examples,).
        name: What to call model and pairs in errors.

    Raises:
        InputError: If the cross-entropy falls for ever, as 1 / temperature grows or as it shrinks to 0.
    """
    logits = logits.double()
    gold = logits.gather(1, references[:, None])[:, 0]
    if bool((gold == logits.amax(1)).all()):
        raise InputError(f"{name}: no temperature fits: all {len(gold)} answers to fit it on are right; take others")
    if gold.mean() <= logits.mean():  # the slope at 0
        raise InputError(
            f"{name}: no temperature fits: the gold labels are no more probable than others; is the model fine-tuned?"
        )
    exponent = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [exponent], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(logits * exponent.exp(), references)
        value.backward()
        return value

    optimizer.step(loss)
    return (-exponent).exp().item()


def _halves(pairs: int, seed: int, name: str) -> tuple[Tensor, Tensor]:
    """Splits the pairs at random: those to fit on, and those to measure on."""
    if pairs < 2:
        raise InputError(f"{name}: one pair can't be split into two halves, to fit and to measure on; take more")
    order = torch.randperm(pairs, generator=torch.Generator().manual_seed(seed))
    return order[: pairs // 2], order[pairs // 2 :]


def _confidence(logits: Tensor, references: Tensor) -> Confidence:
    logits = logits.double()
    probabilities = logits.softmax(-1)
    return {
        "loss": F.cross_entropy(logits, references).item(),
        "expected_calibration_error": expected_calibration_error(probabilities, references),
        "brier_score": brier_score(probabilities, references),
    }
