"""What is a gradient, to a discrete system? The costate of optimal control.

A system ``x_{t+1} = F_t(x_t)`` that is judged by ``J = sum_t L_t(x_t)`` has

    lambda_T = dL_T/dx_T            lambda_t = (dF_t/dx)^T lambda_{t+1} + dL_t/dx_t

and lambda_t is ``dJ / dx_t``, the sensitivity of all that follows to the state at t. With F_t the
layers or time steps of a network this is backpropagation (LeCun 1988); with F_t the steps of a
solver it is the adjoint of the differential equation, or of a controlled system (`control`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from protcontact.gradflow.linear import LinearMap, log_norms, scan, scan_scaled, vjp
from protcontact.gradflow.systems import Map


def costates(
    maps: Sequence[Map], states: Tensor, last: Tensor, direct: Tensor | None = None
) -> Tensor:
    """The costate at each time.

    Args:
        maps: T functions of ``(..., n)``.
        states: ``(T + 1, ..., n)``, x_0 and what they made of it; another number is a ValueError.
        last: ``(..., n)``, ``dL_T / dx_T``.
        direct: ``(T, ..., n)``, ``dL_t / dx_t`` for t = 0 ... T - 1; none for 0.

    Returns:
        ``(T + 1, ..., n)``: lambda_0 ... lambda_T.
    """
    back = [vjp(step, x) for step, x in zip(maps, states[:-1], strict=True)]
    return backwards(back, last, direct)


def backwards(back: Sequence[LinearMap], last: Tensor, direct: Tensor | None = None) -> Tensor:
    """`costates`, if the transposed Jacobians are known.

    Args:
        back: T of them, that of the first step first.
        last: As in `costates`.
        direct: As in `costates`.

    Returns:
        As `costates`.
    """
    sources = None if direct is None else direct.flip(0)
    return scan(last, reversed(back), sources).flip(0)


def log_costates(maps: Sequence[Map], states: Tensor, last: Tensor) -> Tensor:
    """log10 of the norm of each costate of what is judged at the end alone, however small.

    Args:
        maps: As in `costates`.
        states: As in `costates`.
        last: As in `costates`.

    Returns:
        ``(T + 1, ...)`` float64, for t = 0 ... T.
    """
    back = [vjp(step, x) for step, x in zip(maps, states[:-1], strict=True)]
    return log_norms(*scan_scaled(last, reversed(back))).flip(0)


def backpropagated(maps: Sequence[Map], start: Tensor, last: Tensor) -> Tensor:
    """What `costates` must equal: torch's gradients at all states, through the unrolled system.

    Args:
        maps: As in `costates`.
        start: ``(..., n)``, x_0.
        last: As in `costates`.

    Returns:
        ``(T + 1, ..., n)``.
    """
    with torch.enable_grad():
        states = [start.detach().requires_grad_()]
        for step in maps:
            states.append(step(states[-1]))
    return torch.stack(torch.autograd.grad(states[-1], states, last))
