"""Systems against what is known of them, and recurrent layers against their modules."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.ode import amplification, rk4
from protcontact.gradflow.systems import (
    cat,
    follow,
    henon,
    logistic,
    lorenz,
    oscillator,
    pendulum,
    recurrent,
    recurrent_step,
    stiff,
    van_der_pol,
)

D = torch.float64


def vector(*values):
    return torch.tensor(values, dtype=D)


def test_follow_is_a_loop():
    found = follow([torch.sin, torch.exp], vector(0.5, 1.0))
    assert found.tolist() == [
        [0.5, 1.0],
        torch.sin(found[0]).tolist(),
        torch.exp(found[1]).tolist(),
    ]


def test_oscillator_and_stiff_have_the_eigenvalues_they_say():
    assert torch.equal(oscillator(2.0), -oscillator(2.0).mT)
    found = torch.linalg.eigvals(oscillator(2.0, 0.4))
    assert found.real.tolist() == pytest.approx([-0.2, -0.2])
    assert found.imag.abs().tolist() == pytest.approx([math.sqrt(4 - 0.04)] * 2)
    assert torch.linalg.eigvalsh(stiff(1.0, 50.0)).tolist() == pytest.approx([-50, -1])


def test_van_der_pol_ends_on_its_cycle():
    states = follow([lambda x: rk4(van_der_pol(), x, 0.02)] * 1500, vector(0.1, 0.0))
    assert float(states[1000:, 0].max()) == pytest.approx(2.009, abs=0.002)


def test_lorenz_rests_at_its_fixed_point():
    side = math.sqrt(8 / 3 * 27)
    assert lorenz()(vector(side, side, 27.0)).abs().max() < 1e-12


def test_pendulum_keeps_its_energy_without_torque():
    at = vector(1.0, 0.3)
    states = follow([lambda x: rk4(lambda s: pendulum(s, vector(0.0)), x, 0.01)] * 300, at)
    energy = states[:, 1] ** 2 / 2 - states[:, 0].cos()
    assert float((energy - energy[0]).abs().max()) < 1e-9
    assert pendulum(vector(0.0, 0.0), vector(0.7)).tolist() == [0.0, 0.7]


@pytest.mark.parametrize(
    ("step", "n", "size"), [(henon(), 2, 0.3), (cat, 2, 1.0), (logistic(), 1, 2.0)]
)
def test_maps_treat_states_by_themselves_and_shrink_as_they_say(step, n, size):
    states = torch.rand(5, n, dtype=D, generator=torch.Generator().manual_seed(0))
    assert torch.equal(step(states), torch.stack([step(state) for state in states]))
    dets = torch.linalg.det(amplification(step, states)).abs()
    if n == 2:
        assert dets.tolist() == pytest.approx([size] * 5, rel=1e-14)
    else:  # at its fixed point
        assert float(amplification(step, vector(0.75)).abs()) == size


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_steps_are_those_of_the_module(kind, batch_first):
    torch.manual_seed(0)
    module = kind(3, 4, batch_first=batch_first, dtype=D)
    x = torch.randn(6, 3, dtype=D)
    n = 8 if kind is nn.LSTM else 4
    states = follow(recurrent(module, x), torch.zeros(n, dtype=D))
    torch.testing.assert_close(states[1:, :4], module(x)[0], rtol=1e-14, atol=1e-15)
    # all time steps at once, and several states for each
    together = recurrent_step(module, x)(states[:-1].expand(2, 6, n))
    torch.testing.assert_close(together, states[1:].expand(2, 6, n), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}, {"proj_size": 2}])
def test_more_than_one_recurrence_is_refused(options):
    with pytest.raises(ValueError, match="one layer, one direction"):
        recurrent(nn.LSTM(3, 4, **options), torch.zeros(5, 3))


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"\(\.\.\., 3\), not \(4,\)"):
        recurrent(nn.RNN(3, 4), torch.zeros(5, 4))
