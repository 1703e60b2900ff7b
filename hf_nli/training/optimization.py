"""What a recipe makes of the parameters of a model: an optimizer and its schedule."""

from __future__ import annotations

import logging
from typing import Any, cast

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, get_scheduler

from hf_nli.engine.vocabulary import UsedEmbedding
from hf_nli.settings.recipe import Recipe
from hf_nli.training.plan import Plan

logger = logging.getLogger(__name__)


def make_optimizer(model: PreTrainedModel, recipe: Recipe) -> AdamW:
    """Makes the optimizer of a recipe; without weight decay it is Adam.

    Args:
        model: The model, on its device.
        recipe: The settings.
    """
    rate = embedding_rate(model, recipe.learning_rate, recipe.embedding_lr_multiplier)
    return AdamW(parameter_groups(model, recipe.weight_decay, rate), lr=recipe.learning_rate, fused=True)


def capturable(optimizer: AdamW, device: torch.device) -> None:
    """Makes an optimizer's steps what a CUDA graph can hold: learning rates and counts of steps are on the device.

    Args:
        optimizer: The optimizer, new or loaded.
        device: The device of its parameters.
    """
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
    # Of a step that isn't captured, it warns that it would be slow; the first one of each shape isn't.
    optimizer._warned_capturable_if_run_uncaptured = True


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
    embeddings = cast(nn.Embedding, model.get_input_embeddings())
    weight = embeddings.whole if isinstance(embeddings, UsedEmbedding) else embeddings.weight.detach()
    # From the median, which a few rows or dimensions of another size don't change.
    deviation = weight.abs().median().item() / 0.6745
    return deviation / 0.02 if deviation > 0.1 else 1.0


def make_schedule(optimizer: AdamW, plan: Plan) -> LRScheduler:
    """Makes the schedule of a run.

    Args:
        optimizer: What it sets the learning rates of, not prepared: a prepared schedule would step once for every
            process.
        plan: The steps of the run.
    """
    kind = plan.recipe.lr_scheduler_type
    name = {"constant": "constant_with_warmup"}.get(kind, kind)
    return get_scheduler(name, optimizer, plan.warmup_steps, plan.total_steps)


def parameter_groups(model: nn.Module, weight_decay: float, embedding_learning_rate: float) -> list[dict[str, Any]]:
    """Groups parameters for AdamW: only the matrices of linear layers decay.

    Biases and norms never do. Neither do embeddings: a rare token's row would shrink at every step without being
    trained at it, and converted models hold constants there (see `lift`). They hold constants in linear layers, too,
    which decay like the rest: by the learning rate times the decay, 2e-6 a step at our defaults. Those are trained at
    every step, so that they can make up for it.

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
