"""How far does a gradient reach along DNA, where an enhancer may be 50,000 bases from its gene?"""

import math
from dataclasses import dataclass
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
    size,
)
from protcontact.gradflow.gates import chrono_initialise
from protcontact.gradflow.linear import log_norms, scan_scaled
from protcontact.gradflow.long_memory import LongMemory, long_memory

BASES = 4
NEAR, SHOWN = 100, 500  # distances that are all shown, and points of the rest of a curve


@dataclass(frozen=True)
class EnhancerExperiment(Experiment):
    """Gradient over 50,000 steps: RNN, LSTM as initialised and for long memory, attention."""

    title: ClassVar = "Over 50,000 bases a gradient is a number with thousands of zeros"
    formula: ClassVar = (
        "log |lambda_t| = log |unit_t| + sum of log scales   (each step is linear)\n"
        "forget gate f alone: f^T;   chrono bias b_f = log(T - 1): f^T = ((T - 1) / T)^T -> 1/e\n"
        "attention that asks nothing (W_QK = 0): |r^T W_O W_V| / T for every base"
    )
    explanation: ClassVar = (
        "An enhancer can act on a gene 50,000 bases away, so a network that reads DNA base by base "
        "must carry a gradient through 50,000 steps. No float holds what is left of it; here only "
        "its logarithm is kept, and only every 200th or so state, so that memory stays small. "
        "Chrono initialisation draws the biases of an LSTM's forget gates so that its units forget "
        "over 1 ... T steps: it begins where another would have to learn to come, with input gates "
        "nearly shut. Attention has one step to every base, the farthest as the nearest, and "
        "divides what it has among all."
    )
    source: ClassVar = (
        "Tallec and Ollivier 2018; Chen et al. 2016 (recomputation); Vaswani et al. 2017"
    )

    length: int = size(50_000, "bases", least=NEAR)
    width: int = size(32, "channels of each network", least=2)

    def measure(self) -> Result:
        """Measure each network on the same random bases."""
        letters = torch.randint(0, BASES, (1, self.length))
        x = functional.one_hot(letters, BASES).double()
        rnn = nn.RNN(BASES, self.width, batch_first=True).double()
        lstm = nn.LSTM(BASES, self.width, batch_first=True).double()
        chrono = nn.LSTM(BASES, self.width, batch_first=True).double()
        chrono_initialise(chrono, self.length)
        sent = _signs(2, self.width)
        back = long_memory(rnn, x.expand(2, -1, -1), sent)
        logs = {
            "RNN": back.inputs[0],
            "LSTM": _recurrent(lstm, x),
            "LSTM, chrono": _recurrent(chrono, x),
            "attention": _attention(x, self.width),
        }
        readings = [r for name, values in logs.items() for r in _readings(values, name)]
        checks = [
            *_duality(rnn, x, back, sent),
            *_biases(self.length, self.width),
            _uniform(self.length, self.width),
        ]
        return Result(readings, checks, _panels(readings), _conclusion(readings, self.length))


def _signs(count: int, width: int) -> Tensor:
    return torch.randint(0, 2, (count, width)).double() * 2 - 1


def _recurrent(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """``(L,)``: log10 of the gradient of h at the last base by each base, the last first."""
    sent = _signs(1, lstm.hidden_size)
    return long_memory(lstm, x, torch.cat([sent, torch.zeros_like(sent)], dim=1)).inputs[0]


def _attention(x: Tensor, width: int) -> Tensor:
    """The same of the output of attention; bases are vectors drawn at random."""
    embedding = torch.randn(BASES, width, dtype=torch.float64)
    attention = nn.MultiheadAttention(width, 1, batch_first=True).double()
    return _last_row(attention, x @ embedding, _signs(1, width))


def _last_row(attention: nn.MultiheadAttention, x: Tensor, sent: Tensor) -> Tensor:
    """The last base asks all; only its row of the map is made, so memory is O(L)."""
    leaf = x.detach().requires_grad_()
    y, _ = attention(leaf[:, -1:], leaf, leaf, need_weights=False)
    (answer,) = torch.autograd.grad(y[:, 0], leaf, sent)
    return torch.linalg.vector_norm(answer[0], dim=1).log10().flip(0)


def _readings(logs: Tensor, where: str) -> list[Reading]:
    """The curve relative to distance 0, thinned: `NEAR` distances, then `SHOWN` spread evenly."""
    even = torch.linspace(0, len(logs) - 1, SHOWN).round().long().tolist()
    places = sorted({*range(min(len(logs), NEAR)), *even})
    relative, neighbours = logs - logs[0], logs[1:] - logs[1]
    return [
        *curve("log10_gradient", where, relative[places].tolist(), places),
        Reading("log10_at_0", where, 0, float(logs[0])),
        Reading("reach_1e-3", where, len(logs), float(reach(relative[None])[0])),
        Reading("reach_1e-3_of_neighbour", where, len(logs), 1 + float(reach(neighbours[None])[0])),
    ]


@torch.no_grad()
def _duality(rnn: nn.RNN, x: Tensor, back: LongMemory, sent: Tensor) -> list[Check]:
    """The same Jacobians, written out, forwards: what becomes of a small disturbance u of h."""
    u = torch.randn(1, rnn.hidden_size, dtype=torch.float64)
    states, W = rnn(x)[0], rnn.all_weights[0][1]
    steps = (partial(_forward, 1 - h**2, W) for h in states.unbind(1))
    units, scales = scan_scaled(u, steps)
    forward = scales[-1] + (sent @ units[-1, 0]).abs().log10()
    backward = back.scale + (back.direction @ u[0]).abs().log10()
    growth = log_norms(units, scales)[:, 0]
    decay, lost = float(growth[-1] - growth[0]), back.curve[:, -1] - back.curve[:, 0]
    T = x.shape[1]
    return [
        Check(
            "RNN: <r, J_T ... J_1 u> = <J_1^T ... J_T^T r, u>", ratio_error(forward, backward), 1e-8
        ),
        Check(
            f"RNN: decades lost per base by the gradient / by a disturbance ({-decay / T:.4f}) - 1",
            float((lost / decay - 1).abs().max()),
            20 / T,  # two random vectors turn into the slowest directions: some decades, once
        ),
    ]


def _forward(slope: Tensor, W: Tensor, v: Tensor) -> Tensor:
    """``diag(1 - h^2) W v``: what one step of a tanh RNN makes of a small disturbance."""
    return slope * (v @ W.mT)


def _biases(length: int, width: int) -> list[Check]:
    """An LSTM without weights: one unit of chrono's longest memory, the others with f = 0.73."""
    lstm = nn.LSTM(BASES, width, batch_first=True).double()
    forget = torch.ones(width, dtype=torch.float64)
    forget[-1] = math.log(length - 1)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        lstm.all_weights[0][2][width : 2 * width] = forget
    sent = torch.zeros(2, 2 * width, dtype=torch.float64)
    sent[0, width:-1] = sent[1, -1] = 1.0  # to c
    x = torch.zeros(2, length, BASES, dtype=torch.float64)
    usual, longest = long_memory(lstm, x, sent).curve[:, -1]
    true = -length * math.log10(1 + math.exp(-1)) + math.log10(width - 1) / 2
    limit = length * math.log1p(-1 / length) / math.log(10)
    return [
        Check(
            f"LSTM, biases only: log10 |lambda| = T log10 f + log10(H) / 2 = {true:.1f}",
            abs(float(usual) / true - 1),
            1e-12,
        ),
        Check(
            f"LSTM, b_f = log(T - 1): ((T - 1) / T)^T = {10**limit:.5f} (1/e = 0.36788)",
            ratio_error(longest, torch.tensor(limit, dtype=torch.float64)),
            1e-10,
        ),
    ]


def _uniform(length: int, width: int) -> Check:
    """Attention that asks nothing looks at all bases alike."""
    attention = nn.MultiheadAttention(width, 1, batch_first=True).double()
    with torch.no_grad():
        attention.in_proj_weight[: 2 * width] = 0
    sent = _signs(1, width)
    found = 10.0 ** _last_row(attention, torch.randn(1, length, width, dtype=torch.float64), sent)
    value = attention.in_proj_weight[2 * width :]
    true = (sent @ attention.out_proj.weight @ value).norm().detach() / length
    return Check(
        "attention, W_QK = 0: |dy_T/dx_j| = |r^T W_O W_V| / T at every base",
        relative_error(found, true.expand(length)),
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


def _conclusion(readings: list[Reading], length: int) -> str:
    last = {r.where: r.value for r in readings if r.probe == "log10_gradient"}
    far = {r.where: r.value for r in readings if r.probe == "reach_1e-3_of_neighbour"}
    neighbour = {r.where: r.value for r in readings if (r.probe, r.index) == ("log10_gradient", 1)}
    reached = ", ".join(
        f"{name} {steps:,.0f}" if steps < length else f"{name} all {length - 1:,}"
        for name, steps in far.items()
    )
    return (
        f"Over {length - 1:,} bases the RNN leaves 10^{last['RNN']:,.0f} of the gradient "
        f"({-last['RNN'] / (length - 1):.3f} decades per base), the LSTM as initialised "
        f"10^{last['LSTM']:,.0f}, with chrono biases 10^{last['LSTM, chrono']:,.1f}, and attention "
        f"10^{last['attention']:.1f}, where it leaves 10^{neighbour['attention']:.1f} over a "
        "single base, as it divides by the length. After this many bases a thousandth of what the "
        f"neighbour has is first lost: {reached}."
    )
