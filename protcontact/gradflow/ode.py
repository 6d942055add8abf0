"""How do the errors of a solver of differential equations grow?

One step of a solver of ``dx/dt = f(x)`` is a map Psi of the state. On the solution x(t) it makes
the local truncation error tau; the Jacobian Phi of the step, its amplification matrix, hands on the
error that is there already:

    tau_k = Psi(x(t_k)) - x(t_{k+1})        Phi_k = dPsi/dx at x(t_k)
    e_{k+1} = Phi_k e_k + tau_k             e_k = x_k - x(t_k), up to |e_k|^2; exact if f is linear
    g . e_T = sum_k lambda_{k+1} . tau_k    lambda_k = Phi_k^T lambda_{k+1},  lambda_T = g

The third line and the fourth are `linear.scan`, which also propagates the gradients of a network:
there Psi is a layer, and lambda what backpropagation computes. See Hairer, Norsett and Wanner 1993.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from protcontact.gradflow.adjoint import backwards
from protcontact.gradflow.linear import matrix, scan
from protcontact.gradflow.systems import Map, follow

Step = Callable[[Map, Tensor, float], Tensor]  # f, x, time step -> x one step later
NEWTON = 50  # iterations; it doubles the digits at each, near the root


def euler(f: Map, x: Tensor, dt: float) -> Tensor:
    """``x + dt f(x)``."""
    return x + dt * f(x)


def heun(f: Map, x: Tensor, dt: float) -> Tensor:
    """Mean of the slopes at the start and at the end of an Euler step."""
    slope = f(x)
    return x + dt / 2 * (slope + f(x + dt * slope))


def rk4(f: Map, x: Tensor, dt: float) -> Tensor:
    """The classical method of Runge and Kutta."""
    first = f(x)
    second = f(x + dt / 2 * first)
    third = f(x + dt / 2 * second)
    fourth = f(x + dt * third)
    return x + dt / 6 * (first + 2 * second + 2 * third + fourth)


def implicit_euler(f: Map, x: Tensor, dt: float) -> Tensor:
    """The y with ``y = x + dt f(y)``. An ArithmeticError if Newton's method does not find it."""
    return _newton(f, x, x, dt)


def crank_nicolson(f: Map, x: Tensor, dt: float) -> Tensor:
    """The y with ``y = x + dt (f(x) + f(y)) / 2``. An ArithmeticError as in `implicit_euler`."""
    return _newton(f, x, x + dt / 2 * f(x), dt / 2)


def advance(step: Step, f: Map, dt: float, x: Tensor) -> Tensor:
    """One step, with the state last: ``partial(advance, rk4, f, dt)`` is a map."""
    return step(f, x, dt)


def _newton(f: Map, x: Tensor, known: Tensor, dt: float) -> Tensor:
    """The y with ``y = known + dt f(y)``, and its derivative by the implicit function theorem.

    The iteration keeps no derivative. Its last step does, by `known` and by parameters of f, with
    the Jacobian held: ``dy = (1 - dt df/dx)^-1 (dknown + dt df)``.

    Raises:
        ArithmeticError: If it does not converge.
    """
    y, target = x.detach(), known.detach()
    close = torch.finfo(y.dtype).eps ** 0.5  # the step after that has all digits
    for _ in range(NEWTON):
        change = _solve(f, y, target + dt * f(y).detach() - y, dt)
        y = y + change
        size = torch.maximum(_norm(y), _norm(target))
        if bool((_norm(change) <= close * size).all()):
            return y + _solve(f, y, known + dt * f(y) - y, dt)
    raise ArithmeticError(
        f"Newton's method did not find an implicit step from states up to "
        f"{float(x.abs().max()):.3g} in {NEWTON} iterations; take smaller ones"
    )


def _solve(f: Map, y: Tensor, residual: Tensor, dt: float) -> Tensor:
    jacobian = amplification(f, y).detach()
    identity = torch.eye(y.shape[-1], dtype=y.dtype)
    return torch.linalg.solve(identity - dt * jacobian, residual[..., None])[..., 0]


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1)


class Method(NamedTuple):
    """A solver.

    Attributes:
        name: Of its line in a figure.
        step: Of it.
        order: p: the global error falls as dt^p.
        factor: The closed form of R(z), by which a step multiplies the solution of
            ``dx/dt = lambda x``, z = lambda dt.
        formula: The same in words.
    """

    name: str
    step: Step
    order: int
    factor: Map
    formula: str


METHODS = (
    Method("Euler", euler, 1, lambda z: 1 + z, "1 + z"),
    Method("Heun", heun, 2, lambda z: 1 + z + z**2 / 2, "1 + z + z^2/2"),
    Method(
        "RK4",
        rk4,
        4,
        lambda z: 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24,
        "1 + z + z^2/2 + z^3/6 + z^4/24",
    ),
    Method("implicit Euler", implicit_euler, 1, lambda z: 1 / (1 - z), "1/(1 - z)"),
    Method(
        "Crank-Nicolson",
        crank_nicolson,
        2,
        lambda z: (1 + z / 2) / (1 - z / 2),
        "(1 + z/2)/(1 - z/2)",
    ),
)


def amplification(step: Map, x: Tensor) -> Tensor:
    """``(..., n) -> (..., n, n)``: the Jacobian of a map at many states at once.

    Each state is copied n times, and each copy is asked for one row by backpropagation: forward
    derivatives cost three times as much where a function has constants in it. The map must treat
    each state by itself, and return what it is given the shape of.
    """
    n = x.shape[-1]
    copies = x.expand(n, *x.shape).clone()
    rows = torch.eye(n, dtype=x.dtype).view(n, *[1] * (x.dim() - 1), n).expand_as(copies)
    back = torch.func.vjp(step, copies)[1](rows.contiguous())[0]
    return back.conj().movedim(0, -2)  # torch's complex gradients are conjugates


def stability(step: Step, z: Tensor, count: int = 1) -> Tensor:
    """By what a solver multiplies ``x = 1`` of ``dx/dt = lambda x``, z = lambda dt: its R(z).

    From the derivative of its steps, not from a formula.

    Args:
        step: Of the solver.
        z: ``(...)``, real or complex.
        count: Steps that are taken, for ``R(z)^count``.

    Returns:
        ``(...)``.
    """
    once = partial(advance, step, lambda x: z[..., None] * x, 1.0)
    return amplification(lambda x: follow([once] * count, x)[-1], torch.ones_like(z[..., None]))[
        ..., 0, 0
    ]


def local_errors(step: Map, solution: Tensor) -> Tensor:
    """``(T + 1, ..., n) -> (T, ..., n)``: what a step from the solution misses it by."""
    return step(solution[:-1]) - solution[1:]


def propagated(phi: Tensor, tau: Tensor) -> Tensor:
    """The global error that local errors add up to: ``(T, n, n), (T, n) -> (T + 1, n)``."""
    return scan(torch.zeros_like(tau[0]), map(matrix, phi), tau)


def weights(phi: Tensor, cotangent: Tensor) -> Tensor:
    """How much each error matters to ``cotangent . e_T``: ``(T, n, n), (n,) -> (T + 1, n)``.

    The costates lambda_k. An error made at step k, tau_k, counts with lambda_{k+1}.
    """
    return backwards([matrix(back) for back in phi.mT], cotangent)


class ErrorFlow(NamedTuple):
    """The global error of a solver, and what it is made of.

    Attributes:
        measured: ``(T + 1, n)``, e_k = x_k - x(t_k).
        local: ``(T, n)``, tau_k.
        phi: ``(T, n, n)``, the amplification matrices.
        propagated: ``(T + 1, n)``, e_k from `local` and `phi` alone.
    """

    measured: Tensor
    local: Tensor
    phi: Tensor
    propagated: Tensor

    @property
    def error(self) -> float:
        """The largest norm of the global error."""
        return float(self.measured.norm(dim=-1).max())

    @property
    def remainder(self) -> float:
        """The largest norm of what the propagated local errors miss of it."""
        return float((self.measured - self.propagated).norm(dim=-1).max())


def error_flow(
    step: Map, numeric: Tensor, solution: Tensor, around: Tensor | None = None
) -> ErrorFlow:
    """Take the global error of a solver apart.

    Args:
        step: Of the solver, for T states at once ``(..., T, n)``.
        numeric: ``(T + 1, n)``, what the solver has made.
        solution: ``(T + 1, n)``, what it should have made.
        around: ``(T, n)``, where to take the Jacobians; the solution by default.
    """
    tau = local_errors(step, solution)
    phi = amplification(step, solution[:-1] if around is None else around)
    return ErrorFlow(numeric - solution, tau, phi, propagated(phi, tau))
