"""A step, and what becomes of it where gradients are infinite, as with float16's they may be."""

import pytest
import torch
from torch.overrides import TorchFunctionMode

from hf_nli.data.load import load_nli
from hf_nli.data.table import TokenTable
from hf_nli.model.load import load_model
from hf_nli.runs.state import LoopState
from hf_nli.settings.recipe import Recipe
from hf_nli.text.encoding import encode
from hf_nli.training.accelerator import make_accelerator
from hf_nli.training.learner import make_learner
from hf_nli.training.plan import make_plan

RECIPE = Recipe(max_train_steps=10, warmup_ratio=0.2, learning_rate=1e-3, per_device_train_batch_size=16)


@pytest.fixture
def table(model, pairs):
    tokenizer = load_model(model)[1]
    return TokenTable.open(encode(load_nli(pairs)["train"], tokenizer, 32), tokenizer)


@pytest.fixture
def learning(model, table, tmp_path):
    def make(scale=None, recipe=RECIPE):
        plan = make_plan(table.lengths, recipe, 1)
        learner = make_learner(make_accelerator(tmp_path), "no", load_model(model)[0], plan)
        if scale:
            learner.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        return learner

    return make


@pytest.mark.parametrize("norm", [0.0, 1.0])
def test_the_schedule_waits_for_a_step_that_was_skipped(norm, learning, table):
    """The scale of the first steps makes gradients infinite; it is halved at each."""
    recipe = Recipe(**vars(RECIPE) | {"max_grad_norm": norm, "loss_reduction": "sum"})
    learner = learning(2.0**127, recipe)
    weights, rates, scales = [], [], []
    for rows in make_plan(table.lengths, recipe, 1).batches(1)[:5]:
        rates.append(learner.scheduler.get_last_lr()[0])
        learner.take_step(table, rows, LoopState())
        weights.append(torch.cat([each.detach().flatten() for each in learner.model.parameters()]))
        scales.append(learner.scaler.get_scale())
    assert all(torch.isfinite(each).all() for each in weights)
    skipped = [scale < before for scale, before in zip(scales, [2.0**127, *scales[:-1]], strict=True)]
    number = sum(skipped)
    assert 0 < number < 5 and skipped == [True] * number + [False] * (5 - number)
    # Two steps of warm-up from 0, then it decays: it counts the steps that were taken.
    expected = [0.0] * number + [1e-3 * share for share in (0, 1 / 2, 1, 7 / 8, 6 / 8)]
    assert rates == pytest.approx(expected[:5])
    assert all(torch.equal(weights[0], each) for each in weights[:number])


def test_scaled_gradients_make_the_same_step(learning, table):
    learners, states = [learning(1.0), learning(2.0**16)], [LoopState(), LoopState()]
    for learner, state in zip(learners, states, strict=True):
        for rows in make_plan(table.lengths, RECIPE, 1).batches(1)[:5]:
            learner.take_step(table, rows, state)
        state.add_up()
    assert states[0].all_epochs.loss == pytest.approx(states[1].all_epochs.loss, rel=1e-5)
    for one, other in zip(learners[0].model.parameters(), learners[1].model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


class Dtypes(TorchFunctionMode):
    """Notes the types of all tensors that functions of torch give."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        self.seen |= {each.dtype for each in (result,) if isinstance(each, torch.Tensor)}
        return result


def test_a_step_needs_no_float64(learning, table):
    """Which Apple's GPUs don't have."""
    learner, state = learning(), LoopState()
    with Dtypes() as dtypes:
        learner.take_step(table, make_plan(table.lengths, RECIPE, 1).batches(1)[0], state)
        state.add_up()
    assert torch.float32 in dtypes.seen and torch.float64 not in dtypes.seen
    assert state.recent.examples == 16 and state.recent.loss > 0
