"""What do the errors of an ODE solver have in common with the gradients of a network?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from protcontact.figures.panels import Drawable, Line, Panel, Regions
from protcontact.gradflow.adjoint import backpropagated
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
from protcontact.gradflow.linear import matrix, scan
from protcontact.gradflow.ode import (
    METHODS,
    ErrorFlow,
    advance,
    error_flow,
    euler,
    rk4,
    stability,
    weights,
)
from protcontact.gradflow.ode_checks import (
    amplification_checks,
    complex_plane,
    linear_checks,
    skew_check,
)
from protcontact.gradflow.rnn_ode import RecurrentEquation
from protcontact.gradflow.systems import (
    Map,
    follow,
    lorenz,
    recurrent,
    recurrent_step,
    van_der_pol,
)

FINE = 8  # steps of RK4 in the shortest step of a solver, for the solution
FINEST = 100  # steps of the shortest run, at least
CLEAR = 1e-11  # what a remainder must be above, to be far above rounding
RESIDUES = 20  # kinds of them
PARTS = (1, 2, 4, 8, 16)  # steps of Euler's method to a residue
AXIS = 80  # points of its axes that are readings
BACK, ON = "gradient, back from the end", "first local error, on to the end"


class Problem(NamedTuple):
    """A nonlinear equation, where it starts, and for how long it is followed."""

    name: str
    field: Map
    start: tuple[float, ...]
    duration: float

    def solution(self, steps: int) -> Tensor:
        """``(steps + 1, n)``, by RK4 at a fraction of the step."""
        fine = partial(advance, rk4, self.field, self.duration / (steps * FINE))
        start = torch.tensor(self.start, dtype=torch.float64)
        return follow([fine] * (steps * FINE), start)[::FINE]


PROBLEMS = (
    Problem("van der Pol", van_der_pol(), (2.0, 0.0), 5.0),
    Problem("Lorenz", lorenz(), (5.0, 5.0, 20.0), 0.5),
)
Flows = dict[str, list[ErrorFlow]]  # of each solver: at the coarsest step, at half of it, ...


@dataclass(frozen=True)
class OdeExperiment(Experiment):
    """Five solvers, their errors and amplification, and an RNN read as one of them."""

    title: ClassVar = "The errors of an ODE solver travel as gradients do, by the same equation"
    formula: ClassVar = (
        "e_{k+1} = Phi_k e_k + tau_k        forward: the global error of a solver\n"
        "lambda_k = Phi_k^T lambda_{k+1}    backward: the gradient of a network\n"
        "g . e_T = sum_k lambda_{k+1} . tau_k,  lambda_T = g\n"
        "dx/dt = c x, z = c dt:  Phi = R(z), stable where |R(z)| <= 1"
    )
    explanation: ClassVar = (
        "A solver of a differential equation makes a small error in each of its steps, the local "
        "truncation error tau, and every later step multiplies it by its Jacobian Phi, the "
        "amplification matrix. Whether the product of these matrices shrinks or grows decides "
        "whether the solver is stable, just as it decides whether the gradient of a network "
        "vanishes or explodes. A recurrent network is itself Euler's method with a step of 1, for "
        "dh/dt = RNN(h, x) - h, and backpropagation computes how much an error made at a residue "
        "matters at the end of the chain. One function of the package, linear.scan, adds up the "
        "errors of the solvers here and the gradients of the networks in all sections."
    )
    source: ClassVar = (
        "Hairer, Norsett and Wanner 1993; networks as solvers: Haber and Ruthotto 2017, Chen et "
        "al. 2018"
    )

    steps: int = size(25, "steps of the coarsest run of a solver")
    halvings: int = size(4, "how often that step is halved")
    grid: int = size(160, "points along an axis of the complex plane", least=20)
    hidden: int = size(32, "units of the RNN", least=8)
    residues: int = size(60, "residues that it reads", least=8)

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: If one is out of its range.
        """
        super().__post_init__()
        if self.steps * 2**self.halvings < FINEST:
            raise ValueError(
                f"steps * 2^halvings must be >= {FINEST}, where the order of a solver shows; not "
                f"{self.steps} and {self.halvings}"
            )

    def measure(self) -> Result:
        """Nonlinear and linear equations, the complex plane, and an RNN."""
        flows = {p.name: _flows(p, self.steps, self.halvings) for p in PROBLEMS}
        readings = [r for p in PROBLEMS for r in _error_readings(p, flows[p.name])]
        network = _network(self.hidden, self.residues)
        flows["the equation of an nn.RNN"] = _network_flows(network)
        exact, travels = _travels(network, torch.randn(self.hidden, dtype=torch.float64))
        checks = [
            *linear_checks(),
            *(_first_order(name, found) for name, found in flows.items()),
            _halfway(PROBLEMS[1], self.steps),
            _orders(flows[PROBLEMS[0].name]),
            *amplification_checks(),
            skew_check(),
            *exact,
        ]
        axes, regions = _plane(self.grid)
        readings += [*travels, *axes]
        return Result(
            readings,
            checks,
            [regions, *_panels(readings)],
            _conclusion(readings, flows, checks[0].error, self),
        )


def _flows(problem: Problem, steps: int, halvings: int) -> Flows:
    finest = 2**halvings
    solution = problem.solution(steps * finest)
    found: Flows = {method.name: [] for method in METHODS}
    for method in METHODS:
        for parts in (2**halved for halved in range(halvings + 1)):
            step = partial(advance, method.step, problem.field, problem.duration / (steps * parts))
            exact = solution[:: finest // parts]
            numeric = follow([step] * (steps * parts), exact[0])
            found[method.name].append(error_flow(step, numeric, exact))
    return found


def _error_readings(problem: Problem, flows: Flows) -> list[Reading]:
    readings: list[Reading] = []
    for name, found in flows.items():
        where = f"{problem.name}, {name}"
        dts = [problem.duration / len(flow.local) for flow in found]
        finest = found[-1]
        times = [k * dts[-1] for k in range(len(finest.measured))]
        for probe, e in (("error", finest.measured), ("propagated", finest.propagated)):
            readings += curve(f"log10_{probe}", where, e.norm(dim=1).log10().tolist(), times)
        readings += curve("largest_error", where, [flow.error for flow in found], dts)
        readings += curve("remainder", where, [flow.remainder for flow in found], dts)
    return readings


def _exponents(flows: Flows) -> list[float]:
    """The power of the error that the remainder falls with, of each solver far above rounding."""
    found = []
    for runs in flows.values():
        clear = [run for run in runs if not run.remainder <= CLEAR]  # NaN is told
        if len(clear) > 1:
            a, b = clear[-2:]
            found.append(math.log(a.remainder / b.remainder) / math.log(a.error / b.error))
    return found


def _first_order(name: str, flows: Flows) -> Check:
    worst = largest([exponent - 2 for exponent in _exponents(flows)])
    return Check(f"{name}, step halved: remainder falls as |e|^2, exponent", worst, 0.2)


def _orders(flows: Flows) -> Check:
    found = [[flow.error for flow in flows[method.name][-2:]] for method in METHODS]
    gaps = [math.log2(a / b) - m.order for m, (a, b) in zip(METHODS, found, strict=True)]
    names = ", ".join(str(method.order) for method in METHODS)
    return Check(f"{PROBLEMS[0].name}, step halved: |e| falls as dt^{names}", largest(gaps), 0.1)


def _halfway(problem: Problem, steps: int) -> Check:
    """An Euler step of a quadratic field is quadratic: its Jacobian in the middle is the secant."""
    step = partial(advance, euler, problem.field, problem.duration / steps)
    exact = problem.solution(steps)
    numeric = follow([step] * steps, exact[0])
    flow = error_flow(step, numeric, exact, around=(numeric[:-1] + exact[:-1]) / 2)
    return Check(
        f"{problem.name}, Euler, Phi halfway between x(t_k) and x_k: no remainder",
        flow.remainder / flow.error,
        1e-12,
    )


def _network(hidden: int, residues: int) -> RecurrentEquation:
    """An untrained RNN, recurrent weights as Xavier's, that reads random residues."""
    module = nn.RNN(RESIDUES, hidden, dtype=torch.float64).requires_grad_(False)
    by_input, by_state = module.all_weights[0][:2]
    nn.init.normal_(by_input)
    nn.init.normal_(by_state, std=hidden**-0.5)
    x = nn.functional.one_hot(torch.randint(RESIDUES, (residues,)), RESIDUES).double()
    return RecurrentEquation(module, x, torch.zeros(hidden, dtype=torch.float64))


def _network_flows(network: RecurrentEquation) -> Flows:
    finest = max(PARTS)
    solution = network.solution(finest)
    return {"Euler": [network.euler_errors(solution[:: finest // n], n) for n in PARTS]}


def _travels(network: RecurrentEquation, cotangent: Tensor) -> tuple[list[Check], list[Reading]]:
    """A gradient on its way back, and an error on its way forward, through the module itself."""
    maps = recurrent(network.module, network.x)
    states = follow(maps, network.start)
    each = recurrent_step(network.module, network.x)
    flow = error_flow(each, states, network.solution(), around=states[:-1])
    back, true = weights(flow.phi, cotangent), backpropagated(maps, network.start, cotangent)
    first = scan(flow.local[0], map(matrix, flow.phi[1:]))
    solver = follow(network.steps(euler), network.start)[1:]
    output = network.module(network.x, network.start[None])[0]
    shares, added = (true[1:] * flow.local).sum(dim=1), cotangent @ flow.propagated[-1]
    checks = [
        Check(
            "nn.RNN: its states = Euler's, dt = 1, of dh/dt = RNN(h, x) - h",
            float((solver - output).abs().max()),
            1e-14,
        ),
        Check(
            "nn.RNN: linear.scan of Phi^T = backpropagation, at every residue",
            float(((back - true).norm(dim=1) / true.norm(dim=1)).max()),
            1e-15 * max(len(maps), 100),  # of each step its rounding
        ),
        Check(
            "nn.RNN: g . e_T by linear.scan = sum_k tau_k . backpropagated gradient",
            float((added - shares.sum()).abs() / shares.abs().sum()),
            1e-13,
        ),
    ]
    return checks, [
        *curve("log10_travel", BACK, _relative(back.flip(0))),
        *curve("log10_travel", ON, _relative(first)),
        *curve("log10_backpropagated", "nn.RNN", _relative(true.flip(0))),
    ]


def _relative(values: Tensor) -> list[float]:
    logs = values.norm(dim=1).log10()
    return (logs - logs[0]).tolist()


def _plane(points: int) -> tuple[list[Reading], Regions]:
    """``|R|`` along both axes, and over the plane."""
    z, axis = complex_plane(points), complex_plane(AXIS).real[0]
    readings: list[Reading] = []
    for method in METHODS:
        for probe, unit in (("real_axis", 1), ("imaginary_axis", 1j)):
            size = stability(method.step, axis * unit).abs().tolist()
            readings += curve(f"amplification_{probe}", method.name, size, axis.tolist())
    return readings, Regions(
        z.real[0].tolist(),
        z.imag[:, 0].tolist(),
        {method.name: stability(method.step, z).abs().numpy() for method in METHODS},
        "real part of z = c dt",
        "imaginary part of z",
        "|R(z)| = 1; each is stable on the side of z = -1",
    )


def _panels(readings: list[Reading]) -> list[Drawable]:
    name = PROBLEMS[0].name
    measured, added, sizes = (
        [line for line in lines(readings, probe) if line.label.startswith(name)]
        for probe in ("log10_error", "log10_propagated", "largest_error")
    )
    dt = sizes[0].x[-1]
    logs = [Line(s.label.removeprefix(f"{name}, "), _logs(s.x), _logs(s.y)) for s in sizes]
    by_torch = lines(readings, "log10_backpropagated")
    return [
        Panel(
            [*(replace(line, label="") for line in measured), *theory(added, "propagated errors")],
            "time",
            "log10 of the global error's norm",
            f"{name}: errors of the same solvers, dt = {dt:.3g}",
        ),
        Panel(
            [*logs, *theory(_slopes(logs), "slopes 1, 2, 4")],
            "log10 of dt, the length of a step",
            "log10 of the largest global error",
            f"{name}: errors by the length of a step",
        ),
        Panel(
            [*lines(readings, "log10_travel"), *theory(by_torch, "backpropagation by torch")],
            "residues travelled",
            "log10 of the norm that is left",
            "through an nn.RNN, which is Euler's method",
        ),
    ]


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log10(value) for value in values]


def _slopes(logs: Sequence[Line]) -> list[Line]:
    """Through the errors of the first three at the shortest step."""
    return [
        Line("", line.x, [line.y[-1] + method.order * (dt - line.x[-1]) for dt in line.x])
        for method, line in zip(METHODS[:3], logs, strict=False)
    ]


def _conclusion(
    readings: Sequence[Reading], flows: dict[str, Flows], linear: float, sizes: OdeExperiment
) -> str:
    exponents = [e for found in flows.values() for e in _exponents(found)]
    last = {r.where: r.value for r in readings if r.probe == "log10_travel"}
    return (
        "On linear equations the propagated local errors of five solvers add up to the global "
        f"error, to {linear:.0e} of it; on nonlinear ones ({', '.join(flows)}) what they miss "
        f"falls as the error to the power {min(exponents):.2f} ... {max(exponents):.2f} when the "
        "step is halved, where first order means 2. "
        f"Read as Euler's method, an nn.RNN of {sizes.hidden} units leaves 10^{last[ON]:.1f} of "
        f"its first local error at the end of {sizes.residues} residues, and 10^{last[BACK]:.1f} "
        "of the gradient that comes back over them, by the same function."
    )
