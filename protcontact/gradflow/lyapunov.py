"""Does a recurrence forget or amplify what disturbs it? Its Lyapunov exponents.

The product ``J_T ... J_1`` of the Jacobians of the steps has, for large T, singular values
``exp(mu_i T)``. Its columns all turn into the direction of the first, so they are made orthogonal
again at each step, ``J_k Q_{k-1} = Q_k R_k`` (Benettin et al. 1980):

    mu_i = mean of log |R_ii|        sum_i mu_i = mean of log |det J|

The gradient through time is multiplied by the transposes of the same matrices. So at the largest
exponent it grows, or vanishes, per step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from protcontact.gradflow.linear import LinearMap, jvp
from protcontact.gradflow.systems import Map


def exponents(
    maps: Sequence[Map], states: Tensor, transient: int = 0, count: int | None = None
) -> Tensor:
    """The Lyapunov exponents of a system along one of its orbits, natural logarithm per step.

    Args:
        maps: T functions of ``(..., n)``.
        states: ``(T + 1, n)``, the orbit, from `systems.follow`; another number is a ValueError. A
            chaotic orbit is another if its rounding is, so all that is to be compared must be
            measured along the same.
        transient: The first steps, which turn Q but are not counted.
        count: How many, the largest first; all n by default.

    Returns:
        As `linear_exponents`, which also says what it refuses.
    """
    tangents = [_tangent(step, x) for step, x in zip(maps, states[:-1], strict=True)]
    return linear_exponents(tangents, first_directions(states), transient, count)


def first_directions(states: Tensor) -> Tensor:
    """``(..., n) -> (n, n)``, orthogonal: where `exponents` begins, the same at each call.

    At random, as the first axes may be of a part of the state that says nothing of the rest: h of
    an LSTM whose gates do not read it.
    """
    n, generator = states.shape[-1], torch.Generator().manual_seed(0)
    values = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(values)[0].to(states.dtype)


def _tangent(step: Map, x: Tensor) -> LinearMap:
    """Of as many rows as it is given."""
    return lambda rows: jvp(step, x.expand_as(rows).clone())(rows)


def linear_exponents(
    tangents: Sequence[LinearMap], basis: Tensor, transient: int = 0, count: int | None = None
) -> Tensor:
    """`exponents`, if the Jacobians are known: ``map(matrix, jacobians)``.

    Args:
        tangents: T linear maps of rows ``(count, n)``.
        basis: ``(n, n)``, orthogonal; its first rows are where the directions begin.
        transient: As in `exponents`.
        count: As in `exponents`.

    Returns:
        ``(count,)``, in the order of the directions: falling, up to what T leaves uncertain. Where
        Jacobians are singular -inf, or what rounding leaves of it: below -30.

    Raises:
        ValueError: If there are not so many exponents, or no step is left after the transient.
    """
    n = len(basis)
    count = n if count is None else count
    if not 1 <= count <= n:
        raise ValueError(f"a state of {n} has 1 ... {n} exponents, not {count}")
    if not 0 <= transient < len(tangents):
        raise ValueError(f"a transient of {transient} leaves none of {len(tangents)} steps")
    directions = basis[:count]
    stretches = []
    for tangent in tangents:
        q, r = torch.linalg.qr(tangent(directions).mT)
        directions = q.mT
        stretches.append(r.diagonal().abs().log())
    return torch.stack(stretches[transient:], dim=1).mean(dim=1)
