"""Solvers against closed forms, their derivatives against finite differences, and their errors."""

import math
from functools import partial

import pytest
import torch

from protcontact.gradflow.linear import dense, jvp, matrix, vjp
from protcontact.gradflow.ode import (
    METHODS,
    advance,
    amplification,
    crank_nicolson,
    error_flow,
    implicit_euler,
    local_errors,
    propagated,
    rk4,
    stability,
    weights,
)
from protcontact.gradflow.systems import follow, lorenz, oscillator, stiff, van_der_pol

D = torch.float64
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
START = torch.tensor([1.0, 0.5], dtype=D)


@every_method
def test_one_step_of_decay_is_the_factor(method):
    for z in (-3.0, -0.5, 0.25):
        found = method.step(lambda x, z=z: z * x, torch.ones(1, dtype=D), 1.0)
        assert float(found) == pytest.approx(float(method.factor(torch.tensor(z))), rel=1e-7)


@every_method
def test_error_falls_with_the_order(method):
    """On an equation that no other test uses: y' = -y^2 is 1 / (1 + t)."""
    errors = []
    for steps in (64, 128):
        step = partial(advance, method.step, lambda x: -(x**2), 1 / steps)
        end = follow([step] * steps, torch.ones(1, dtype=D))[-1]
        errors.append(abs(float(end) - 0.5))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(method.order, abs=0.05)


@pytest.mark.parametrize(("step", "theta"), [(implicit_euler, 1.0), (crank_nicolson, 0.5)])
def test_implicit_steps_solve_their_equation(step, theta):
    f, dt = van_der_pol(5.0), 0.1
    x = torch.tensor([[2.0, 0.0], [0.1, -3.0], [-1.0, 1.0]], dtype=D)
    y = step(f, x, dt)
    true = x + dt * (theta * f(y) + (1 - theta) * f(x))
    torch.testing.assert_close(y, true, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("step", [implicit_euler, crank_nicolson])
def test_implicit_steps_of_a_linear_equation_are_exact(step):
    A, dt = stiff(1.0, 1000.0), 0.5
    eye = torch.eye(2, dtype=D)
    true = {
        implicit_euler: torch.linalg.solve(eye - dt * A, START),
        crank_nicolson: torch.linalg.solve(eye - dt / 2 * A, (eye + dt / 2 * A) @ START),
    }
    torch.testing.assert_close(step(matrix(A), START, dt), true[step], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("step", [implicit_euler, crank_nicolson])
def test_no_root_is_said(step):
    with pytest.raises(ArithmeticError, match="from states up to 1 in 50 iterations"):
        step(lambda x: x**2 + 1, torch.ones(1, dtype=D), 4.0)  # y = x + 4 (y^2 + 1): none
    with pytest.raises(ArithmeticError, match="take smaller ones"):
        step(lambda x: x * math.nan, torch.ones(1, dtype=D), 1.0)


@every_method
@pytest.mark.parametrize(
    ("field", "at"), [(van_der_pol(), [1.0, 2.0]), (lorenz(), [1.0, 2.0, -0.5])]
)
def test_derivative_of_a_step(method, field, at):
    """Rows by backpropagation, columns by forward derivatives, and finite differences."""
    x, n = torch.tensor(at, dtype=D), len(at)
    step = partial(advance, method.step, field, 0.05)
    h = 1e-6
    true = torch.stack(
        [(step(x + h * e) - step(x - h * e)) / (2 * h) for e in torch.eye(n, dtype=D)], dim=1
    )
    found = amplification(step, x)
    torch.testing.assert_close(found, true, rtol=0, atol=1e-8)
    torch.testing.assert_close(dense(jvp(step, x), n), found, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(dense(vjp(step, x), n).mT, found, rtol=1e-12, atol=1e-14)


def test_implicit_steps_pass_gradients_to_parameters():
    """If y = x + dt c y, then dy/dc = dt y / (1 - dt c)."""
    c, dt = torch.tensor(-2.0, dtype=D, requires_grad=True), 0.3
    y = implicit_euler(lambda x: c * x, torch.ones(1, dtype=D), dt)
    [found] = torch.autograd.grad(y.sum(), c)
    assert float(found) == pytest.approx(dt * float(y.detach()) / (1 + 2 * dt), rel=1e-14)


def test_many_jacobians_at_once():
    x = torch.randn(4, 5, 3, dtype=D, generator=torch.Generator().manual_seed(0))
    found = amplification(lorenz(), x)
    assert found.shape == (4, 5, 3, 3)
    torch.testing.assert_close(found[2, 3], dense(jvp(lorenz(), x[2, 3]), 3), rtol=0, atol=1e-14)


@every_method
def test_amplification_is_r_of_z(method):
    """GRADFLOW: RK4 1e-16, here by the size of what is added up."""
    axis = torch.linspace(-1, 1, 9, dtype=D)
    z = torch.complex(*torch.meshgrid(axis - 0.95, axis, indexing="ij"))
    for count in (1, 5):
        true = method.factor(z) ** count
        apart = (stability(method.step, z, count) - true).abs()
        added_up = torch.exp(z.abs()) + method.factor(z).abs()  # 1 + |z| + |z|^2/2 + ..., once
        size = count * added_up * method.factor(z).abs() ** (count - 1)
        assert float((apart / size).max()) < 3e-16


def test_rk4_is_stable_to_its_known_limits():
    z = torch.tensor([-2.785, -2.786, 2.828j, 2.829j], dtype=torch.complex128)
    assert (stability(rk4, z).abs() <= 1).tolist() == [True, False, True, False]


def test_crank_nicolson_of_a_skew_system_keeps_all_norms():
    """GRADFLOW: 4e-14."""
    values = torch.randn(6, 6, dtype=D, generator=torch.Generator().manual_seed(0))
    step = partial(advance, crank_nicolson, matrix(values - values.mT), 0.7)
    phi = amplification(lambda x: follow([step] * 30, x)[-1], torch.ones(6, dtype=D))
    assert float((torch.linalg.svdvals(phi) - 1).abs().max()) <= 4e-14


@every_method
@pytest.mark.parametrize("values", [oscillator(), oscillator(1.0, 0.3), stiff(0.5, 2.0)])
def test_propagated_errors_are_exact_for_linear_equations(method, values):
    """GRADFLOW: 4e-16, of the larger of state and error."""
    steps = 5
    exact = follow([matrix(torch.linalg.matrix_exp(values))] * steps, START)
    step = partial(advance, method.step, matrix(values), 1.0)
    flow = error_flow(step, follow([step] * steps, START), exact)
    assert flow.remainder <= 4e-16 * max(1.0, flow.error)
    g = torch.tensor([0.3, -2.0], dtype=D)
    added = (weights(flow.phi, g)[1:] * flow.local).sum()
    bound = 1e-15 * float(g.norm()) * max(1.0, flow.error)
    assert float(added) == pytest.approx(float(g @ flow.measured[-1]), abs=bound)


@every_method
@pytest.mark.parametrize(
    ("field", "start", "dt"),
    [(van_der_pol(), [2.0, 0.0], 0.05), (lorenz(), [5.0, 5.0, 20.0], 0.01)],
)
def test_propagated_errors_are_first_order_otherwise(method, field, start, dt):
    sizes = []
    at = torch.tensor(start, dtype=D)
    for halved in (0, 1):
        h, count = dt / 2**halved, 10 * 2**halved
        fine = partial(advance, rk4, field, h / 16)
        exact = follow([fine] * (count * 16), at)[::16]
        step = partial(advance, method.step, field, h)
        flow = error_flow(step, follow([step] * count, at), exact)
        sizes.append((flow.error, flow.remainder))
    (error, remainder), (error_half, remainder_half) = sizes
    if remainder_half > 1e-12:
        order = math.log(remainder / remainder_half) / math.log(error / error_half)
        assert order == pytest.approx(2, abs=0.25)
    else:  # as far as rounding lets one see
        assert remainder < 10 * error**2 + 1e-13


def test_pieces_are_what_they_say():
    values = oscillator()
    exact = follow([matrix(torch.linalg.matrix_exp(values / 2))] * 3, START)
    step = partial(advance, rk4, matrix(values), 0.5)
    tau = torch.stack([step(exact[k]) - exact[k + 1] for k in range(3)])
    assert torch.equal(local_errors(step, exact), tau)
    phi = torch.randn(3, 2, 2, dtype=D, generator=torch.Generator().manual_seed(0))
    e = propagated(phi, tau)
    torch.testing.assert_close(e[2], phi[1] @ tau[0] + tau[1], rtol=1e-14, atol=1e-18)
    g = torch.ones(2, dtype=D)
    torch.testing.assert_close(weights(phi, g)[1], phi[1].mT @ phi[2].mT @ g)
    around = torch.zeros(3, 2, dtype=D)
    nonlinear = partial(advance, rk4, van_der_pol(), 0.5)
    flow = error_flow(nonlinear, exact, exact, around)
    assert torch.equal(flow.phi, amplification(nonlinear, around))
    assert flow.error == 0
    assert flow.remainder == pytest.approx(float(flow.propagated.norm(dim=1).max()))
