"""Which systems do errors and gradients run through here?

A differential equation ``dx/dt = f(x)`` is its right-hand side f; a discrete system is a map, or
one map for each step. Both take states ``(..., n)``, so that many states are stepped at once. A
recurrent layer is a discrete system whose maps are its steps, one for each residue that it reads.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]


def follow(maps: Iterable[Map], start: Tensor) -> Tensor:
    """``x_0 = start, x_{k+1} = F_k(x_k)``.

    Args:
        maps: T functions of ``(..., n)``.
        start: ``(..., n)``.

    Returns:
        ``(T + 1, ..., n)``.
    """
    states = [start]
    for step in maps:
        states.append(step(states[-1]))
    return torch.stack(states)


def oscillator(frequency: float = 1.0, damping: float = 0.0) -> Tensor:
    """``x'' = -frequency^2 x - damping x'`` as ``(2, 2)`` matrix, skew if it is not damped.

    The state is ``(frequency * x, x')``. Its Frobenius norm is constant without damping.
    """
    return torch.tensor([[0.0, frequency], [-frequency, -damping]], dtype=torch.float64)


def stiff(slow: float = 1.0, fast: float = 50.0) -> Tensor:
    """``(2, 2)`` symmetric: decays at two rates along the diagonals, one much faster."""
    mean, half = (slow + fast) / 2, (fast - slow) / 2
    return torch.tensor([[-mean, half], [half, -mean]], dtype=torch.float64)


def van_der_pol(mu: float = 1.0) -> Map:
    """``x'' = mu (1 - x^2) x' - x``: every start ends on one cycle of amplitude near 2."""

    def field(state: Tensor) -> Tensor:
        x, v = state.unbind(-1)
        return torch.stack([v, mu * (1 - x**2) * v - x], dim=-1)

    return field


def lorenz(sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3) -> Map:
    """``(sigma (y - x), x (rho - z) - y, x y - beta z)``: chaotic, quadratic in the state."""

    def field(state: Tensor) -> Tensor:
        x, y, z = state.unbind(-1)
        return torch.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z], dim=-1)

    return field


def pendulum(state: Tensor, torque: Tensor) -> Tensor:
    """``angle'' = -sin angle + torque``; ``(..., 2), (..., 1) -> (..., 2)``; 0 hangs, pi stands."""
    angle, speed = state.unbind(-1)
    return torch.stack([speed, torque[..., 0] - torch.sin(angle)], dim=-1)


def henon(a: float = 1.4, b: float = 0.3) -> Map:
    """``(1 - a x^2 + y, b x)``: every step shrinks areas by b."""

    def step(state: Tensor) -> Tensor:
        x, y = state.unbind(-1)
        return torch.stack([1 - a * x**2 + y, b * x], dim=-1)

    return step


def cat(state: Tensor) -> Tensor:
    """``(2 x + y, x + y)`` modulo 1: stretches by ``(3 + sqrt 5) / 2``, keeps areas."""
    x, y = state.unbind(-1)
    return torch.stack([2 * x + y, x + y], dim=-1) % 1


def logistic(r: float = 4.0) -> Map:
    """``r x (1 - x)``, of one channel; for r = 4 nearby points part by 2 at each step."""
    return lambda x: r * x * (1 - x)


def recurrent(module: nn.RNNBase, x: Tensor) -> list[Map]:
    """The steps of a recurrent layer that reads a sequence, as maps of its state.

    Args:
        module: `torch.nn.RNN`, `GRU` or `LSTM` of one layer and one direction, no projection.
        x: ``(T, C)``, what it reads.

    Returns:
        T maps of ``(..., H)``, the hidden state, or for an LSTM of ``(..., 2 H)``, (h, c). What
        `recurrent_step` does not take is a ValueError.
    """
    return [recurrent_step(module, now) for now in x]


def recurrent_step(module: nn.RNNBase, x: Tensor) -> Map:
    """One step of a recurrent layer, as in `recurrent`, from one state or from many.

    Args:
        module: As in `recurrent`.
        x: ``(..., C)``, what it reads in the step; expanded as far as the states are.

    Raises:
        ValueError: If the module has more layers or directions, or another width than x.
    """
    if module.num_layers > 1 or module.bidirectional or module.proj_size:
        raise ValueError(
            "only one layer, one direction and no projection is one recurrence; split the "
            f"module: {module}"
        )
    if x.shape[-1:] != (module.input_size,):
        raise ValueError(f"x must be (..., {module.input_size}), not {tuple(x.shape)}")
    time = int(module.batch_first)  # the axis of a sequence of one

    def step(state: Tensor) -> Tensor:
        rows = state.reshape(1, -1, state.shape[-1])
        inputs = x.expand(*state.shape[:-1], -1).reshape(-1, module.input_size).unsqueeze(time)
        if not isinstance(module, nn.LSTM):
            return module(inputs, rows)[1].view_as(state)
        h, c = (part.contiguous() for part in rows.chunk(2, dim=-1))
        return torch.cat(module(inputs, (h, c))[1], dim=-1).view_as(state)

    return step
