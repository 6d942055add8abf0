"""How far does a gradient reach along DNA, where an enhancer may be 50,000 bases from its gene?"""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.curves import reach
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    curve,
    lines,
    ratio_error,
    relative_error,
)
from protcontact.gradflow.linear import log_norms, scan_scaled
from protcontact.gradflow.long_memory import long_memory

BASES = 4
NEAR, SHOWN = 100, 500  # distances that are all shown, and points of the rest of a curve


@dataclass(frozen=True)
class EnhancerExperiment(Experiment):
    """Gradient over 50,000 steps: RNN, LSTM as initialised and for long memory, attention."""

    title: ClassVar = "Over 50,000 bases a gradient is a number with thousands of zeros"
    formula: ClassVar = (
        "log |lambda_t| = log |unit_t| + sum of log scales   (each step is linear)\n"
        "forget gate f alone: f^T;   chrono bias b_f = log(T - 1): f^T = ((T - 1) / T)^T -> 1/e"
    )
    explanation: ClassVar = (
        "An enhancer can act on a gene 50,000 bases away, so a network that reads DNA base by base "
        "must carry a gradient through 50,000 steps. No float holds what is left of it; here only "
        "its logarithm is kept, and only every 200th or so state, so that memory stays small. An "
        "LSTM whose forget gates start nearly closed against forgetting (chrono initialisation: "
        "biases drawn so that units forget over 1 ... T steps) begins where another would have to "
        "learn to come. Attention has one step to every base, and divides what it has among them."
    )
    source: ClassVar = (
        "Tallec and Ollivier 2018; Chen et al. 2016 (recomputation); Vaswani et al. 2017"
    )

    length: int = field(default=50_000, metadata={"help": "bases"})
    width: int = field(default=32, metadata={"help": "channels of each network"})

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: If one is too small.
        """
        if self.length < NEAR or self.width < 2:
            raise ValueError(
                f"length must be >= {NEAR} and width >= 2, not {self.length} and {self.width}"
            )

    def measure(self) -> Result:
        """Measure each network on the same random bases."""
        letters = torch.randint(0, BASES, (1, self.length))
        x = functional.one_hot(letters, BASES).double()
        rnn = nn.RNN(BASES, self.width, batch_first=True).double()
        lstm = nn.LSTM(BASES, self.width, batch_first=True).double()
        chrono = nn.LSTM(BASES, self.width, batch_first=True).double()
        chrono_initialise(chrono, self.length)
        logs = {
            "RNN": _recurrent(rnn, x),
            "LSTM": _recurrent(lstm, x),
            "LSTM, chrono": _recurrent(chrono, x),
            "attention": _attention(x, self.width),
        }
        readings: list[Reading] = []
        for name, values in logs.items():
            places = _places(len(values))
            readings += curve("log10_gradient", name, values[places].tolist(), places)
            readings.append(Reading("reach_1e-3", name, self.length, float(reach(values[None])[0])))
        checks = [
            *_duality(rnn, x),
            _bias_only(self.length, self.width),
            _chrono_limit(self.length),
            _uniform(self.length, self.width),
        ]
        return Result(readings, checks, _panels(readings), _conclusion(logs))


def chrono_initialise(lstm: nn.LSTM, longest: int) -> None:
    """Forget biases log(U(1, T - 1)), input biases their negative, of each layer and direction.

    Args:
        lstm: Changed in place.
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


def _recurrent(recurrence: nn.RNNBase, x: Tensor) -> Tensor:
    """Of h at the last base; the LSTM's c has a share from one step back on."""
    size = recurrence.hidden_size
    cotangent = (torch.randint(0, 2, (1, size)) * 2 - 1).double()
    if isinstance(recurrence, nn.LSTM):
        cotangent = torch.cat([cotangent, torch.zeros_like(cotangent)], dim=1)
    logs = long_memory(recurrence, x, cotangent).curve[0]
    return logs - logs[0]


def _attention(x: Tensor, width: int) -> Tensor:
    """The last base asks all; only its row of the map is made, so memory is O(T)."""
    embedding = torch.randn(BASES, width, dtype=torch.float64)
    attention = nn.MultiheadAttention(width, 1, batch_first=True).double()
    keys = (x @ embedding).requires_grad_()
    logs = _last_row(attention, keys)
    return logs - logs[0]


def _last_row(attention: nn.MultiheadAttention, keys: Tensor) -> Tensor:
    """log10 of the gradient of the last output by each input, the last first."""
    y, _ = attention(keys[:, -1:].detach(), keys, keys, need_weights=False)
    signs = (torch.randint(0, 2, y.shape) * 2 - 1).to(y)
    (answer,) = torch.autograd.grad(y, keys, signs)
    return torch.linalg.vector_norm(answer[0], dim=1).log10().flip(0)


def _places(count: int) -> list[int]:
    """The first `NEAR` distances and `SHOWN` more, spread evenly."""
    even = torch.linspace(0, count - 1, SHOWN).round().long().tolist()
    return sorted({*range(min(count, NEAR)), *even})


@torch.no_grad()
def _duality(rnn: nn.RNN, x: Tensor) -> list[Check]:
    """The same Jacobians forwards and backwards."""
    u, r = torch.randn(2, 1, rnn.hidden_size, dtype=torch.float64)
    states, W = rnn(x)[0], rnn.all_weights[0][1]
    steps = (partial(_forward, 1 - h**2, W) for h in states.unbind(1))
    units, scales = scan_scaled(u, steps)
    back = long_memory(rnn, x, r)
    forward = scales[-1] + (units[-1] * r).sum().abs().log10()
    backward = back.scale + (back.direction * u).sum().abs().log10()
    growth = log_norms(units, scales)[:, 0]
    decay, curve_ = float(growth[-1] - growth[0]), back.curve[0]
    T = x.shape[1]
    return [
        Check(
            "RNN: <r, J_T ... J_1 u> = <J_1^T ... J_T^T r, u>", ratio_error(forward, backward), 1e-8
        ),
        Check(
            "RNN: decades lost by the gradient / by a disturbance that runs forward - 1",
            abs(float(curve_[-1] - curve_[0]) / decay - 1),
            20 / T,  # two random vectors turn into the slowest directions: some decades, once
        ),
    ]


def _forward(slope: Tensor, W: Tensor, v: Tensor) -> Tensor:
    """``diag(1 - h^2) W v``: what one step of a tanh RNN makes of a small disturbance."""
    return slope * (v @ W.mT)


def _of_biases(length: int, width: int, forget: float, dtype: torch.dtype) -> float:
    """log10 of the costate of c after all steps of an LSTM without weights."""
    lstm = nn.LSTM(BASES, width, batch_first=True).to(dtype)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        lstm.all_weights[0][2][width : 2 * width] = forget
    cotangent = torch.cat([torch.zeros(1, width), torch.ones(1, width)], dim=1).to(dtype)
    return float(
        long_memory(lstm, torch.zeros(1, length, BASES, dtype=dtype), cotangent).curve[0, -1]
    )


def _bias_only(length: int, width: int) -> Check:
    """A forget gate of sigmoid(1) = 0.73, in float32."""
    true = length * math.log10(1 / (1 + math.exp(-1))) + math.log10(width) / 2
    found = _of_biases(length, width, 1.0, torch.float32)
    return Check(
        f"float32 LSTM, biases only: log10 |lambda| = T log10 f + log10(H) / 2 = {true:.1f}",
        abs(found / true - 1),
        1e-7,
    )


def _chrono_limit(length: int) -> Check:
    found = _of_biases(length, 1, math.log(length - 1), torch.float64)
    true = torch.tensor(length * math.log1p(-1 / length) / math.log(10), dtype=torch.float64)
    return Check(
        f"LSTM, b_f = log(T - 1): ((T - 1) / T)^T = {10 ** float(true):.5f} (1/e = 0.36788)",
        ratio_error(torch.tensor(found, dtype=torch.float64), true),
        1e-10,
    )


def _uniform(length: int, width: int) -> Check:
    """Attention that asks nothing looks at all bases alike."""
    attention = nn.MultiheadAttention(width, 1, batch_first=True).double()
    keys = torch.randn(1, length, width, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        attention.in_proj_weight[: 2 * width] = 0
    state = torch.random.get_rng_state()
    found = 10.0 ** _last_row(attention, keys)
    torch.random.set_rng_state(state)
    signs = (torch.randint(0, 2, (1, 1, width)) * 2 - 1).double()
    value = attention.in_proj_weight[2 * width :]
    true = (signs[0, 0] @ attention.out_proj.weight @ value).norm().detach() / length
    return Check(
        "attention, W_QK = 0: |dy_T/dx_j| = |r^T W_O W_V| / T at every base",
        relative_error(found.detach(), true.expand(length)),
        1e-12,
    )


def _panels(readings: list[Reading]) -> list[Panel]:
    shown = lines(readings, "log10_gradient")
    near = [Line(line.label, line.x[:NEAR], line.y[:NEAR]) for line in shown]
    axes = "bases back from the last", "log10 of the gradient, relative"
    return [
        Panel(shown, *axes, "to the enhancer"),
        Panel(near, *axes, f"the first {NEAR} bases", level=-3.0),
    ]


def _conclusion(logs: dict[str, Tensor]) -> str:
    last = {name: float(values[-1]) for name, values in logs.items()}
    T = len(logs["RNN"]) - 1
    far = {name: int(reach(values[None])[0]) for name, values in logs.items()}
    reached = ", ".join(
        f"{name} {far[name]:,}" if far[name] < len(logs[name]) else f"{name} all {T:,}"
        for name in logs
    )
    return (
        f"After {T:,} bases 10^{last['RNN']:,.0f} of the gradient is left in the RNN "
        f"({-last['RNN'] / T:.3f} decades per base), 10^{last['LSTM']:,.0f} in the LSTM as "
        f"initialised, 10^{last['LSTM, chrono']:,.1f} in the LSTM with chrono biases and "
        f"10^{last['attention']:.1f} with attention. A thousandth is first lost after this many "
        f"bases: {reached}."
    )
