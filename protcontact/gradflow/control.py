"""How is a system steered to a target at the least cost? With the costate, by Pontryagin.

    x_{k+1} = F(x_k, u_k)        J(u) = sum_k L(x_k, u_k) + E(x_N)
    H_k = L(x_k, u_k) + lambda_{k+1} . F(x_k, u_k)
    lambda_k = dH_k/dx           lambda_N = dE/dx_N            dJ/du_k = dH_k/du, 0 at the optimum

The controls are the weights of a network of N layers, J is its loss, and the gradient is found in
one pass forward and one back (Pontryagin et al. 1962).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from protcontact.gradflow.adjoint import backwards
from protcontact.gradflow.linear import matrix, vjp
from protcontact.gradflow.ode import amplification
from protcontact.gradflow.systems import Map, follow


class Optimum(NamedTuple):
    """Controls ``(N, m)``, states ``(N + 1, n)`` and costates ``(N + 1, n)``."""

    controls: Tensor
    states: Tensor
    costates: Tensor


@dataclass(frozen=True)
class ControlProblem:
    """A system, what it costs, and where it starts.

    Attributes:
        step: F, ``(..., n), (..., m) -> (..., n)``.
        running: L, ``(..., n), (..., m) -> (...)``.
        final: E, ``(..., n) -> (...)``.
        start: ``(n,)``, x_0.
    """

    step: Callable[[Tensor, Tensor], Tensor]
    running: Callable[[Tensor, Tensor], Tensor]
    final: Map
    start: Tensor

    def states(self, controls: Tensor) -> Tensor:
        """``(N, m) -> (N + 1, n)``: where the controls lead."""
        return follow((partial(self._under, u) for u in controls), self.start)

    def _under(self, u: Tensor, x: Tensor) -> Tensor:
        return self.step(x, u)

    def cost(self, controls: Tensor, states: Tensor | None = None) -> Tensor:
        """``(N, m) -> ()``: J; the states are followed unless they are known."""
        x = self.states(controls) if states is None else states
        return self.running(x[:-1], controls).sum() + self.final(x[-1])

    def sensitivity(self, controls: Tensor) -> tuple[Optimum, Tensor]:
        """States and costates under controls ``(N, m)``, optimal or not, and ``dH_k/du (N, m)``."""
        x = self.states(controls)
        ones = x.new_ones(len(controls))
        direct = vjp(lambda at: self.running(at, controls), x[:-1])(ones)
        last = vjp(self.final, x[-1])(ones[0])
        phi = amplification(lambda at: self.step(at, controls), x[:-1])  # of all steps at once
        found = backwards([matrix(back) for back in phi.mT], last, direct)
        by_running = vjp(lambda u: self.running(x[:-1], u), controls)(ones)
        by_step = vjp(lambda u: self.step(x[:-1], u), controls)(found[1:])
        return Optimum(controls, x, found), by_running + by_step

    def solve(self, controls: Tensor, iterations: int = 500) -> Optimum:
        """Descend from controls ``(N, m)`` by L-BFGS, with the costates' gradient, to a minimum.

        Args:
            controls: Where to begin.
            iterations: At most; it stops before that where rounding ends the descent.

        Returns:
            Where it ended: look at `sensitivity` to see whether dH/du is 0 there.
        """
        u = controls.clone().requires_grad_()
        scale = 1e6  # of J: torch's L-BFGS forgets a step along which its gradient gains < 1e-10
        smallest = torch.finfo(u.dtype).tiny
        optimizer = torch.optim.LBFGS(
            [u],
            max_iter=iterations,
            max_eval=2 * iterations,
            history_size=len(controls),
            tolerance_grad=smallest,
            tolerance_change=smallest,
            line_search_fn="strong_wolfe",
        )

        def closure() -> float:
            found, gradient = self.sensitivity(u.detach())
            u.grad = scale * gradient
            return scale * float(self.cost(found.controls, found.states))

        optimizer.step(closure)
        return self.sensitivity(u.detach())[0]


def linear_quadratic(
    A: Tensor, B: Tensor, energy: float, final: Tensor, start: Tensor, target: Tensor, steps: int
) -> Optimum:
    """The optimum in closed form, of a linear step and a cost that is quadratic.

    ``F = A x + B u``, ``J = energy / 2 sum |u_k|^2 + (x_N - target) . final (x_N - target) / 2``.
    States, controls and multipliers are the solution of one dense linear system, the conditions of
    Karush, Kuhn and Tucker; the multiplier of the k-th step is lambda_k.

    Args:
        A: ``(n, n)``.
        B: ``(n, m)``.
        energy: Of a control, > 0.
        final: ``(n, n)``, symmetric.
        start: ``(n,)``.
        target: ``(n,)``.
        steps: N.
    """
    n, m = B.shape
    # unknowns x_1 ... x_N, u_0 ... u_{N-1}, lambda_1 ... lambda_N
    dynamics = torch.eye(n * steps, dtype=A.dtype)
    for k in range(1, steps):
        dynamics[n * k : n * (k + 1), n * (k - 1) : n * k] = -A
    inputs = torch.block_diag(*[B] * steps)
    curvature, none = torch.zeros(2, n * steps, n * steps, dtype=A.dtype)
    curvature[-n:, -n:] = final
    cross = torch.zeros_like(inputs)
    weight = energy * torch.eye(m * steps, dtype=A.dtype)
    rows = [
        torch.cat([curvature, cross, -dynamics.mT], dim=1),  # dH_k/dx = lambda_k
        torch.cat([cross.mT, weight, inputs.mT], dim=1),  # dH_k/du = 0
        torch.cat([dynamics, -inputs, none], dim=1),  # x_{k+1} - A x_k - B u_k = 0
    ]
    right = torch.zeros((2 * n + m) * steps, dtype=A.dtype)
    right[n * (steps - 1) : n * steps] = final @ target
    right[(n + m) * steps :][:n] = A @ start
    found = torch.linalg.solve(torch.cat(rows), right)
    x, u, multipliers = found.split([n * steps, m * steps, n * steps])
    states = torch.cat([start[None], x.view(steps, n)])
    after = multipliers.view(steps, n)
    return Optimum(u.view(steps, m), states, torch.cat([(A.mT @ after[0])[None], after]))
