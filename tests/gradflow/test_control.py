"""Sensitivities against autograd and differences, optima against Riccati and brute force."""

import pytest
import torch

from protcontact.gradflow.control import ControlProblem, linear_quadratic
from protcontact.gradflow.ode import heun
from protcontact.gradflow.systems import pendulum

D = torch.float64
TARGET = torch.tensor([1.0, 0.2], dtype=D)


def swing(steps=12, dt=0.2):
    return ControlProblem(
        step=lambda x, u: heun(lambda at: pendulum(at, u), x, dt),
        running=lambda x, u: dt / 2 * (u**2).sum(dim=-1) + dt * torch.cos(x[..., 0]),
        final=lambda x: 5 * ((x - TARGET) ** 2).sum(dim=-1),
        start=torch.tensor([0.3, -0.1], dtype=D),
    ), torch.randn(steps, 1, dtype=D, generator=torch.Generator().manual_seed(0))


def test_costs_and_states_are_those_of_a_loop():
    problem, u = swing()
    x, cost, states = problem.start, 0.0, [problem.start]
    for now in u:
        cost += float(problem.running(x, now))
        x = problem.step(x, now)
        states.append(x)
    cost += float(problem.final(x))
    assert float(problem.cost(u)) == pytest.approx(cost, rel=1e-14)
    torch.testing.assert_close(problem.states(u), torch.stack(states), rtol=1e-14, atol=0)
    assert float(problem.cost(u, problem.states(u))) == float(problem.cost(u))


def test_sensitivities_are_gradients():
    problem, u = swing()
    leaf, start = u.clone().requires_grad_(), problem.start.clone().requires_grad_()
    judged = ControlProblem(problem.step, problem.running, problem.final, start).cost(leaf)
    by_u, by_start = torch.autograd.grad(judged, [leaf, start])
    found, slope = problem.sensitivity(u)
    torch.testing.assert_close(slope, by_u, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(found.costates[0], by_start, rtol=1e-13, atol=1e-14)
    assert torch.equal(found.controls, u)
    h, way = 1e-5, torch.ones_like(u)
    difference = (problem.cost(u + h * way) - problem.cost(u - h * way)) / (2 * h)
    assert float(slope.sum()) == pytest.approx(float(difference), abs=1e-8)


def test_descent_ends_where_pontryagin_says():
    problem, u = swing()
    best = problem.solve(u)
    slope, before = problem.sensitivity(best.controls)[1], problem.sensitivity(u)[1]
    assert float(slope.abs().max() / before.abs().max()) < 1e-8
    # u minimises H, which is quadratic in it up to what a step of Heun's adds
    least = problem.cost(best.controls)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        aside = 0.01 * torch.randn(u.shape, dtype=D, generator=generator)
        assert problem.cost(best.controls + aside) > least
    assert u.requires_grad is False


def riccati(A, B, energy, final, start, target, steps):
    """Backwards by value functions, forwards by feedback: of (x - target, 1)."""
    n = len(start)
    move = (A - torch.eye(n, dtype=D)) @ target  # x - target moves by A and this
    lift = torch.eye(n + 1, dtype=D)
    lift[:n, :n], lift[:n, n] = A, move
    push = torch.cat([B, torch.zeros(1, B.shape[1], dtype=D)])
    P = torch.zeros(n + 1, n + 1, dtype=D)
    P[:n, :n] = final
    feedback = []
    for _ in range(steps):
        R = energy * torch.eye(B.shape[1], dtype=D) + push.mT @ P @ push
        K = torch.linalg.solve(R, push.mT @ P @ lift)
        P = lift.mT @ P @ (lift - push @ K)
        feedback.append(K)
    x, controls = torch.cat([start - target, torch.ones(1, dtype=D)]), []
    for K in reversed(feedback):
        controls.append(-K @ x)
        x = lift @ x + push @ controls[-1]
    return torch.stack(controls), x[:n] + target


@pytest.mark.parametrize("steps", [1, 2, 25])
def test_linear_quadratic_is_the_optimum_of_riccati(steps):
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(3, 3, dtype=D, generator=generator) / 2
    B = torch.randn(3, 2, dtype=D, generator=generator)
    root = torch.randn(3, 3, dtype=D, generator=generator)
    start, target = torch.randn(2, 3, dtype=D, generator=generator)
    final = root @ root.mT
    found = linear_quadratic(A, B, 0.1, final, start, target, steps)
    controls, end = riccati(A, B, 0.1, final, start, target, steps)
    torch.testing.assert_close(found.controls, controls, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found.states[-1], end, rtol=1e-9, atol=1e-11)
    problem = ControlProblem(
        step=lambda x, u: x @ A.mT + u @ B.mT,
        running=lambda x, u: 0.05 * (u**2).sum(dim=-1),
        final=lambda x: ((x - target) @ final * (x - target)).sum(dim=-1) / 2,
        start=start,
    )
    seen, slope = problem.sensitivity(found.controls)
    assert float(slope.abs().max()) < 1e-12
    torch.testing.assert_close(seen.states, found.states, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(seen.costates, found.costates, rtol=1e-10, atol=1e-12)
    descended = problem.solve(torch.zeros(steps, 2, dtype=D))
    torch.testing.assert_close(descended.controls, controls, rtol=1e-8, atol=1e-9)
