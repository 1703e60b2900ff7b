"""The state of a run: exact sums, the best epoch, and patience."""

import pytest
import torch

from hf_nli.runs.state import EpochScores, LoopState, Sums


def scores(epoch, accuracy, loss=1.0):
    return EpochScores(epoch, 9 * epoch, 0.5, 0.5, eval_loss=loss, eval_accuracy=accuracy)


def test_sums_are_exact_without_float64_on_the_device():
    """2**24 + 1 isn't a float32."""
    state = LoopState()
    for loss, right in ((2.0**24, 3), (1.0, 1), (1.0, 0)):
        figures = torch.tensor([loss, right])
        assert figures.dtype == torch.float32
        state.count(figures, Sums(examples=4, tokens=50, positions=64))
    state.add_up()
    expected = Sums(loss=2.0**24 + 2, right=4, examples=12, tokens=150, positions=192)
    assert state.all_epochs == state.this_epoch == state.recent == expected
    assert (expected.mean_loss, expected.accuracy) == ((2**24 + 2) / 12, 4 / 12)


def test_sums_do_not_depend_on_when_they_are_added_up():
    losses = torch.rand(137, generator=torch.Generator().manual_seed(0)).tolist()
    totals = []
    for every in (1, 7, 1000):
        state = LoopState()
        for index, loss in enumerate(losses):
            state.count(torch.tensor([loss, 1.0]), Sums(examples=1))
            if index % every == 0:
                state.add_up()
        state.add_up()
        totals.append(state.all_epochs)
    assert totals[0] == totals[1] == totals[2] and totals[0].right == 137


def test_figures_do_not_wait_without_end():
    state = LoopState()
    for _ in range(120):
        state.count(torch.tensor([1.0, 1.0]), Sums(examples=1))
    assert state.all_epochs.examples == 100


def test_the_best_epoch():
    """By accuracy; of equal ones the lower loss wins, and of wholly equal ones the earlier."""
    state = LoopState()
    given = [(0.5, 1.0), (0.6, 1.0), (0.5, 0.1), (0.6, 0.9), (0.6, 0.9)]
    better = [state.end_epoch(scores(epoch, *each)) for epoch, each in enumerate(given, 1)]
    assert better == [True, True, False, True, False]
    assert (state.best.epoch, state.last.epoch, state.epoch, state.batch) == (4, 5, 6, 0)


@pytest.mark.parametrize("patience, epochs", [(None, 6), (1, 3), (2, 4), (3, 6)])
def test_patience(patience, epochs):
    """The best epochs are 1, 2 and 5."""
    state, accuracies = LoopState(), [0.4, 0.6, 0.5, 0.5, 0.7, 0.1]
    for epoch, accuracy in enumerate(accuracies, 1):
        if state.out_of_patience(patience):
            break
        state.end_epoch(scores(epoch, accuracy))
    assert state.epoch - 1 == epochs


def test_it_comes_back_as_it_was(tmp_path):
    """From a file that is read without running code."""
    state = LoopState(epoch=3, batch=5, step=23, seconds=1.5)
    state.end_epoch(scores(3, 0.5))
    state.count(torch.tensor([0.1, 1.0]), Sums(examples=2, tokens=9, positions=10))
    torch.save(state.state_dict(), tmp_path / "state.pkl")
    again = LoopState()
    again.load_state_dict(torch.load(tmp_path / "state.pkl", weights_only=True))
    assert again == state and again.recent.loss == torch.tensor(0.1).item()


def test_the_clock_counts_training_alone():
    state = LoopState()
    state.stop_clock()
    assert state.seconds == 0
    state.start_clock()
    state.stop_clock()
    seconds = state.seconds
    assert seconds > 0
    state.stop_clock()
    assert state.seconds == seconds
