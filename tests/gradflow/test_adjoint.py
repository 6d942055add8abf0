"""Costates against backpropagation, dense products of Jacobians, and finite differences."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.adjoint import backpropagated, backwards, costates, log_costates
from protcontact.gradflow.linear import dense, jvp, matrix
from protcontact.gradflow.systems import follow, recurrent

D = torch.float64


def problem(kind, length, hidden=8, gain=None):
    torch.manual_seed(0)
    module = kind(5, hidden, dtype=D).requires_grad_(False)
    if gain is not None:
        nn.init.orthogonal_(module.all_weights[0][1], gain)
    maps = recurrent(module, torch.randn(length, 5, dtype=D) / 4)
    start, last = torch.randn(2, hidden * (1 + (kind is nn.LSTM)), dtype=D)
    return maps, follow(maps, start), last


def apart(found, true):
    return float(((found - true).norm(dim=-1) / true.norm(dim=-1)).max())


@pytest.mark.parametrize(("kind", "gain"), [(nn.RNN, 0.75), (nn.GRU, None), (nn.LSTM, None)])
def test_two_hundred_steps_equal_backpropagation(kind, gain):
    """GRADFLOW: rel 2e-14 where the norm falls to 7e-28."""
    maps, states, last = problem(kind, 200, gain=gain)
    found = costates(maps, states, last)
    true = backpropagated(maps, states[0], last)
    assert true[0].norm() < 1e-26
    assert apart(found, true) <= 2e-14
    logs = log_costates(maps, states, last)
    assert float((logs - true.norm(dim=1).log10()).abs().max()) < 1e-12


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_equal_products_of_dense_jacobians(kind):
    """By forward derivatives, transposed: nothing is shared with backpropagation."""
    maps, states, last = problem(kind, 12)
    direct = torch.randn(12, len(last), dtype=D)
    true = [last]
    for step, x, sent in zip(maps[::-1], states[:-1].flip(0), direct.flip(0), strict=True):
        true.append(dense(jvp(step, x), len(x)).mT @ true[-1] + sent)
    found = costates(maps, states, last, direct)
    torch.testing.assert_close(found, torch.stack(true[::-1]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "gain"), [(nn.RNN, 0.75), (nn.LSTM, None)])
def test_two_hundred_steps_equal_the_product_of_dense_jacobians(kind, gain):
    """The same row by forward derivatives, which share no kernel with what is tested."""
    maps, states, last = problem(kind, 200, gain=gain)
    true = [last]
    for step, x in zip(maps[::-1], states[:-1].flip(0), strict=True):
        true.append(dense(jvp(step, x), len(x)).mT @ true[-1])
    assert apart(costates(maps, states, last), torch.stack(true[::-1])) <= 2e-14


def test_are_sensitivities():
    maps, states, last = problem(nn.RNN, 9)
    direct = torch.randn(9, len(last), dtype=D)

    def judged(t, x):
        later = follow(maps[t:], x)
        return last @ later[-1] + (direct[t:] * later[:-1]).sum()

    found, h = costates(maps, states, last, direct), 1e-5
    for t in (0, 5, 8):
        for place, way in enumerate(torch.eye(len(last), dtype=D)):
            slope = (judged(t, states[t] + h * way) - judged(t, states[t] - h * way)) / (2 * h)
            assert float(found[t, place]) == pytest.approx(float(slope), abs=1e-9)


def test_many_states_at_once():
    maps, _, _ = problem(nn.RNN, 4)
    start, last = torch.randn(2, 3, 8, dtype=D)
    states = follow(maps, start)
    found = costates(maps, states, last)
    for row in range(3):
        one = costates(maps, states[:, row], last[row])
        torch.testing.assert_close(found[:, row], one, rtol=1e-13, atol=1e-15)


def test_far_below_the_smallest_float():
    step = matrix(torch.eye(2, dtype=D) * 1e-30)
    logs = log_costates([step] * 100, torch.ones(101, 2, dtype=D), torch.ones(2, dtype=D))
    assert float(logs[0]) == pytest.approx(-3000 + math.log10(2) / 2, abs=1e-9)


def test_backwards_is_the_recurrence():
    matrices, last = torch.randn(3, 2, 2, dtype=D), torch.randn(2, dtype=D)
    found = backwards([matrix(m.mT) for m in matrices], last)
    assert torch.allclose(found[0], matrices[0].mT @ matrices[1].mT @ matrices[2].mT @ last)
    assert torch.equal(found[-1], last)


@pytest.mark.parametrize("function", [costates, log_costates])
@pytest.mark.parametrize("count", [4, 6])
def test_one_state_more_than_maps(function, count):
    with pytest.raises(ValueError, match="zip"):
        function([torch.sin] * 4, torch.ones(count, 2), torch.ones(2))
