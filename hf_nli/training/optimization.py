"""What a recipe makes of the parameters of a model: an optimizer and its schedule."""

from __future__ import annotations

import logging
import math
from typing import Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, get_scheduler

from hf_nli.settings.recipe import Recipe

logger = logging.getLogger(__name__)


def make_optimizer(model: PreTrainedModel, recipe: Recipe) -> AdamW:
    """Makes the optimizer of a recipe; without weight decay it is Adam.

    Args:
        model: The model, on its device.
        recipe: The settings.
    """
    rate = embedding_rate(model, recipe.learning_rate, recipe.embedding_lr_multiplier)
    return AdamW(parameter_groups(model, recipe.weight_decay, rate), lr=recipe.learning_rate, fused=True)


def embedding_rate(model: PreTrainedModel, learning_rate: float, multiplier: float | None) -> float:
    """The learning rate of the embeddings.

    Args:
        model: The model.
        learning_rate: That of the rest.
        multiplier: How many times that; None for `embedding_scale`.
    """
    if multiplier is None:
        multiplier = embedding_scale(model)
        logger.info("Learning rate of the embeddings: %.1f times that of the rest", multiplier)
    return multiplier * learning_rate


def embedding_scale(model: PreTrainedModel) -> float:
    """How much larger than BERT's initial ones a model's word embeddings are, if they are much larger.

    Adam's steps are of the size of the learning rate whatever the parameters' is. BERT's word embeddings start with
    standard deviations of 0.02 and stay below 0.1, d2l's start with 1.

    Args:
        model: Any model.

    Returns:
        The factor for Adam's steps in them, 1 for embeddings like BERT's.
    """
    weight = model.get_input_embeddings().weight.detach()
    # From the median, which the constants that converted models hold there don't change (see `lift`).
    deviation = weight.abs().median().item() / 0.6745
    return deviation / 0.02 if deviation > 0.1 else 1.0


def make_schedule(optimizer: AdamW, recipe: Recipe, steps: int) -> LRScheduler:
    """Makes the schedule of a recipe.

    Args:
        optimizer: What it sets the learning rates of, not prepared: a prepared schedule would step once for every
            process.
        recipe: The settings.
        steps: The optimizer steps of the run.
    """
    name = {"constant": "constant_with_warmup"}.get(recipe.lr_scheduler_type, recipe.lr_scheduler_type)
    return get_scheduler(name, optimizer, math.ceil(recipe.warmup_ratio * steps), steps)


def parameter_groups(model: nn.Module, weight_decay: float, embedding_learning_rate: float) -> list[dict[str, Any]]:
    """Groups parameters for AdamW: only the matrices of linear layers decay.

    Biases and norms never do. Neither do embeddings: a rare token's row would shrink at every step without being
    trained at it, and converted models hold constants there (see `lift`).

    Args:
        model: Any model.
        weight_decay: The decay of the matrices.
        embedding_learning_rate: The learning rate of the embeddings.
    """
    matrices = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    embeddings = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    known = {id(parameter) for parameter in (*matrices, *embeddings)}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
        {"params": embeddings, "weight_decay": 0.0, "lr": embedding_learning_rate},
    ]
