"""The equation of a recurrent layer, its solution, and the layer as a solver of it."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.ode import euler, rk4
from protcontact.gradflow.rnn_ode import RecurrentEquation
from protcontact.gradflow.systems import follow

D = torch.float64


@pytest.fixture
def equation():
    torch.manual_seed(0)
    module = nn.RNN(3, 4, dtype=D).requires_grad_(False)
    return RecurrentEquation(module, torch.randn(6, 3, dtype=D), torch.randn(4, dtype=D))


def test_eulers_steps_are_the_module(equation):
    states = follow(equation.steps(euler), equation.start)
    true = equation.module(equation.x, equation.start[None])[0]
    torch.testing.assert_close(states[1:], true, rtol=1e-14, atol=1e-15)


def test_is_leaky_integration(equation):
    """By hand, from the weights."""
    w, u, b, c = equation.module.all_weights[0]
    h, dt = equation.start, 1 / 3
    found = follow(equation.steps(euler, 3), h)
    for k in range(18):
        h = h + dt * (-h + torch.tanh(w @ equation.x[k // 3] + u @ h + b + c))
        torch.testing.assert_close(found[k + 1], h, rtol=1e-13, atol=1e-14)


def test_solution_relaxes_to_the_input():
    """Without recurrent weights h' = -h + c: h(t) = c + (h_0 - c) exp(-t)."""
    torch.manual_seed(0)
    module = nn.RNN(1, 1, bias=False, dtype=D).requires_grad_(False)
    w, u = module.all_weights[0]
    nn.init.zeros_(u)
    equation = RecurrentEquation(module, torch.ones(3, 1, dtype=D), torch.full((1,), 2.0, dtype=D))
    c = math.tanh(float(w))
    for parts in (1, 4, 32):
        t = torch.arange(3 * parts + 1, dtype=D) / parts
        true = c + (2 - c) * torch.exp(-t)
        found = equation.solution(parts)[:, 0]
        assert float((found - true).abs().max()) < 1e-6  # RK4 with 1/16 of a residue or less


def test_errors_are_those_of_single_steps(equation):
    solution = equation.solution(2)
    flow = equation.euler_errors(solution, 2)
    steps = equation.steps(euler, 2)
    tau = [step(x) - y for step, x, y in zip(steps, solution[:-1], solution[1:], strict=True)]
    torch.testing.assert_close(flow.local, torch.stack(tau), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(flow.measured, follow(steps, equation.start) - solution)
    assert flow.remainder < 0.3 * flow.error
    assert len(equation.steps(rk4, 5)) == 30
