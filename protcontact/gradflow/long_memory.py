"""How much of a gradient is left after 50,000 steps of a recurrence?

Far less than the smallest float, and the states of all steps do not fit into memory on a long
sequence. Two things make it exact all the same. Only the state of every K-th step is kept: the
steps in between are run again, a chunk at a time, from the last to the first, so T / K + K states
exist at once (Chen et al. 2016), least for ``K = sqrt(T)``. And the backward pass is linear:

    lambda_{t-1} = (d s_t / d s_{t-1})^T lambda_t

so the costate is scaled to 1 before each chunk and the logarithms of the scales are added up. A
chunk within which a costate leaves the range of floats is cut into halves until it does not.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protcontact.gradflow.linear import log_norms, scaled
from protcontact.gradflow.trained import refuse_broken
from protcontact.gradflow.untouched import untouched

Cell = Callable[[Tensor, Tensor], Tensor]  # (B, C) input, (B, S) state -> (B, S) next state


class LongMemory(NamedTuple):
    """What came back.

    Attributes:
        curve: ``(B, T + 1)`` float64: log10 of the norm of the costate of the states at distance 0,
            1, ... T from the last. -inf where it is exactly 0.
        inputs: ``(B, T)`` float64: the same of the gradient by ``x_t`` at distance 0 ... T - 1 from
            the last step: what the costate of the state after step t sends to its input.
        direction: ``(B, S)``: the costate of the state before the first step, divided by its scale.
        scale: ``(B,)`` float64: log10 of that scale.
    """

    curve: Tensor
    inputs: Tensor
    direction: Tensor
    scale: Tensor


@torch.no_grad()
def long_memory(
    recurrence: nn.RNNBase, x: Tensor, cotangent: Tensor, chunk: int | None = None
) -> LongMemory:
    """Follow the costate of the last state back to the first, over any number of steps.

    Args:
        recurrence: `torch.nn.RNN`, `LSTM` or `GRU` of one layer and direction, batch first. It
            starts from a state of 0, and is left as it was.
        x: ``(B, T, C)``, of the type of the weights.
        cotangent: ``(B, S)``, of the state after the last step. The state has S channels: H of h,
            and for the LSTM H of c behind them.
        chunk: K, steps that are run again at a time; by default about ``sqrt(T)``.

    Raises:
        ValueError: If the recurrence is of another kind, a shape or type is wrong, there is no
            step, or a weight, an input or a state is not finite.
    """
    cell = cell_of(recurrence)
    refuse_broken(recurrence)
    _refuse(recurrence, x, cotangent)
    K = math.isqrt(x.shape[1]) if chunk is None else chunk
    if K < 1:
        raise ValueError(f"chunk must be >= 1, not {K}")
    with torch.inference_mode(False), untouched(recurrence):
        pieces = _pieces(cell, x, K, torch.zeros_like(cotangent))
        v, size = scaled(cotangent.clone())
        scale = size.double().log10()
        curve, inputs = [log_norms(v, scale)[:, None]], []
        while pieces:
            piece, state = pieces.pop()
            found = _pull_back(cell, piece, state, v) if piece.shape[1] <= K else None
            if found is None:
                K = min(K, (piece.shape[1] + 1) // 2)  # the next will not fit either
                pieces += _pieces(cell, piece, K, state)
                continue
            curve.append(found.curve + scale[:, None])
            inputs.append(found.inputs + scale[:, None])
            v, scale = found.direction, scale + found.scale
    return LongMemory(torch.cat(curve, dim=1), torch.cat(inputs, dim=1), v, scale)


@torch.no_grad()
def _pieces(cell: Cell, x: Tensor, length: int, state: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The inputs in pieces of a length, and the state before each.

    Raises:
        ValueError: If a state is not finite.
    """
    found = []
    for begin in range(0, x.shape[1], length):
        piece = x[:, begin : begin + length]
        found.append((piece, state))
        for now in piece.unbind(1):
            state = cell(now, state)
        if not state.isfinite().all():
            raise ValueError(f"a state of steps {begin} ... {begin + length - 1} is not finite")
    return found


def _pull_back(cell: Cell, x: Tensor, state: Tensor, v: Tensor) -> LongMemory | None:
    """From v, ``(B, S)`` with largest element 1, back over some steps: the curve without v itself.

    None if there are several steps and a costate leaves the middle half of the range of floats,
    counted in exponents; the rest is left for what a step does within.
    """
    leaf, states = x.clone().requires_grad_(), [state.detach().requires_grad_()]
    for now in leaf.unbind(1):
        states.append(cell(now, states[-1]))
    by_x, *costates = torch.autograd.grad(states[-1], [leaf, *states[-2::-1]], v)
    units, sizes = scaled(torch.stack(costates, dim=1))
    limits = torch.finfo(v.dtype)
    inside = (sizes >= limits.tiny**0.5) & (sizes <= limits.max**0.5)
    inside |= (v == 0).all(dim=1, keepdim=True)  # and so is all before it
    if len(costates) > 1 and not inside.all():
        return None
    logs = sizes.double().log10()
    to_x, sizes_x = scaled(by_x.flip(1))
    inputs = log_norms(to_x, sizes_x.double().log10())
    return LongMemory(log_norms(units, logs), inputs, units[:, -1].clone(), logs[:, -1])


def _refuse(recurrence: nn.RNNBase, x: Tensor, cotangent: Tensor) -> None:
    size = recurrence.hidden_size * (1 + isinstance(recurrence, nn.LSTM))
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"x must be (B, T, C) and not empty, not {tuple(x.shape)}")
    if cotangent.shape != (len(x), size):
        raise ValueError(f"cotangent must be {(len(x), size)}, not {tuple(cotangent.shape)}")
    dtype = recurrence.all_weights[0][0].dtype
    for name, values in (("x", x), ("cotangent", cotangent)):
        if values.dtype != dtype:
            raise ValueError(f"{name} must be {dtype} as the weights, not {values.dtype}")
        if not values.isfinite().all():
            raise ValueError(f"{name} is not finite")


def cell_of(recurrence: nn.RNNBase) -> Cell:
    """One step of a recurrence as a function of input and state, its weights taken as constants.

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
    weights = [weight.detach() for weight in recurrence.all_weights[0]]
    if isinstance(recurrence, nn.LSTM):
        return lambda x, s: torch.cat(torch.lstm_cell(x, s.chunk(2, dim=1), *weights), dim=1)
    if isinstance(recurrence, nn.GRU):
        return lambda x, s: torch.gru_cell(x, s, *weights)
    step = torch.rnn_tanh_cell if recurrence.nonlinearity == "tanh" else torch.rnn_relu_cell
    return lambda x, s: step(x, s, *weights)
