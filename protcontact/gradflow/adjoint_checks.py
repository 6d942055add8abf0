"""What must optimal controls and Lyapunov exponents be equal to? Closed forms."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protcontact.gradflow.control import ControlProblem, linear_quadratic
from protcontact.gradflow.experiment import (
    Check,
    apart,
    relative_error,
)
from protcontact.gradflow.linear import matrix
from protcontact.gradflow.lyapunov import linear_exponents
from protcontact.gradflow.ode import amplification
from protcontact.gradflow.systems import (
    Map,
    cat,
    follow,
    henon,
    logistic,
    oscillator,
    recurrent,
    recurrent_step,
)

TIME = 8.0  # of the oscillator, somewhat more than its period of 2 pi
MISS = 100.0  # what a squared miss of the target costs, by that of energy
ORBIT, TRANSIENT = 300, 100  # steps of the maps
SHRINK = 0.5  # the spectral radius, and every singular value, of the RNN whose exponents are known


def linear_quadratic_checks(steps: int) -> list[Check]:
    """A damped oscillator, pushed to a target: descent and costates against one linear system."""
    dt = TIME / steps
    rates = oscillator(damping=0.1)
    A = torch.linalg.matrix_exp(rates * dt)
    push = torch.tensor([[0.0], [1.0]], dtype=torch.float64)  # held for a step
    B = torch.linalg.solve(rates, (A - torch.eye(2, dtype=torch.float64)) @ push)
    final = MISS * torch.eye(2, dtype=torch.float64)
    start, target = torch.tensor([[-1.0, 0.5], [1.0, 0.0]], dtype=torch.float64)
    true = linear_quadratic(A, B, dt, final, start, target, steps)
    problem = ControlProblem(
        step=lambda x, u: x @ A.mT + u @ B.mT,
        running=lambda x, u: dt / 2 * (u**2).sum(dim=-1),
        final=lambda x: MISS / 2 * ((x - target) ** 2).sum(dim=-1),
        start=start,
    )
    at_optimum, slope = problem.sensitivity(true.controls)
    first = problem.sensitivity(torch.zeros_like(true.controls))[1]
    descended = problem.solve(torch.zeros_like(true.controls))
    return [
        Check(
            "linear-quadratic: costates at the optimum = multipliers of Karush, Kuhn and Tucker",
            apart(at_optimum.costates, true.costates),
            1e-10,
        ),
        Check(
            "linear-quadratic: dH/du = 0 at the optimum, of what it is without control",
            float(slope.abs().max() / first.abs().max()),
            1e-13,
        ),
        Check(
            "linear-quadratic: descent by dH/du ends at the closed form",
            apart(descended.controls, true.controls),
            1e-9,
        ),
    ]


def map_checks() -> list[Check]:
    """Maps whose exponents are known, and a recurrent layer that comes to rest."""
    shrinking, stretching = _orbit(henon(), 2), _orbit(cat, 2)
    logistic_orbit = _orbit(logistic(), 1)
    added = float(shrinking.exponents.sum())
    # |df/dx| = 2 s(f(x)) / s(x), s(x) = sqrt(x (1 - x)): of the product only the ends are left
    x = logistic_orbit.states[[TRANSIENT, -1], 0]
    first, last = ((x - x * x).log() / 2).tolist()
    known = math.log(2) + (last - first) / (ORBIT - TRANSIENT)
    return [
        Check("Henon map: mu_1 + mu_2 = ln 0.3", abs(added - math.log(0.3)), 3e-15),
        Check("Henon map: mu_1 + mu_2 = mean log|det J|", abs(added - shrinking.log_det), 3e-15),
        Check(
            "cat map: mu_1 = ln((3 + sqrt 5)/2)",
            abs(float(stretching.exponents[0]) - math.log((3 + math.sqrt(5)) / 2)),
            7e-16,
        ),
        Check(
            "logistic map: mu = ln 2, and what the ends of the orbit add",
            abs(float(logistic_orbit.exponents) - known),
            3e-14,
        ),
        _resting(),
    ]


class _Orbit(NamedTuple):
    states: Tensor
    exponents: Tensor
    log_det: float


def _orbit(step: Map, n: int) -> _Orbit:
    states = follow([step] * ORBIT, torch.full((n,), 0.1, dtype=torch.float64))
    return _Orbit(states, *_measured(step, states))


def _measured(step: Map, states: Tensor) -> tuple[Tensor, float]:
    """Exponents, and what they must add up to, of a map that takes all states at once."""
    jacobians = amplification(step, states[:-1])
    basis = torch.eye(states.shape[-1], dtype=states.dtype)
    found = linear_exponents([*map(matrix, jacobians)], basis, TRANSIENT)
    return found, float(torch.linalg.slogdet(jacobians[TRANSIENT:]).logabsdet.mean())


def _resting() -> Check:
    """Without input the state goes to 0, where tanh is the identity and W a shrinking rotation."""
    module = nn.RNN(1, 8, bias=False, dtype=torch.float64).requires_grad_(False)
    nn.init.orthogonal_(module.all_weights[0][1], gain=SHRINK)
    x = torch.zeros(ORBIT, 1, dtype=torch.float64)
    states = follow(recurrent(module, x), torch.randn(8, dtype=torch.float64))
    found, _ = _measured(recurrent_step(module, x), states)
    true = torch.full_like(found, math.log(SHRINK))
    return Check("nn.RNN at rest, W = rho Q: every mu = ln rho", relative_error(found, true), 1e-14)
