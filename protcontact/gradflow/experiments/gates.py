"""What do the three gates of an LSTM do to the gradient that passes them?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    curve,
    lines,
    relative_error,
    size,
)
from protcontact.gradflow.gates import (
    GateReport,
    chrono_initialise,
    first_run,
    gate_report,
    of_cell,
)
from protcontact.gradflow.recurrence import Layer, adjoint_scan

FORGET = (0.5, 0.9, 0.99)
CHRONO = "chrono, f = 1 - 1/T"
CHRONO_STEPS = (10, 100)  # T; of the gate's last bit T times as much is in its power
CANDIDATE = 0.5  # bias of g, so that c is not 0
FEW = 300  # products after which rounding is still below 3e-15
OUTPUT = (-20.0, -10.0, -5.0, -2.0, 0.0, 2.0, 5.0)
CLOSED = (-5.0, -10.0, -20.0)  # for which the closed form is checked


@dataclass(frozen=True)
class GatesExperiment(Experiment):
    """Forget gate as a conveyor belt, output gate as a door."""

    title: ClassVar = (
        "The forget gate decides how long a gradient lives, the output gate if it enters"
    )
    formula: ClassVar = (
        "c_t = f_t c_{t-1} + i_t g_t,   h_t = o_t tanh(c_t)\n"
        "dc_T / dc_t = f^(T-t);   dh_T / dc_t = sigma(b_o) (1 - tanh^2 c_T) f^(T-t)   (W = 0)\n"
        "f = (T-1) / T: ((T-1) / T)^T -> 1/e"
    )
    explanation: ClassVar = (
        "The cell state of an LSTM is carried from step to step like goods on a conveyor belt; the "
        "forget gate says which part stays on it. A gradient on its way back is multiplied by the "
        "same gate, so at 0.99 it is halved every 69 residues and at 0.5 every residue. It comes "
        "onto the belt only through the output gate: where that is closed, no error reaches the "
        "cell, whatever the forget gate. Ordinary initialisation sets the forget gate to 0.5; a "
        "bias of some units, or chrono initialisation, opens it from the start."
    )
    source: ClassVar = (
        "Hochreiter and Schmidhuber 1997; Gers et al. 2000; Jozefowicz et al. 2015; Tallec and "
        "Ollivier 2018"
    )

    length: int = size(1000, "time steps", least=3)
    width: int = size(32, "channels of the LSTM")
    biases: tuple[float, ...] = size(
        (0.0, 1.0, 2.0, 4.0, 6.0), "forget biases of random LSTMs", least=-math.inf
    )

    def measure(self) -> Result:
        """Gates by bias alone, then LSTMs with random weights."""
        biases = {f"f = {f:g}": _logit(f) for f in FORGET} | {CHRONO: math.log(self.length - 1)}
        still = {
            name: _still(self.length, self.width, forget=bias) for name, bias in biases.items()
        }
        readings: list[Reading] = []
        for name, layer in still.items():
            readings += curve("belt", name, of_cell(layer)[0].tolist())
        doors = {bias: _through_the_door(self.width, bias, steps=10) for bias in OUTPUT}
        for place, name in enumerate(("nn.LSTM", "closed form")):
            readings += curve("door", name, [math.log10(d[place]) for d in doors.values()], OUTPUT)
        torch.manual_seed(self.seed)
        x = torch.randn(1, self.length, self.width, dtype=torch.float64)
        networks = {f"a bias of {bias:g}": _random(self.width, bias) for bias in self.biases}
        networks["chrono biases"] = _random(self.width, 0.0)
        chrono_initialise(networks["chrono biases"], self.length)
        reports = {}
        for name, lstm in networks.items():
            [report] = reports[name] = gate_report(lstm, x)
            readings += curve("full", name, report.full.tolist())
            readings += curve("forget gates alone", name, report.belt.tolist())
            readings += [Reading(f"{gate}_mean", name, 0, m) for gate, m in report.means.items()]
        checks = [
            *(_powers(name, layer) for name, layer in still.items()),
            _logarithms(still),
            _chrono(),
            _door_check(doors),
            _scan(),
            _stands(still),
        ]
        left = {name: report for name, [report] in reports.items()}
        return Result(
            readings, checks, _panels(readings, still), _conclusion(doors, left, self.length)
        )


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)


def _still(length: int, width: int, *, forget: float, output: float = 0.0) -> Layer:
    """What an LSTM does whose weights are 0: its gates stand where the biases set them."""
    lstm = nn.LSTM(1, width, batch_first=True).double()
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
        bias = lstm.all_weights[0][2]
        bias[width : 2 * width] = forget
        bias[2 * width : 3 * width] = CANDIDATE
        bias[3 * width :] = output
        return first_run(lstm.all_weights[0], torch.zeros(1, length, 1, dtype=torch.float64))


def _through_the_door(width: int, output: float, steps: int) -> tuple[float, float]:
    """``dh_T / dc_{T-steps}`` of a channel, as measured and by the closed form."""
    layer = _still(steps + 1, width, forget=_logit(0.9), output=output)
    direct = torch.zeros(1, steps + 1, 2 * width, dtype=torch.float64)
    direct[:, -1, :width] = 1.0
    with torch.no_grad():
        found = float(adjoint_scan(layer, direct).c[0, 0, 0])
    opened, f, c = 1 / (1 + math.exp(-output)), _gate(layer), 0.0
    for _ in range(steps + 1):
        c = f * c + 0.5 * math.tanh(CANDIDATE)
    return found, opened * (1 - math.tanh(c) ** 2) * f**steps


def _random(width: int, bias: float) -> nn.LSTM:
    """As initialised by torch, and the forget bias on top."""
    lstm = nn.LSTM(width, width, batch_first=True).double()
    with torch.no_grad():
        lstm.all_weights[0][2][width : 2 * width] += bias
    return lstm


def _gate(layer: Layer) -> float:
    """Where the forget gate stands: within one bit of what its bias was made for."""
    return float(layer.gates.f[0, -1, 0])


def _stands(still: dict[str, Layer]) -> Check:
    """The gates stand where they were put: what follows reads f from the layer, to its last bit."""
    asked = [*FORGET, 1 - 1 / len(next(iter(still.values())).hidden[0])]
    found = [_gate(layer) for layer in still.values()]
    return Check("forget gates stand at f, to a bit", _apart(found, asked), 2.3e-16)


def _carried(layer: Layer) -> Tensor:
    """``(T,)``: gradient by c at distance 0, 1, ..., of a channel, sent 1 at the last step."""
    B, T, H = layer.hidden.shape
    direct = layer.hidden.new_zeros(B, T, 2 * H)
    direct[:, -1, H:] = 1.0
    with torch.no_grad():
        return adjoint_scan(layer, direct).c[0, :, 0].flip(0)


def _powers(name: str, layer: Layer) -> Check:
    """As numbers, as far as they are normal ones."""
    found, f = _carried(layer)[: FEW + 1], _gate(layer)
    true = torch.tensor([f**d for d in range(len(found))], dtype=torch.float64)
    normal = true >= torch.finfo(torch.float64).tiny
    claim = f"{name}, W = 0: dc_T/dc_t = f^(T-t), {int(normal.sum())} distances"
    return Check(claim, relative_error(found[normal], true[normal]), 3e-15)


def _logarithms(still: dict[str, Layer]) -> Check:
    """All distances, also where the number itself is below the smallest float."""
    found = torch.cat([of_cell(layer)[0] for layer in still.values()])
    true = torch.cat([_decades(layer) for layer in still.values()])
    claim = "the same by logarithms, log10 = (T-t) log10 f, at every distance"
    return Check(claim, relative_error(found, true), 1e-12)


def _decades(layer: Layer) -> Tensor:
    return torch.arange(layer.hidden.shape[1], dtype=torch.float64) * math.log10(_gate(layer))


def _chrono() -> Check:
    found = [float(_carried(_still(T + 1, 1, forget=math.log(T - 1)))[-1]) for T in CHRONO_STEPS]
    true = [((T - 1) / T) ** T for T in CHRONO_STEPS]
    told = ", ".join(f"{value:.4f}" for value in true)
    return Check(
        f"b_f = log(T - 1), T = {', '.join(map(str, CHRONO_STEPS))}: ((T-1)/T)^T = {told} "
        f"(1/e = {1 / math.e:.4f})",
        _apart(found, true),
        3e-15,
    )


def _apart(found: Sequence[float], true: Sequence[float]) -> float:
    """`relative_error` of numbers; a tensor of them would be float32 unless told."""
    pair = torch.tensor([found, true], dtype=torch.float64)
    return relative_error(pair[0], pair[1])


def _door_check(doors: dict[float, tuple[float, float]]) -> Check:
    found, true = zip(*(doors[bias] for bias in CLOSED), strict=True)
    return Check(
        f"output biases {', '.join(f'{b:g}' for b in CLOSED)}: sigma(b_o)(1 - tanh^2 c_T) f^T",
        _apart(found, true),
        4e-15,
    )


def _unrolled(lstm: nn.LSTM, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """States of all steps, by a loop over the cell, for autograd."""
    zeros = x.new_zeros(len(x), lstm.hidden_size)
    states = [(zeros, zeros)]
    for now in x.unbind(1):
        states.append(torch.lstm_cell(now, states[-1], *lstm.all_weights[0]))
    return states[1:]


def _scan(width: int = 32, steps: int = 50) -> Check:
    """Of a width of its own: the sum over a few channels can cancel, and lose digits."""
    lstm = _random(width, 1.0)
    x = torch.randn(2, steps, width, dtype=torch.float64)
    states = _unrolled(lstm, x)
    flat = [part for state in states for part in state]
    found = torch.autograd.grad(states[-1][0].sum(), flat, materialize_grads=True)
    true = torch.stack(found).view(steps, 2, 2, width).permute(2, 0, 1, 3).flatten(2)
    direct = torch.zeros(2, steps, 2 * width, dtype=torch.float64)
    direct[:, -1, :width] = 1.0
    with torch.no_grad():
        scan = adjoint_scan(first_run(lstm.all_weights[0], x), direct)
    apart = (torch.cat([scan.h, scan.c], dim=2) - true).norm(dim=2) / true.norm(dim=2)
    claim = f"costates of (h, c), {steps} steps: scan = autograd through the unrolled cell"
    return Check(claim, float(apart.max()), 1e-14)


def _panels(readings: list[Reading], still: dict[str, Layer]) -> list[Panel]:
    belts = lines(readings, "belt")
    theory = [
        Line("" if place else "f^d", line.x, _decades(layer).tolist(), theory=True)
        for place, (line, layer) in enumerate(zip(belts, still.values(), strict=True))
    ]
    measured, closed = lines(readings, "door")
    full = [Line(line.label.removeprefix("a "), line.x, line.y) for line in lines(readings, "full")]
    alone = [
        Line("forget gates alone" if place == 0 else "", line.x, line.y, theory=True)
        for place, line in enumerate(lines(readings, "forget gates alone"))
    ]
    steps_back, decades = "steps back from the last", "log10 of the gradient"
    return [
        Panel([*belts, *theory], steps_back, decades, "the belt: W = 0"),
        Panel(
            [measured, Line(closed.label, closed.x, closed.y, theory=True)],
            "bias of the output gate",
            decades,
            "the door: 10 steps back, f = 0.9",
        ),
        Panel([*full, *alone], steps_back, decades, "random weights, forget bias added"),
    ]


def _conclusion(
    doors: dict[float, tuple[float, float]], left: dict[str, GateReport], T: int
) -> str:
    told = ", ".join(
        f"10^{float(report.full[-1]):.0f} with {name} (mean gate {report.means['f']:.2f}; gates "
        f"alone 10^{float(report.belt[-1]):.0f})"
        for name, report in left.items()
    )
    door = math.log10(doors[-20.0][0] / doors[5.0][0])
    return (
        f"In an LSTM with random weights there is left after {T - 1} steps, by all paths: {told}. "
        f"An output gate with a bias of -20 lets 10^{door:.1f} of what "
        f"one of +5 lets into the cell."
    )
