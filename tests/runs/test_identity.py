"""Which changes keep a run from going on, and which don't."""

import dataclasses
import json

import pytest

from hf_nli.runs.identity import RunIdentity
from hf_nli.settings.recipe import Recipe

RUN = RunIdentity(
    model="m" * 64,
    train_data="t" * 64,
    validation_data="v" * 64,
    recipe=Recipe(num_train_epochs=5, tokens_per_batch=None),
    total_steps=100,
    warmup_steps=10,
    num_processes=1,
    mixed_precision="no",
)


def changed(recipe=None, **others):
    return dataclasses.replace(RUN, recipe=dataclasses.replace(RUN.recipe, **recipe or {}), **others)


@pytest.mark.parametrize(
    "now, said",
    [
        (changed(model="n" * 64), ["the model to start from changed"]),
        (changed(train_data="u" * 64), ["the training data changed"]),
        (changed(validation_data="w" * 64), ["the validation data changed"]),
        (changed(num_processes=2, total_steps=50), ["num_processes 1 there, 2 now"]),
        (changed(mixed_precision="bf16"), ["mixed_precision no there, bf16 now"]),
        (
            changed({"learning_rate": 0.01, "seed": 7}),
            ["learning_rate 0.0002 there, 0.01 now", "seed 42 there, 7 now"],
        ),
        (changed({"tokens_per_batch": 100}, total_steps=90), ["tokens_per_batch none there, 100 now"]),
        (changed({"lr_scheduler_type": "constant"}), ["lr_scheduler_type linear there, constant now"]),
    ],
)
def test_what_makes_another_run(now, said):
    assert RUN.changes(now) == said


@pytest.mark.parametrize(
    "recipe",
    [
        {"per_device_eval_batch_size": 7},
        {"early_stopping_patience": 3},
        {"test_each_epoch": True},
        {"gradient_checkpointing": True},
        {"mixed_precision": "no"},  # as auto was resolved
        {"num_train_epochs": 1, "max_train_steps": 100},  # the same steps in other words
    ],
)
def test_what_does_not(recipe):
    assert RUN.changes(changed(recipe)) == []


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_more_epochs_where_the_schedule_depends_on_them(schedule):
    """It names what to do."""
    run = changed({"lr_scheduler_type": schedule})
    now = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, num_train_epochs=10), total_steps=200)
    text = f"the {schedule} schedule of the learning rate depends on it; go on with --num_train_epochs 5"
    assert run.changes(now) == [f"num_train_epochs 5 there, 10 now: {text}"]
    now = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, max_train_steps=30), total_steps=30)
    (change,) = run.changes(now)
    assert change.startswith("max_train_steps none there, 30 now") and change.endswith(
        "go on without --max_train_steps"
    )


def test_more_epochs_where_it_does_not():
    run = changed({"lr_scheduler_type": "constant"})
    now = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, num_train_epochs=10), total_steps=200)
    assert run.changes(now) == []


def test_it_comes_back_from_json():
    content = json.loads(json.dumps(dataclasses.asdict(RUN)))
    assert RunIdentity.from_dict(content) == RUN
    with pytest.raises(TypeError):
        RunIdentity.from_dict(content | {"phase_of_the_moon": 1})
