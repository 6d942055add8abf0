"""What do the gates of an LSTM let through, and is that why its gradient lasts?

The cell state is a conveyor belt: ``c_t = f_t c_{t-1} + i_t g_t``. On the belt alone a gradient is
multiplied by the forget gate at each step,

    dc_T / dc_t = f_T f_{T-1} ... f_{t+1}    (each channel on its own)

and what goes by way of h and the weights comes on top. `gate_report` shows both, and the gates.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protcontact.gradflow.recurrence import Gates, Layer, propagate, run_layer
from protcontact.gradflow.trained import refuse_broken


class GateReport(NamedTuple):
    """One direction of one layer.

    Attributes:
        name: ``l0``, ``l0_reverse``, ``l1``, ...
        means: Gate, ``f``, ``i`` or ``o`` -> mean over chains, steps and channels.
        closed: Gate -> share below 0.1.
        open: Gate -> share above 0.9.
        belt: ``(T,)`` float64: log10 of the costate of c by distance from the last step, by the
            forget gates alone, relative to distance 0; the mean over chains.
        full: ``(T,)`` float64: the same of (h, c) by all paths.
    """

    name: str
    means: dict[str, float]
    closed: dict[str, float]
    open: dict[str, float]
    belt: Tensor
    full: Tensor


@torch.no_grad()
def gate_report(lstm: nn.LSTM, x: Tensor) -> list[GateReport]:
    """Take an LSTM apart on an input; it is run in eval mode's way, without dropout.

    All is made again from the weights, step by step: a hook on the fused module would see what the
    loss sends to its output, and nothing of what comes through time.

    Args:
        lstm: Any number of layers and directions, batch first, without projection.
        x: ``(B, T, C)``, of the type of the weights. Every step counts, padding too.

    Returns:
        One report for each layer and direction, from the input on.

    Raises:
        ValueError: If it is no such LSTM, x has another shape or type or no step, or x or a
            weight is not finite.
    """
    if not isinstance(lstm, nn.LSTM):
        inside = [name for name, part in lstm.named_modules() if isinstance(part, nn.LSTM)]
        raise ValueError(
            f"needs a torch.nn.LSTM, not {type(lstm).__name__}; in it there is "
            f"{', '.join(inside) or 'none'}"
        )
    if not lstm.batch_first or lstm.proj_size:
        raise ValueError("needs an LSTM with batch_first=True and without proj_size")
    if x.ndim != 3 or 0 in x.shape or x.shape[2] != lstm.input_size:
        raise ValueError(f"x must be (B, T, {lstm.input_size}), not empty, not {tuple(x.shape)}")
    if x.dtype != lstm.all_weights[0][0].dtype:
        raise ValueError(f"x must be {lstm.all_weights[0][0].dtype}, not {x.dtype}")
    if not x.isfinite().all():
        raise ValueError("x must be finite")
    refuse_broken(lstm)
    ways = 1 + lstm.bidirectional
    found = []
    for level in range(lstm.num_layers):
        outputs = []
        for way in range(ways):
            layer = first_run(lstm.all_weights[level * ways + way], x.flip(1) if way else x)
            found.append(_report(f"l{level}{'_reverse' * way}", layer))
            outputs.append(layer.hidden.flip(1) if way else layer.hidden)
        x = torch.cat(outputs, dim=2)
    return found


def first_run(weights: Sequence[Tensor], x: Tensor) -> Layer:
    """``(B, T, C)``: one direction of one layer from a state of 0, in the order of its time."""
    zeros = x.new_zeros(len(x), weights[1].shape[1])
    return run_layer(x, zeros, zeros, list(weights))


def _report(name: str, layer: Layer) -> GateReport:
    gates = {"f": layer.gates.f, "i": layer.gates.i, "o": layer.gates.o}
    return GateReport(
        name,
        {gate: float(values.double().mean()) for gate, values in gates.items()},
        {gate: float((values < 0.1).double().mean()) for gate, values in gates.items()},
        {gate: float((values > 0.9).double().mean()) for gate, values in gates.items()},
        belt(layer.gates).mean(dim=0),
        of_cell(layer).mean(dim=0),
    )


def belt(gates: Gates) -> Tensor:
    """``(B, T, H) -> (B, T)`` float64: log10 of ``|f_T ... f_{t+1}|`` relative to distance 0.

    In logarithms: products of 1,000 gates are below the smallest float.
    """
    logs = gates.f.double().log().flip(1)[:, :-1].cumsum(dim=1)
    first = torch.zeros_like(gates.f[:, :1], dtype=torch.float64)
    squares = torch.logsumexp(2 * torch.cat([first, logs], dim=1), dim=2)
    return (squares - math.log(gates.f.shape[2])) / (2 * math.log(10))


def of_cell(layer: Layer) -> Tensor:
    """``(B, T)`` float64: log10 of the costate of (h, c), sent to c at the last step alone."""
    B, T, H = layer.hidden.shape
    direct = layer.hidden.new_zeros(B, T, 2 * H)
    direct[:, -1, H:] = 1.0
    return propagate(layer, direct, torch.full((B,), T - 1))


def chrono_initialise(lstm: nn.LSTM, longest: int) -> None:
    """Forget biases log(U(1, T - 1)), input biases their negative (Tallec and Ollivier 2018).

    Args:
        lstm: All layers and directions are changed in place.
        longest: T, steps over which it should remember.

    Raises:
        ValueError: If T is below 3.
    """
    if longest < 3:
        raise ValueError(f"longest must be >= 3, not {longest}")
    H = lstm.hidden_size
    with torch.no_grad():
        for name, bias in lstm.named_parameters():
            if not name.startswith("bias"):
                continue
            bias.zero_()
            if name.startswith("bias_ih"):
                bias[H : 2 * H] = torch.empty(H).uniform_(1, longest - 1).log()
                bias[:H] = -bias[H : 2 * H]
