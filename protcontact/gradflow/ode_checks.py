"""What must the errors and the amplification of the solvers be equal to? Closed forms.

On a linear equation a step of a solver is linear, so the propagation of errors is exact; and it
multiplies the solution of ``dx/dt = c x`` by R(z), z = c dt.
"""

from functools import partial

import torch
from torch import Tensor

from protcontact.gradflow.experiment import Check, largest, relative_error
from protcontact.gradflow.linear import matrix
from protcontact.gradflow.ode import (
    METHODS,
    advance,
    amplification,
    crank_nicolson,
    error_flow,
    rk4,
    stability,
    weights,
)
from protcontact.gradflow.systems import follow, oscillator, stiff

POWER = 10  # steps whose amplification is checked as a whole
STEPS = 20  # of length 1, where errors are as large as what they are errors of
EDGE = 4.0  # of the part of the complex plane that is looked at


def linear_checks() -> list[Check]:
    """Equations whose solution is a matrix exponential; all errors are as large as it."""
    errors, duals = [], []
    start, g = torch.tensor([[1.0, 0.5], [-1.0, 2.0]], dtype=torch.float64)
    for values in (oscillator(), oscillator(damping=0.2), stiff()):
        exact = follow([matrix(torch.linalg.matrix_exp(values))] * STEPS, start)
        for method in METHODS:
            step = partial(advance, method.step, matrix(values), 1.0)
            flow = error_flow(step, follow([step] * STEPS, start), exact)
            added = (weights(flow.phi, g)[1:] * flow.local).sum()
            errors.append(flow.remainder / flow.error)
            duals.append(float((added - g @ flow.measured[-1]).abs() / g.norm()) / flow.error)
    return [
        Check(
            "linear equations, five solvers: e_{k+1} = Phi_k e_k + tau_k", largest(errors), 3e-14
        ),
        Check("linear equations: g . e_T = sum_k lambda_{k+1} . tau_k", largest(duals), 3e-14),
    ]


def amplification_checks() -> list[Check]:
    """The derivative of the steps themselves against R(z), on both sides of the imaginary axis."""
    z = complex_plane(20)
    checks = []
    for method in METHODS:
        true = method.factor(z)
        error = (stability(method.step, z) - true).abs() / true.abs().clamp(min=1)
        checks.append(Check(f"{method.name}: Phi = {method.formula}", float(error.max()), 1e-14))
        if method.step is rk4:
            true = method.factor(z / EDGE) ** POWER
            error = (stability(method.step, z / EDGE, POWER) - true).abs() / true.abs()
            claim = f"{method.name}, {POWER} steps: Phi = R(z)^{POWER}"
            checks.append(Check(claim, float(error.max()), 1e-13))
    return checks


def complex_plane(points: int) -> Tensor:
    """``(H, W)``: the complex plane, its imaginary part along H; no point lies on an axis."""
    even = points + points % 2
    axis = (torch.arange(even, dtype=torch.float64) + 0.5) * (2 * EDGE / even) - EDGE
    return torch.complex(*torch.meshgrid(axis, axis, indexing="xy"))


def skew_check() -> Check:
    """A skew system turns and keeps its norm; so does the trapezoidal rule, by Cayley."""
    values = torch.randn(8, 8, dtype=torch.float64)
    steps = [partial(advance, crank_nicolson, matrix(values - values.mT), 1.0)] * STEPS
    phi = amplification(lambda x: follow(steps, x)[-1], torch.randn(8, dtype=torch.float64))
    singular = torch.linalg.svdvals(phi)
    return Check(
        f"Crank-Nicolson, skew system, {STEPS} steps: all singular values of Phi are 1",
        relative_error(singular, torch.ones_like(singular)),
        4e-14,
    )
