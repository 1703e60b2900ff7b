"""Numbers that no setting can be."""

import math

import pytest

from hf_nli.core.errors import InputError
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import RECIPES, Recipe


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize(
    "name", ["learning_rate", "embedding_lr_multiplier", "dropout", "weight_decay", "warmup_ratio", "max_grad_norm"]
)
def test_numbers_are_finite_and_not_negative(name, value):
    with pytest.raises(InputError, match=f"^--{name} is {value}; it "):
        Recipe(**{name: value})


@pytest.mark.parametrize(
    "name",
    [
        "num_train_epochs",
        "max_train_steps",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "tokens_per_batch",
        "early_stopping_patience",
    ],
)
def test_counts_are_at_least_1(name):
    assert getattr(Recipe(**{name: 1}), name) == 1
    with pytest.raises(InputError, match=f"^--{name} is 0; it must be at least 1"):
        Recipe(**{name: 0})


@pytest.mark.parametrize("settings", [{"dropout": 1.0}, {"warmup_ratio": 1.01}, {"seed": -1}])
def test_ranges(settings):
    with pytest.raises(InputError, match="; it"):
        Recipe(**settings)


def test_run_options():
    with pytest.raises(InputError, match="--checkpoints_total_limit is 0; it must be at least 1"):
        RunOptions(checkpoints_total_limit=0)
    assert RunOptions(checkpoints_total_limit=1).checkpoints_total_limit == 1


def test_recipes_are_recipes():
    assert all(Recipe(**changes) for changes in RECIPES.values())
