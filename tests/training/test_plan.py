"""What a run will do, counted by hand."""

import numpy
import pytest

from hf_nli.settings.recipe import Recipe
from hf_nli.training import plan as planning
from hf_nli.training.plan import make_plan

LENGTHS = numpy.random.default_rng(0).integers(5, 60, 100)


@pytest.mark.parametrize(
    "changes, processes, steps, epochs, warmup",
    [
        ({"num_train_epochs": 3}, 1, 39, 3, 4),  # 13 of 8 and 4
        ({"num_train_epochs": 3}, 2, 21, 3, 3),
        ({"num_train_epochs": 3, "gradient_accumulation_steps": 4}, 2, 6, 3, 1),  # 64 and 36
        ({"max_train_steps": 20}, 1, 20, 2, 2),
        ({"max_train_steps": 26}, 1, 26, 2, 3),
        ({"max_train_steps": 27, "num_train_epochs": 1}, 1, 27, 3, 3),
        ({"max_train_steps": 5, "warmup_ratio": 0.0}, 1, 5, 1, 0),
        ({"num_train_epochs": 10**9, "warmup_ratio": 0.0}, 1, 13 * 10**9, 10**9, 0),  # at once, too
        ({"max_train_steps": 10**9, "warmup_ratio": 0.0}, 1, 10**9, 76923077, 0),
    ],
)
def test_steps(changes, processes, steps, epochs, warmup):
    plan = make_plan(LENGTHS, Recipe(per_device_train_batch_size=8, **changes), processes)
    assert (plan.total_steps, plan.epochs, plan.warmup_steps) == (steps, epochs, warmup)


@pytest.mark.parametrize("changes", [{}, {"tokens_per_batch": 200}, {"group_by_length": False}])
def test_every_row_is_in_one_batch_of_an_epoch(changes):
    plan = make_plan(LENGTHS, Recipe(per_device_train_batch_size=8, num_train_epochs=3, **changes), 2)
    batches = [plan.batches(epoch) for epoch in (1, 2, 3)]
    assert sum(map(len, batches)) == plan.total_steps
    for epoch in batches:
        assert sorted(numpy.concatenate(epoch)) == list(range(100))
    assert [rows.tolist() for rows in batches[0]] != [rows.tolist() for rows in batches[1]]
    if "tokens_per_batch" in changes:
        assert all(len(rows) * LENGTHS[rows].max() <= 2 * 200 for epoch in batches for rows in epoch)


@pytest.mark.parametrize("changes, built", [({}, 0), ({"tokens_per_batch": 200}, 3)])
def test_no_batches_are_made_twice(changes, built, monkeypatch):
    """Batches of a fixed size are counted without making them; others are kept."""
    calls, make = [], planning.epoch_batches
    monkeypatch.setattr(planning, "epoch_batches", lambda *given: calls.append(given) or make(*given))
    plan = make_plan(LENGTHS, Recipe(num_train_epochs=3, **changes), 1)
    assert len(calls) == built
    for epoch in (1, 2, 3):
        plan.batches(epoch)
    assert len(calls) == 3
