"""What else is a gradient? The costate of optimal control, and a Lyapunov exponent."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from protcontact.figures.panels import Drawable, Line, Panel
from protcontact.gradflow.adjoint import backpropagated, costates, log_costates
from protcontact.gradflow.adjoint_checks import linear_quadratic_checks, map_checks
from protcontact.gradflow.control import ControlProblem, Optimum
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    curve,
    largest,
    lines,
    size,
    theory,
)
from protcontact.gradflow.linear import log_norms, matrix, scaled, vjp
from protcontact.gradflow.lyapunov import linear_exponents
from protcontact.gradflow.ode import amplification, heun
from protcontact.gradflow.systems import follow, pendulum, recurrent, recurrent_step

RESIDUES = 20  # kinds of them
LONGEST, STEEPEST = 1000, 4.0  # length and gain that float64 can follow
SWING = 8.0  # time to bring the pendulum up, somewhat more than its period of 2 pi
MISS = 100.0  # what a squared miss of the target costs, by that of energy
TRANSIENT = 100  # steps, after which directions have turned into those of the exponents
ENDS = 10.0  # natural logarithms: what the directions at both ends can change a gradient by
DIFFERENCES = tuple(10.0 ** (-k / 2) for k in range(2, 13))  # h of finite differences


@dataclass(frozen=True)
class AdjointExperiment(Experiment):
    """Costates of networks and of a pendulum, an optimal control, and Lyapunov exponents."""

    title: ClassVar = "Backpropagation is the costate equation of optimal control"
    formula: ClassVar = (
        "x_{t+1} = F_t(x_t, u_t),   J = sum_t L_t(x_t, u_t) + E(x_T)\n"
        "lambda_t = (dF_t/dx)^T lambda_{t+1} + dL_t/dx = dJ/dx_t\n"
        "H_t = L_t + lambda_{t+1} . F_t,   dJ/du_t = dH_t/du = 0 at the optimum\n"
        "log|lambda_{T-d}| / d -> mu_1, the largest Lyapunov exponent"
    )
    explanation: ClassVar = (
        "A rocket and a network pose one problem: choose controls, or weights, so that what "
        "happens step by step ends well. The costate lambda says how much the end would change if "
        "the state were moved now; it is computed backwards from the end, and in a network this "
        "is called backpropagation. Pontryagin's principle says that at the best control the "
        "derivative of H by the control is 0 at every step, and descent along that derivative "
        "finds it. The Lyapunov exponents are the rates at which the steps stretch or shrink a "
        "disturbance: below 0 the recurrence forgets, and its gradient vanishes at just that "
        "rate; above 0 it is chaotic, and its gradient explodes."
    )
    source: ClassVar = "Pontryagin et al. 1962; LeCun 1988; Benettin et al. 1980"

    length: int = size(
        200,
        "residues that RNN and LSTM read",
        most=LONGEST,
        why="torch's own gradients leave the range of floats beyond",
    )
    hidden: int = size(32, "units of the RNN and of the LSTM")
    controls: int = size(64, "steps of the pendulum", least=16)
    orbit: int = size(2000, "steps of the orbits of the RNN", least=10 * TRANSIENT)
    gains: tuple[float, ...] = size(
        (0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0),
        "of the recurrent weights: their standard deviation times sqrt(hidden)",
        least=0.01,
        most=STEEPEST,
        why="beyond, tanh saturates until its slope is 0 in float64",
    )

    def measure(self) -> Result:
        """Two recurrences, a pendulum, a linear-quadratic problem, and orbits."""
        checks, readings = _networks(self.length, self.hidden)
        problem = _swing(self.controls)
        best = problem.solve(torch.zeros(self.controls, 1, dtype=torch.float64))
        for more, measured in (
            _sensitivities(problem, self.controls),
            _optimality(problem, best),
            (linear_quadratic_checks(self.controls), []),
            (map_checks(), []),
            _stability(self),
        ):
            checks += more
            readings += measured
        conclusion = _conclusion(readings, checks, best, self)
        return Result(readings, checks, _panels(readings), conclusion)


Found = tuple[list[Check], list[Reading]]


def _networks(length: int, hidden: int) -> Found:
    """Costates of the modules against torch's gradients, unrolled and fused."""
    checks, readings = [], []
    x = nn.functional.one_hot(torch.randint(RESIDUES, (length,)), RESIDUES).double()
    for kind in (nn.RNN, nn.LSTM):
        module = kind(RESIDUES, hidden, dtype=torch.float64).requires_grad_(False)
        name = f"nn.{kind.__name__}"
        maps = recurrent(module, x)
        start, last = torch.randn(2, hidden * (1 + (kind is nn.LSTM)), dtype=torch.float64)
        states = follow(maps, start)
        found, true = costates(maps, states, last), backpropagated(maps, start, last)
        claim = f"{name}, {length} residues: lambda_t = backpropagation, at every t"
        checks += [Check(claim, _apart(found, true), 2e-14), _fused(name, module, x)]
        units, sizes = scaled(true.flip(0))
        logs, by_torch = log_costates(maps, states, last).flip(0), log_norms(units, sizes.log10())
        readings += curve("log10_costate", name, (logs - logs[0]).tolist())
        readings += curve("log10_backpropagated", name, (by_torch - by_torch[0]).tolist())
    return checks, readings


def _apart(found: Tensor, true: Tensor) -> float:
    """The largest gap of a vector by its largest element; squares of those would underflow."""
    return float(((found - true).abs().amax(dim=1) / true.abs().amax(dim=1)).max())


def _fused(name: str, module: nn.RNNBase, x: Tensor) -> Check:
    """All residues are judged; what torch's own loop sends to the inputs goes by lambda."""
    weight = torch.randn(len(x), module.hidden_size, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    true = torch.autograd.grad(module(leaf)[0], leaf, weight)[0]
    direct = nn.functional.pad(weight, (0, module.hidden_size * isinstance(module, nn.LSTM)))
    maps, start = recurrent(module, x), torch.zeros_like(direct[0])
    states = follow(maps, start)
    direct = torch.cat([start[None], direct])  # of x_0, which nothing judges, to x_T
    found = costates(maps, states, direct[-1], direct[:-1])
    sent = vjp(lambda at: recurrent_step(module, at)(states[:-1]), x)(found[1:])
    return Check(f"{name}, fused: dJ/d input = (dF/d input)^T lambda", _apart(sent, true), 2e-14)


def _swing(steps: int) -> ControlProblem:
    """A pendulum that hangs is to stand, with little energy, by Heun's method."""
    dt = SWING / steps
    target = torch.tensor([math.pi, 0.0], dtype=torch.float64)
    return ControlProblem(
        step=lambda x, u: heun(lambda at: pendulum(at, u), x, dt),
        running=lambda x, u: dt / 2 * (u**2).sum(dim=-1),
        final=lambda x: MISS / 2 * ((x - target) ** 2).sum(dim=-1),
        start=torch.zeros(2, dtype=torch.float64),
    )


def _sensitivities(problem: ControlProblem, steps: int) -> Found:
    """The pendulum under random torques: costates against backpropagation and differences."""
    u, aside = 0.5 * torch.randn(steps, 1, dtype=torch.float64), problem.start + 1
    way = torch.randn_like(u)
    found, by_u = problem.sensitivity(u)
    leaves = [problem.start.clone().requires_grad_(), u.clone().requires_grad_()]
    true = torch.autograd.grad(replace(problem, start=leaves[0]).cost(leaves[1]), leaves)
    checks = [
        Check(f"pendulum: {what} = backpropagation", _apart(one[None], other[None]), 2e-14)
        for what, one, other in (
            ("lambda_0", found.costates[0], true[0]),
            ("dH/du", by_u[:, 0], true[1][:, 0]),
        )
    ]
    readings: list[Reading] = []
    moves: dict[str, tuple[Callable[[float], Tensor], Tensor, Tensor]] = {
        "first state": (
            lambda h: replace(problem, start=problem.start + h * aside).cost(u),
            found.costates[0],
            aside,
        ),
        "torques": (lambda h: problem.cost(u + h * way), by_u, way),
    }
    for where, (cost, gradient, direction) in moves.items():
        size, slope = float(gradient.norm() * direction.norm()), (gradient * direction).sum()
        gaps = [float(((cost(h) - cost(-h)) / (2 * h) - slope).abs()) / size for h in DIFFERENCES]
        readings += curve("difference_error", where, gaps, DIFFERENCES)
        (a, b), (far, near) = gaps[2:4], DIFFERENCES[2:4]
        order = math.log(a / b) / math.log(far / near)
        best = float(torch.tensor(gaps, dtype=torch.float64).min())  # NaN if one is
        checks += [
            Check(f"pendulum, {where}: costate = central difference", best, 1e-8),
            Check(f"pendulum, {where}: their difference falls as h^2", abs(order - 2), 0.05),
        ]
    return checks, readings


def _optimality(problem: ControlProblem, best: Optimum) -> Found:
    """Pontryagin's condition where the descent ended, and the way of the pendulum."""
    slope, first = (
        problem.sensitivity(u)[1].abs().max() for u in (best.controls, 0 * best.controls)
    )
    dt = SWING / len(best.controls)
    times = [k * dt for k in range(len(best.states))]
    middles = [t + dt / 2 for t in times[:-1]]
    pull = -(best.costates[1:, 1] + best.costates[:-1, 1]) / 2
    return [
        Check(
            "pendulum steered by descent: dH/du = 0, of what it is without control",
            float(slope / first),
            1e-7,
        )
    ], [
        *curve("swing", "angle / pi", (best.states[:, 0] / math.pi).tolist(), times),
        *curve("swing", "torque u", best.controls[:, 0].tolist(), middles),
        *curve("swing_costate", "-lambda_2", pull.tolist(), middles),
    ]


class Rates(NamedTuple):
    """Of an RNN, natural logarithms per step.

    Attributes:
        exponents: ``(H,)``.
        log_det: Mean log|det J|.
        rounding: What both may be wrong by: epsilon times the mean condition number of J.
        gradient: By which its norm changes.
    """

    exponents: Tensor
    log_det: float
    rounding: float
    gradient: float


def _rates(module: nn.RNN, x: Tensor, start: Tensor, last: Tensor) -> Rates:
    maps = recurrent(module, x)
    states = follow(maps, start)
    jacobians = amplification(recurrent_step(module, x), states[:-1])
    tangents, basis = [*map(matrix, jacobians)], torch.eye(len(start), dtype=x.dtype)
    logs = log_costates(maps, states, last) * math.log(10)
    return Rates(
        linear_exponents(tangents, basis, TRANSIENT),
        float(torch.linalg.slogdet(jacobians[TRANSIENT:]).logabsdet.mean()),
        torch.finfo(x.dtype).eps * float(torch.linalg.cond(jacobians).mean()),
        float(logs[TRANSIENT] - logs[-1]) / (len(x) - TRANSIENT),
    )


def _stability(sizes: AdjointExperiment) -> Found:
    """Untrained RNNs that read random residues; only the gain of their weights differs."""
    hidden, readings, found = sizes.hidden, list[Reading](), list[Rates]()
    x = nn.functional.one_hot(torch.randint(RESIDUES, (sizes.orbit,)), RESIDUES).double()
    drive = torch.randn(hidden, RESIDUES, dtype=torch.float64)
    weights = torch.randn(hidden, hidden, dtype=torch.float64) / hidden**0.5
    start, last = torch.randn(2, hidden, dtype=torch.float64)
    for gain in sizes.gains:
        module = nn.RNN(RESIDUES, hidden, bias=False, dtype=torch.float64)
        by_input, by_state = module.requires_grad_(False).all_weights[0]
        by_input.copy_(drive)
        by_state.copy_(gain * weights)
        rates = _rates(module, x, start, last)
        found.append(rates)
        mu = float(rates.exponents[0])
        readings += curve("exponent", f"gain {gain:g}", rates.exponents.tolist())
        readings += curve("largest_exponent", "largest Lyapunov exponent", [mu], [gain])
        readings += curve("gradient_slope", "log|lambda|", [rates.gradient], [gain])
        readings += curve("mean_log_det", "log|det J|", [rates.log_det], [gain])
    counted = sizes.orbit - TRANSIENT
    tame = min(found, key=lambda rates: rates.rounding)
    return [
        Check(
            "nn.RNN, the gain whose J are best conditioned: sum of mu_i = mean log|det J|",
            abs(float(tame.exponents.sum()) - tame.log_det),
            tame.rounding,
        ),
        Check(
            f"nn.RNN, {counted} steps: mu_1 = slope of log|lambda| by distance, per step",
            largest([float(rates.exponents[0]) - rates.gradient for rates in found]),
            ENDS / counted,
        ),
    ], readings


def _panels(readings: list[Reading]) -> list[Drawable]:
    def both(probe: str, compared: str, label: str) -> list[Line]:
        return [*lines(readings, probe), *theory(lines(readings, compared), label)]

    differences = lines(readings, "difference_error")
    first = differences[0]
    square = [first.y[0] * (h / first.x[0]) ** 2 for h in first.x]
    return [
        Panel(
            both("log10_costate", "log10_backpropagated", "backpropagation by torch"),
            "residues from the end",
            "log10 of the costate's norm",
            "costates of untrained networks",
        ),
        Panel(
            [*differences, Line("h^2", first.x, square, theory=True)],
            "h, what is moved",
            "relative difference from the costate",
            "pendulum: central differences",
            xlog=True,
            ylog=True,
        ),
        Panel(
            both("swing", "swing_costate", "minus the costate of the speed"),
            "time",
            "angle / pi; torque",
            "pendulum: up with the least energy",
            level=0.0,
        ),
        Panel(
            both("largest_exponent", "gradient_slope", "the gradient, by distance"),
            "gain of the recurrent weights",
            "natural logarithm per step",
            "nn.RNN: stability and gradient",
            level=0.0,
        ),
    ]


def _conclusion(
    readings: Sequence[Reading], checks: Sequence[Check], best: Optimum, sizes: AdjointExperiment
) -> str:
    left = {r.where: r.value for r in readings if r.probe == "log10_costate"}
    mu = {r.index: r.value for r in readings if r.probe == "largest_exponent"}
    slopes = {r.index: r.value for r in readings if r.probe == "gradient_slope"}
    low, high = min(sizes.gains), max(sizes.gains)
    dt = SWING / sizes.controls
    energy = dt / 2 * float((best.controls**2).sum())
    miss = abs(float(best.states[-1, 0]) - math.pi)
    exact = largest([check.error for check in checks if "backpropagation" in check.claim])
    return (
        f"The costate equation gives torch's gradients to {exact:.0e}, through "
        f"{sizes.length} residues that leave 10^{left['nn.RNN']:.0f} of them in an nn.RNN and "
        f"10^{left['nn.LSTM']:.0f} in an nn.LSTM, and descent by it swings a pendulum up to "
        f"{miss:.3f} rad from upright with an energy of {energy:.2f}. "
        f"An nn.RNN's largest Lyapunov exponent is {mu[low]:+.3f} at gain {low:g} and "
        f"{mu[high]:+.3f} at gain {high:g}, and its gradient changes by {slopes[low]:+.3f} and "
        f"{slopes[high]:+.3f} per step, in natural logarithms."
    )
