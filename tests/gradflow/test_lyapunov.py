"""Exponents against closed forms, singular values of products, and determinants."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.adjoint import log_costates
from protcontact.gradflow.linear import matrix
from protcontact.gradflow.lyapunov import exponents, first_directions, linear_exponents
from protcontact.gradflow.ode import amplification
from protcontact.gradflow.systems import cat, follow, henon, logistic, recurrent

D = torch.float64


def orbit(step, n, steps, start=0.1):
    return [step] * steps, follow([step] * steps, torch.full((n,), start, dtype=D))


def network(gain, steps, hidden=10):
    torch.manual_seed(0)
    module = nn.RNN(4, hidden, dtype=D).requires_grad_(False)
    nn.init.normal_(module.all_weights[0][1], std=gain / math.sqrt(hidden))
    maps = recurrent(module, torch.randn(steps, 4, dtype=D))
    return maps, follow(maps, torch.zeros(hidden, dtype=D))


def mean_log_det(maps, states, transient):
    """What all exponents add up to, from each Jacobian as a whole."""
    dense = [amplification(step, x) for step, x in zip(maps, states[:-1], strict=True)]
    return float(torch.linalg.slogdet(torch.stack(dense[transient:])).logabsdet.mean())


def test_henon():
    """GRADFLOW: the sum is ln 0.3 and the mean of log|det|, to 3e-15."""
    maps, states = orbit(henon(), 2, 1000)
    found = exponents(maps, states, 100)
    assert abs(float(found.sum()) - math.log(0.3)) <= 3e-15
    assert abs(float(found.sum()) - mean_log_det(maps, states, 100)) <= 3e-15
    assert float(found[0]) == pytest.approx(0.42, abs=0.03)  # 0.4192 after a million steps


def test_cat():
    """GRADFLOW: 7e-16."""
    maps, states = orbit(cat, 2, 300)
    found = exponents(maps, states, 100)
    assert abs(float(found[0]) - math.log((3 + math.sqrt(5)) / 2)) <= 7e-16
    assert abs(float(found.sum())) <= 3e-15


def test_logistic():
    """GRADFLOW: 7e-16 at the fixed point, which it never leaves; on an orbit up to its ends."""
    assert abs(float(exponents(*orbit(logistic(), 1, 50, 0.75))) - math.log(2)) <= 7e-16
    maps, states = orbit(logistic(), 1, 2000)
    assert float(exponents(maps, states)) == pytest.approx(math.log(2), abs=10 / 2000)


@pytest.mark.parametrize("gain", [0.5, 2.5])
def test_rnn_sum_is_the_mean_of_log_det(gain):
    """GRADFLOW: 3e-15 where matrices are well conditioned; here they are not."""
    maps, states = network(gain, 200)
    found = exponents(maps, states, 20)
    assert float(found.sum()) == pytest.approx(mean_log_det(maps, states, 20), rel=1e-11)
    alone = exponents(maps, states, 20, count=1)
    assert float(found[0]) == pytest.approx(float(alone), rel=1e-9)


@pytest.mark.parametrize("gain", [0.5, 2.5])
def test_rnn_largest_is_the_rate_of_its_gradient(gain):
    maps, states = network(gain, 600)
    logs = log_costates(maps, states, torch.ones(10, dtype=D)) * math.log(10)
    slope = float(logs[100] - logs[-1]) / 500
    assert float(exponents(maps, states, 100, 1)) == pytest.approx(slope, abs=10 / 500)
    assert (slope > 0) == (gain > 1)


def test_are_logs_of_singular_values_of_the_product():
    """Of one matrix many times, that is symmetric: its eigenvalues."""
    values = torch.diag(torch.tensor([2.0, 1.0, 0.25], dtype=D))
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=D, generator=torch.Generator().manual_seed(0)))[
        0
    ]
    step = matrix(turn @ values @ turn.mT)
    found = linear_exponents([step] * 200, torch.eye(3, dtype=D), transient=100)
    assert found.tolist() == pytest.approx([math.log(2), 0, math.log(0.25)], abs=1e-13)


def test_a_singular_jacobian_has_minus_infinity():
    step = matrix(torch.diag(torch.tensor([2.0, 0.0], dtype=D)))
    found = linear_exponents([step] * 5, torch.eye(2, dtype=D))
    assert found.tolist() == [pytest.approx(math.log(2)), -math.inf]


@pytest.mark.parametrize("count", [0, 3, -1])
def test_more_exponents_than_channels_are_refused(count):
    with pytest.raises(ValueError, match=r"1 \.\.\. 2 exponents"):
        exponents(*orbit(cat, 2, 5), count=count)


@pytest.mark.parametrize("transient", [5, -1])
def test_a_transient_that_leaves_nothing_is_refused(transient):
    with pytest.raises(ValueError, match="leaves none of 5 steps"):
        exponents(*orbit(cat, 2, 5), transient)


def test_another_number_of_states_is_refused():
    maps, states = orbit(cat, 2, 5)
    with pytest.raises(ValueError, match="zip"):
        exponents(maps, states[1:])


def test_directions_are_orthogonal_and_none_is_an_axis():
    """The axes of h alone would miss c, where gates do not read h."""
    found = first_directions(torch.zeros(5, 6, dtype=D))
    torch.testing.assert_close(found @ found.mT, torch.eye(6, dtype=D), rtol=0, atol=1e-15)
    assert float(found.abs().max()) < 0.99 and float(found.abs().min()) > 0
    assert torch.equal(found, first_directions(torch.ones(9, 6, dtype=D)))
    assert first_directions(torch.zeros(6)).dtype == torch.float32
