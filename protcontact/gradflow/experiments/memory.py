"""How far back does the gradient of each kind of network reach along a protein?"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

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
from protcontact.gradflow.inputs import OnVectors
from protcontact.gradflow.long_memory import long_memory
from protcontact.gradflow.memory import rms_curve
from protcontact.gradflow.recall import LETTERS, Reader, Task, accuracy, train
from protcontact.models.encoders.convolution import DilatedConvolution
from protcontact.models.encoders.transformer import Transformer

KINDS: dict[str, Callable[[int], nn.Module]] = {
    "RNN, tanh": lambda width: nn.RNN(width, width, batch_first=True),
    "RNN, ReLU": lambda width: nn.RNN(width, width, nonlinearity="relu", batch_first=True),
    "LSTM": lambda width: nn.LSTM(width, width, batch_first=True),
    "GRU": lambda width: nn.GRU(width, width, batch_first=True),
    "Transformer": lambda width: OnVectors(Transformer(width, layers=2, heads=4)),
    "convolution": lambda width: OnVectors(DilatedConvolution(width, blocks=10)),
}
PROBES = 8
GRADUAL = 50  # distances over which the slope of a curve is told, and that are shown by themselves
FEW = 2  # batches on which the recall of long chains is counted
RHO = 0.9


class Asked(NamedTuple):
    """A network, what it reads, and what is asked of its last residue.

    Attributes:
        network: ``(B, L, C) -> (B, L, C)``, float64.
        x: ``(1, L, C)``.
        signs: ``(PROBES, C)``, +1 and -1.
        logs: ``(L,)``: log10 of the rms of the gradient by x at distance 0 ... L - 1.
    """

    network: nn.Module
    x: Tensor
    signs: Tensor
    logs: Tensor


@dataclass(frozen=True)
class MemoryExperiment(Experiment):
    """Gradient from the last residue to the first, untrained and trained to remember."""

    title: ClassVar = "1,000 residues back, a gradient is a product of 1,000 Jacobians, or of a few"
    formula: ClassVar = (
        "dy_T / dx_t = D_T D_{T-1} ... D_{t+1} dh_t / dx_t,   D_k = diag(phi'(a_k)) W\n"
        "|dy_T / dx_t| <= gamma^(T-t+1) s_max(W)^(T-t) s_max(U),   "
        "gamma = max phi' (1 for tanh and ReLU)"
    )
    explanation: ClassVar = (
        "A contact between residues i and j is learnt from a gradient that comes from what the "
        "network says of j and reaches what it read at i. In a recurrent network it passes one "
        "Jacobian for each residue in between, and their product falls, or rises, exponentially; "
        "the gates of LSTM and GRU can hold it near 1, but must first learn to. Attention and "
        "convolutions whose stride doubles have a path of a few steps between any two residues: "
        "their curve falls at once, as a residue says more of itself than of any other, and then "
        "hardly any more. Each network is shown as initialised, and after a short training to tell "
        "the first letter of short chains; one that remembers in saturated units recalls without "
        "letting a gradient pass."
    )
    source: ClassVar = "Hochreiter 1991; Bengio, Simard and Frasconi 1994; Pascanu et al. 2013"

    length: int = size(1000, "residues of the chain", least=GRADUAL + 2)
    width: int = size(32, "channels of each network", multiple=8)
    steps: int = size(500, "training steps of each network")

    def measure(self) -> Result:
        """Measure each network, train it, and measure it again."""
        task = Task()
        letters = torch.randint(task.kinds, LETTERS, (1, self.length))
        letters[0, 0] = 0
        asked: dict[str, Asked] = {}
        readings: list[Reading] = []
        for name, make in KINDS.items():
            torch.manual_seed(self.seed)
            reader = Reader(make(self.width), self.width, task.kinds)
            asked[f"{name}, untrained"] = _asked(reader, letters)
            train(reader, task, self.steps)
            asked[f"{name}, trained"] = _asked(reader, letters)
            readings += _recall(reader, task, self.length, f"{name}, trained")
        for where, found in asked.items():
            readings += _readings(found.logs - found.logs[0], where)
        checks = [
            _orthogonal(self.length),
            *_products(asked),
            _bound(asked, letters),
            _two_ways(asked),
            _frobenius(),
        ]
        return Result(readings, checks, _panels(readings), _conclusion(readings, self.length))


def _asked(reader: Reader, letters: Tensor) -> Asked:
    """A copy of the network as it is now, in float64, and its curve."""
    network = copy.deepcopy(reader.network).double().eval()
    x = reader.embedding(letters).detach().double()
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (PROBES, x.shape[2]), generator=generator).double() * 2 - 1
    if isinstance(network, nn.RNNBase):
        logs = _recurrent(network, x, signs)
    else:
        logs = rms_curve(network, x, -1, PROBES, partial(_sent, signs))
    return Asked(network, x, signs, logs)


def _sent(signs: Tensor, said: Tensor) -> Tensor:
    """Cotangents that are given, whatever was said."""
    return signs


def _recurrent(network: nn.RNNBase, x: Tensor, signs: Tensor) -> Tensor:
    """In logarithms, without a smallest float."""
    if isinstance(network, nn.LSTM):  # what the network says is h; c has no say of its own
        signs = torch.cat([signs, torch.zeros_like(signs)], dim=1)
    return _rms(long_memory(network, x.expand(len(signs), -1, -1), signs).inputs)


def _rms(logs: Tensor) -> Tensor:
    """``(S, D) -> (D,)``: log10 of the root mean square of numbers given by their log10."""
    nats = 2 * math.log(10)
    return (torch.logsumexp(logs * nats, dim=0) - math.log(len(logs))) / nats


def _recall(reader: Reader, task: Task, length: int, where: str) -> list[Reading]:
    """How often the first letter is told: of chains as long as in training, and of longer ones."""
    shares = {L: accuracy(reader, task, L, FEW) for L in (100, length) if task.longest < L}
    shares[task.longest] = accuracy(reader, task, task.longest)
    return [Reading("accuracy", where, L, shares[L]) for L in sorted(shares)]


def _readings(logs: Tensor, where: str) -> list[Reading]:
    neighbours = logs[1:] - logs[1]
    return [
        *curve("log10_gradient", where, logs.tolist()),
        Reading("reach_1e-3", where, len(logs), float(reach(logs[None])[0])),
        Reading("reach_1e-3_of_neighbour", where, len(logs), 1 + float(reach(neighbours[None])[0])),
        Reading("log10_per_residue", where, GRADUAL, float(logs[GRADUAL]) / GRADUAL),
    ]


def _orthogonal_rnn(channels: int) -> nn.RNN:
    """W = rho Q, with a Q that floats hold exactly: Sylvester's matrix, its rows in any order."""
    rnn = nn.RNN(channels, 16, batch_first=True).double()
    _, W, *biases = rnn.all_weights[0]
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    four = torch.kron(two, two)
    with torch.no_grad():
        W.copy_(RHO * torch.kron(four, four)[torch.randperm(16)] / 4)
        for bias in biases:
            bias.zero_()
    return rnn


def _orthogonal(length: int) -> Check:
    """An RNN at rest: each step multiplies by rho, whatever the direction."""
    x = torch.zeros(1, length, 8, dtype=torch.float64)
    cotangent = torch.randn(1, 16, dtype=torch.float64)
    logs = long_memory(_orthogonal_rnn(8), x, cotangent).curve[0]
    theory = torch.arange(length + 1, dtype=torch.float64) * math.log10(RHO)
    error = ratio_error(logs - logs[0], theory)
    return Check(
        f"RNN at rest, W = {RHO} Q: |dh_T/dh_t| = {RHO}^(T-t), every distance", error, 1e-13
    )


def _products(asked: dict[str, Asked]) -> list[Check]:
    """The curves of the RNNs against matrices written out."""
    errors: dict[str, list[float]] = {}
    for found in asked.values():
        if isinstance(found.network, nn.RNN):
            error = ratio_error(found.logs, _product(found.network, found.x, found.signs))
            errors.setdefault(found.network.nonlinearity, []).append(error)
    return [
        Check(
            f"curves of the {kind} RNN = products of D_k = diag(phi') W, written out",
            float(torch.tensor(both).max()),  # NaN stays NaN
            1e-11,
        )
        for kind, both in errors.items()
    ]


@torch.no_grad()
def _product(rnn: nn.RNN, x: Tensor, signs: Tensor) -> Tensor:
    """``(L,)``: the curve of an RNN by its dense Jacobians along the chain."""
    U, W, *_ = rnn.all_weights[0]
    v, power = signs, torch.zeros(len(signs), dtype=torch.float64)
    found = []
    for h in rnn(x)[0][0].flip(0):
        slope = 1 - h**2 if rnn.nonlinearity == "tanh" else (h > 0).double()
        sent = (v @ (torch.diag(slope) @ U)).norm(dim=1)
        found.append(sent.log10() + power * math.log10(2))
        v = v @ (torch.diag(slope) @ W)
        exponent = v.norm(dim=1).frexp().exponent
        v, power = v.ldexp(-exponent[:, None]), power + exponent
    return _rms(torch.stack(found, dim=1))


def _bound(asked: dict[str, Asked], letters: Tensor) -> Check:
    """No RNN is above it: those measured, and one with W = rho Q, where it falls with distance."""
    rnn = _orthogonal_rnn(8)
    x = torch.randn(LETTERS, 8, dtype=torch.float64)[letters]
    signs = torch.randint(0, 2, (PROBES, 16)).double() * 2 - 1
    found = [(rnn, _recurrent(rnn, x, signs))]
    found += [(a.network, a.logs) for a in asked.values() if isinstance(a.network, nn.RNN)]
    above = [(logs - _largest(network, len(logs))).clamp(min=0).max() for network, logs in found]
    return Check(
        "RNNs: |r^T dy_T/dx_t| <= |r| s_max(W)^(T-t) s_max(U): decades above it",
        float(torch.stack(above).max()),
        1e-12,
    )


@torch.no_grad()
def _largest(rnn: nn.RNN, length: int) -> Tensor:
    """``(L,)``: log10 of what can be left at most, by the largest singular values."""
    U, W = (torch.linalg.matrix_norm(w, 2).log10() for w in rnn.all_weights[0][:2])
    return U + torch.arange(length, dtype=torch.float64) * W + math.log10(rnn.hidden_size) / 2


def _two_ways(asked: dict[str, Asked]) -> Check:
    """`long_memory`, chunk by chunk, against one backward pass of the whole module."""
    errors = []
    for network, x, signs, logs in asked.values():
        if isinstance(network, nn.RNNBase):
            whole = rms_curve(network, x, -1, PROBES, partial(_sent, signs))
            held = whole.isfinite()  # by float64
            errors.append(ratio_error(logs[held], whole[held]))
    return Check(
        "recurrences: chunks in logarithms = one backward pass, where float64 holds it",
        float(torch.tensor(errors).max()),
        1e-10,
    )


def _frobenius(channels: int = 3, length: int = 6) -> Check:
    """All signs there are, instead of a few drawn at random, against the dense Jacobian."""
    gru = nn.GRU(channels, channels, batch_first=True).double()
    x = torch.randn(1, length, channels, dtype=torch.float64)
    dense = torch.autograd.functional.jacobian(lambda a: gru(a)[0][:, -1], x)[0, :, 0]
    true = dense.square().sum(dim=(0, 2)).flip(0)
    bits = torch.arange(2**channels)[:, None] >> torch.arange(channels) & 1
    signs = bits.double() * 2 - 1
    found = 100 ** rms_curve(gru, x, -1, len(signs), partial(_sent, signs))
    return Check("mean over all signs of |J^T r|^2 = |J|_F^2", relative_error(found, true), 4e-15)


def _panels(readings: list[Reading]) -> list[Panel]:
    """Untrained and trained, whole and near."""
    shown = lines(readings, "log10_gradient")
    length = len(shown[0].x)
    return [
        Panel(
            [
                Line(line.label.removesuffix(ending), line.x[:count], line.y[:count])
                for line in shown
                if line.label.endswith(ending)
            ],
            "residues back from the last",
            "log10 of the gradient, relative",
            title + near,
            level=-3.0,
        )
        for count, near in ((length, ""), (GRADUAL + 1, f": the first {GRADUAL}"))
        for ending, title in ((", untrained", "as initialised"), (", trained", "trained to recall"))
    ]


def _conclusion(readings: list[Reading], length: int) -> str:
    last = {r.where: r.value for r in readings if r.probe == "log10_gradient"}
    slope = {r.where: r.value for r in readings if r.probe == "log10_per_residue"}
    far = {r.where: r.value for r in readings if r.probe == "reach_1e-3_of_neighbour"}
    right = {(r.where, r.index): r.value for r in readings if r.probe == "accuracy"}
    task = Task()

    def told(name: str) -> str:
        reached = far[f"{name}, untrained"]
        after = f"after {reached:.0f}" if reached < length else "nowhere"
        return f"{name} 10^{last[f'{name}, untrained']:.0f} ({after})"

    def learnt(name: str) -> str:
        where = f"{name}, trained"
        short, long = (f"{right[where, L]:.0%}" for L in (task.longest, length))
        return f"{name} {short} and {long} (10^{last[where]:.0f})"

    return (
        f"Of the gradient {length - 1} residues back there is left, as initialised (in brackets, "
        "after how many residues it first falls below a thousandth of the neighbour's): "
        f"{', '.join(map(told, KINDS))}; that of the tanh RNN changes by "
        f"{slope['RNN, tanh, untrained']:+.2f} decades per residue. Trained shortly to recall the "
        f"first letter of chains of {task.shortest} to {task.longest} residues (chance is "
        f"{1 / task.kinds:.0%}), this share is right at {task.longest} and at {length} residues "
        f"(in brackets, what is then left of the gradient): {', '.join(map(learnt, KINDS))}."
    )
