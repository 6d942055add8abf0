"""One equation carries gradients, the errors of an ODE solver and the costates of a control.

    v_k = A_k v_{k-1} + s_k

Backpropagation: v is the costate, counted from the last step backwards, ``A_k`` the transposed
Jacobian of a step and ``s_k`` what the loss sends to it directly. An ODE solver: v is the global
error, ``A_k`` the Jacobian of a step of the solver (its amplification matrix) and ``s_k`` the local
truncation error. Whether ``A_T ... A_1`` vanishes or explodes decides all of them.

A map ``A_k`` is a function of a tensor, linear and never formed as a matrix unless it is one.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

LinearMap = Callable[[Tensor], Tensor]


def scan(
    start: Tensor, maps: Iterable[LinearMap], sources: Iterable[Tensor] | None = None
) -> Tensor:
    """``v_0 = start``, then ``v_k = A_k v_{k-1} + s_k``.

    Args:
        start: ``(...)``.
        maps: T linear maps of such a tensor to such a tensor.
        sources: T such tensors; none for 0.

    Returns:
        ``(T + 1, ...)``. A different number of sources than of maps is a ValueError.
    """
    return torch.stack(list(steps(start, maps, sources)))


def steps(
    start: Tensor, maps: Iterable[LinearMap], sources: Iterable[Tensor] | None = None
) -> Iterator[Tensor]:
    """`scan`, one v after the other.

    Yields:
        ``v_0 ... v_T``.
    """
    v = start
    yield v
    if sources is None:
        for step in maps:
            v = step(v)
            yield v
    else:
        for step, source in zip(maps, sources, strict=True):
            v = step(v) + source
            yield v


def scan_scaled(start: Tensor, maps: Iterable[LinearMap]) -> tuple[Tensor, Tensor]:
    """`scan` for what falls below the smallest float, or rises above the largest.

    The recurrence is linear: v is divided by a power of 2 at each step, which costs no digit, and
    the powers are added up, which are whole numbers. So the direction is as exact as ever, and the
    logarithm is rounded once.

    Args:
        start: ``(..., n)``; each vector has a scale of its own.
        maps: As in `scan`, without sources.

    Returns:
        ``(T + 1, ..., n)``, v divided by its scale, and ``(T + 1, ...)`` float64, log10 of the
        scale: ``v = first * 10 ** second``. A scale of 0 has the logarithm -inf.
    """
    unit, size = scaled(start)
    units, sizes = [unit], [size]
    for step in maps:
        unit, size = scaled(step(unit))
        units.append(unit)
        sizes.append(size)
    powers = torch.stack(sizes).double().log2().cumsum(dim=0)
    return torch.stack(units), powers * math.log10(2)


def log_norms(units: Tensor, scales: Tensor) -> Tensor:
    """``(..., n), (...) -> (...)`` float64: log10 of the norms, from `scan_scaled`."""
    return scales + torch.linalg.vector_norm(units, dim=-1, dtype=torch.float64).log10()


def matrix(values: Tensor) -> LinearMap:
    """``(m, n)``: the map ``v -> A v`` of ``(..., n)``."""
    return lambda v: v @ values.mT


def jvp(function: LinearMap, x: Tensor) -> LinearMap:
    """The Jacobian of a function at x, ``v -> J v``, by forward differentiation."""
    return lambda v: torch.func.jvp(function, (x,), (v,))[1]


def vjp(function: LinearMap, x: Tensor) -> LinearMap:
    """The transposed Jacobian of a function at x, ``v -> J^T v``, by backpropagation.

    The graph is made once and may be asked again.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = function(leaf)
    if not y.requires_grad:
        return lambda v: torch.zeros_like(x)
    return lambda v: torch.autograd.grad(y, leaf, v, retain_graph=True, materialize_grads=True)[0]


def dense(step: LinearMap, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """``(m, n)``: the matrix of a map of ``(n,)``, column by column."""
    return torch.stack([step(column) for column in torch.eye(n, dtype=dtype)], dim=1)


def scaled(v: Tensor) -> tuple[Tensor, Tensor]:
    """``(..., n) -> (..., n), (...)``: v by its scale, so that no digit is lost, and the scale.

    The scale is the power of 2 that leaves a largest element in [1, 2); 0 where v is 0.
    """
    size = v.abs().amax(dim=-1, keepdim=True)
    mantissa, _ = size.frexp()
    scale = torch.where(size == 0, 0.0, size / (2 * mantissa))  # a quotient without a remainder
    return v / torch.where(size == 0, 1.0, scale), scale[..., 0]
