"""Numbers that no setting can be."""

import math

import pytest

from hf_nli.core.errors import InputError
from hf_nli.settings.options import RunOptions
from hf_nli.settings.ranges import check_numbers
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


@pytest.mark.parametrize(
    "settings",
    [
        *({"dropout": 1.0}, {"warmup_ratio": 1.01}, {"warmup_ratio": 1.0}, {"seed": -1}, {"seed": 2**32}),
        *({"max_seq_length": 4}, {"num_train_epochs": 10**12}, {"learning_rate": 10**400}),
    ],
)
def test_ranges(settings):
    with pytest.raises(InputError, match="; it"):
        Recipe(**settings)


def test_run_options():
    with pytest.raises(InputError, match="--checkpoints_total_limit is 0; it must be at least 1"):
        RunOptions(checkpoints_total_limit=0)
    assert RunOptions(checkpoints_total_limit=1).checkpoints_total_limit == 1


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"num_train_epochs": 2.5}, "a whole number"),
        ({"num_train_epochs": True}, "a whole number"),
        ({"seed": None}, "a whole number"),
        ({"learning_rate": "fast"}, "a number"),
        ({"weight_decay": None}, "a number"),
        ({"soften_attention": "no"}, "True or False"),
        ({"lr_scheduler_type": "square"}, "one of linear, cosine, constant"),
        ({"truncation": None}, "one of longest_first, proportional"),
    ],
)
def test_types(settings, kind):
    (name,) = settings
    with pytest.raises(InputError, match=f"^--{name} is .*; it must be {kind}$"):
        Recipe(**settings)


def test_the_ends_of_ranges():
    ends = Recipe(seed=2**32 - 1, warmup_ratio=0.0, dropout=0.0, learning_rate=0, max_seq_length=5)
    assert (ends.seed, ends.learning_rate, ends.max_train_steps) == (4294967295, 0, None)


@pytest.mark.parametrize("steps", ["²", "٣", "-1", "1.5", "", " 3", "0", "9" * 5000])
def test_checkpointing_steps_are_a_number(steps):
    with pytest.raises(InputError, match="^--checkpointing_steps is "):
        RunOptions(checkpointing_steps=steps)


def test_lists_of_numbers():
    check_numbers("seed", [0, 2**32 - 1])
    with pytest.raises(InputError, match="--max_seq_length is -5; it must be at least 5"):
        check_numbers("max_seq_length", [16, -5])
    with pytest.raises(InputError, match="--seed: no value is given"):
        check_numbers("seed", [])


def test_recipes_are_recipes():
    assert all(Recipe(**changes) for changes in RECIPES.values())
