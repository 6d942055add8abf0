"""How much of a gradient is left after 50,000 steps of a recurrence?

Far less than the smallest float, and the states of all steps do not fit into memory on a long
sequence. Two things make it exact all the same. The backward step is linear, so the costate is
scaled to 1 at each step and the logarithms of the scales are added up (`scan_scaled`). And only the
state of every K-th step is kept: the steps in between are run again, a chunk at a time, from the
last to the first, so T / K + K states exist at once (Chen et al. 2016), least for ``K = sqrt(T)``.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protcontact.gradflow.linear import log_norms, scan_scaled, vjp
from protcontact.gradflow.memory import refuse_nonfinite

Cell = Callable[[Tensor, Tensor], Tensor]  # (B, C) input, (B, S) state -> (B, S) next state


class LongMemory(NamedTuple):
    """What came back.

    Attributes:
        curve: ``(B, T + 1)`` float64: log10 of the norm of the costate of the states at distance 0,
            1, ... T from the last. -inf where it is exactly 0.
        direction: ``(B, S)``: the costate of the state before the first step, divided by its scale.
        scale: ``(B,)`` float64: log10 of that scale.
    """

    curve: Tensor
    direction: Tensor
    scale: Tensor


@torch.no_grad()
def long_memory(
    recurrence: nn.RNNBase, x: Tensor, cotangent: Tensor, chunk: int | None = None
) -> LongMemory:
    """Follow the costate of the last state back to the first, over any number of steps.

    Args:
        recurrence: `torch.nn.RNN`, `LSTM` or `GRU` of one layer and direction, batch first.
        x: ``(B, T, C)``.
        cotangent: ``(B, S)``, of the state after the last step. The state has S channels: H of h,
            and for the LSTM H of c behind them.
        chunk: K, steps that are run again at a time; by default about ``sqrt(T)``.

    Raises:
        ValueError: If the recurrence is of another kind, a shape is wrong, there is no step, or a
            weight is not finite.
    """
    cell = cell_of(recurrence)
    refuse_nonfinite(recurrence)
    size = recurrence.hidden_size * (1 + isinstance(recurrence, nn.LSTM))
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"x must be (B, T, C) and not empty, not {tuple(x.shape)}")
    B, T, _ = x.shape
    if cotangent.shape != (B, size):
        raise ValueError(f"cotangent must be {(B, size)}, not {tuple(cotangent.shape)}")
    K = math.isqrt(T) if chunk is None else chunk
    if K < 1:
        raise ValueError(f"chunk must be >= 1, not {K}")
    kept = _every(cell, x, K, x.new_zeros(B, size))
    v, offset = cotangent, torch.zeros(B, dtype=torch.float64)
    found: list[Tensor] = []
    for begin, state in reversed(list(zip(range(0, T, K), kept, strict=True))):
        inputs = x[:, begin : begin + K].unbind(1)
        states = _states(cell, inputs, state)
        maps = (_back(cell, a, s) for a, s in zip(reversed(inputs), reversed(states), strict=True))
        units, scales = scan_scaled(v, maps)
        logs = log_norms(units, scales) + offset
        found.append(logs[bool(found) :])  # the first is the last of the chunk behind
        v, offset = units[-1], offset + scales[-1]
    return LongMemory(torch.cat(found).mT, v, offset)


def _states(cell: Cell, inputs: tuple[Tensor, ...], state: Tensor) -> list[Tensor]:
    """The state before each of the steps."""
    found = [state]
    for now in inputs[:-1]:
        found.append(cell(now, found[-1]))
    return found


def _every(cell: Cell, x: Tensor, chunk: int, state: Tensor) -> list[Tensor]:
    """The state before the first step of each chunk."""
    found = []
    for place, now in enumerate(x.unbind(1)):
        if place % chunk == 0:
            found.append(state)
        state = cell(now, state)
    return found


def _back(cell: Cell, x: Tensor, state: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda v: vjp(lambda s: cell(x, s), state)(v)  # the graph of one step at a time


def cell_of(recurrence: nn.RNNBase) -> Cell:
    """One step of a recurrence as a function of input and state.

    Raises:
        ValueError: If it is no `torch.nn.RNN`, `LSTM` or `GRU` of one layer and one direction,
            batch first and without projection.
    """
    kind = type(recurrence).__name__
    if not isinstance(recurrence, nn.RNN | nn.LSTM | nn.GRU):
        inside = [n for n, m in recurrence.named_modules() if isinstance(m, nn.RNNBase)]
        there = ", ".join(inside) or "none in it"
        raise ValueError(f"needs a torch.nn.RNN, LSTM or GRU, not {kind}; there is {there}")
    plain = recurrence.num_layers == 1 and not recurrence.bidirectional
    if not plain or not recurrence.batch_first or recurrence.proj_size:
        raise ValueError(
            f"needs a {kind} of one layer and direction, batch first, without projection"
        )
    weights = recurrence.all_weights[0]
    if isinstance(recurrence, nn.LSTM):
        return lambda x, s: torch.cat(torch.lstm_cell(x, s.chunk(2, dim=1), *weights), dim=1)
    if isinstance(recurrence, nn.GRU):
        return lambda x, s: torch.gru_cell(x, s, *weights)
    step = torch.rnn_tanh_cell if recurrence.nonlinearity == "tanh" else torch.rnn_relu_cell
    return lambda x, s: step(x, s, *weights)
