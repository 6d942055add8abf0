"""How far back does the gradient of each kind of network reach along a protein?"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

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
)
from protcontact.gradflow.experiments.attention import Blocks
from protcontact.gradflow.long_memory import long_memory
from protcontact.gradflow.memory import memory_curve
from protcontact.gradflow.recall import LETTERS, Reader, Task, accuracy, train
from protcontact.models.encoders.convolution import DilatedConvolution
from protcontact.models.encoders.transformer import Transformer

KINDS: dict[str, Callable[[int], nn.Module]] = {
    "RNN, tanh": lambda width: nn.RNN(width, width, batch_first=True),
    "RNN, ReLU": lambda width: nn.RNN(width, width, nonlinearity="relu", batch_first=True),
    "LSTM": lambda width: nn.LSTM(width, width, batch_first=True),
    "GRU": lambda width: nn.GRU(width, width, batch_first=True),
    "Transformer": lambda width: Blocks(Transformer(width, layers=2, heads=4), maps=False),
    "convolution": lambda width: Convolution(width),
}
PROBES = 8
GRADUAL = 50  # distances over which the slope of a curve is told


class Convolution(nn.Module):
    """The blocks of the package's dilated convolution, without its embedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = DilatedConvolution(width, blocks=10)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, C) -> (B, L, C)``."""
        mask = torch.ones(x.shape[:2], dtype=torch.bool)
        for block in self.encoder.blocks:
            x = block(x, mask)
        return self.encoder.norm(x)


@dataclass(frozen=True)
class MemoryExperiment(Experiment):
    """Gradient from the last residue to the first, untrained and trained to remember."""

    title: ClassVar = "A recurrent network cannot learn what is 1,000 residues away"
    formula: ClassVar = (
        "dh_T / dh_t = D_T D_{T-1} ... D_{t+1},   D_k = diag(phi'(a_k)) W\n"
        "|dh_T / dh_t| <= (gamma s_max(W))^(T-t),   gamma = max phi' (1 for tanh, 1/4 for sigmoid)"
    )
    explanation: ClassVar = (
        "A contact between residues i and j is learnt from a gradient that comes from what the "
        "network says of j and reaches what it read at i. In a recurrent network it passes one "
        "Jacobian for each residue in between, and their product falls, or rises, exponentially. "
        "The gates of LSTM and GRU can hold it near 1, but must first learn to. Attention and "
        "convolutions whose stride doubles have a path of a few steps between any two residues. "
        "Each network is shown as initialised, and after it was trained to remember the first "
        "letter of short chains. A network may remember in a saturated unit: then it recalls, but "
        "no gradient passes, and from farther away it learns nothing new."
    )
    source: ClassVar = "Hochreiter 1991; Bengio, Simard and Frasconi 1994; Pascanu et al. 2013"

    length: int = field(default=1000, metadata={"help": "residues of the chain"})
    width: int = field(default=32, metadata={"help": "channels of each network"})
    steps: int = field(default=500, metadata={"help": "training steps of each network"})

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: If one is out of its range.
        """
        if self.length < GRADUAL + 2 or self.width < 8 or self.width % 8 or self.steps < 1:
            raise ValueError(
                f"length must be >= {GRADUAL + 2}, width a multiple of 8 and steps >= 1, not "
                f"{self.length}, {self.width} and {self.steps}"
            )

    def measure(self) -> Result:
        """Measure each network, train it, and measure it again."""
        task = Task()
        letters = torch.randint(task.kinds, LETTERS, (1, self.length))
        letters[0, 0] = 0
        readings: list[Reading] = []
        for name, make in KINDS.items():
            torch.manual_seed(self.seed)
            reader = Reader(make(self.width), self.width, task.kinds)
            readings += _measured(reader, letters, f"{name}, untrained")
            train(reader, task, self.steps)
            right = accuracy(reader, task, task.longest)
            readings.append(Reading("accuracy", f"{name}, trained", task.longest, right))
            readings += _measured(reader, letters, f"{name}, trained")
        checks = [_orthogonal(self.length), *_jacobians(self.width, self.length), _frobenius()]
        return Result(readings, checks, _panels(readings), _conclusion(readings, self.length))


def _measured(reader: Reader, letters: Tensor, where: str) -> list[Reading]:
    """The curve by distance, in float64, relative to that at distance 0; and its reach."""
    network = reader.network.double()
    x = reader.embedding(letters).detach().double()
    if isinstance(network, nn.RNNBase):
        H = network.hidden_size
        signs = torch.randint(0, 2, (PROBES, H)).double() * 2 - 1
        if isinstance(network, nn.LSTM):  # what the network says is h; c has no say of its own
            signs = torch.cat([signs, torch.zeros_like(signs)], dim=1)
        curves = long_memory(network, x.expand(PROBES, -1, -1), signs).curve[:, :-1]
        logs = _rms(curves)
    else:
        logs = memory_curve(network, x, probes=PROBES)
    reader.network.float()
    logs = logs - logs[0]
    first = float(reach(logs[None])[0])
    return [
        *curve("log10_gradient", where, logs.tolist()),
        Reading("reach_1e-3", where, len(logs), first),
        Reading("log10_per_residue", where, GRADUAL, float(logs[GRADUAL]) / GRADUAL),
    ]


def _rms(logs: Tensor) -> Tensor:
    """``(S, D) -> (D,)``: log10 of the root mean square of numbers given by their log10."""
    return (torch.logsumexp(logs * 2 * math.log(10), dim=0) - math.log(len(logs))) / (
        2 * math.log(10)
    )


def _orthogonal(length: int, rho: float = 0.9) -> Check:
    """An RNN at rest, W = rho Q: each step multiplies by rho, whatever the direction."""
    rnn = nn.RNN(8, 8, batch_first=True).double()
    _, W, *biases = rnn.all_weights[0]
    nn.init.orthogonal_(W, gain=rho)
    for bias in biases:
        nn.init.zeros_(bias)
    x = torch.zeros(1, length, 8, dtype=torch.float64)
    logs = long_memory(rnn, x, torch.randn(1, 8, dtype=torch.float64)).curve[0]
    theory = torch.arange(length + 1, dtype=torch.float64) * math.log10(rho)
    error = ratio_error(logs - logs[0], theory)
    return Check(f"RNN, W = {rho} Q: |dh_T/dh_t| = {rho}^(T-t), every distance", error, 1e-12)


def _jacobians(width: int, length: int) -> list[Check]:
    """An RNN on random input, against matrices written out, and against the bound."""
    rnn = nn.RNN(width, width, batch_first=True).double()
    x = torch.randn(1, length, width, dtype=torch.float64)
    cotangent = torch.randn(1, width, dtype=torch.float64)
    logs = long_memory(rnn, x, cotangent).curve[0]
    with torch.no_grad():
        states = rnn(x)[0][0]
        W = rnn.all_weights[0][1].detach()
        v, true = cotangent[0] / cotangent.norm(), [0.0]
        for h in states.flip(0):
            v = (torch.diag(1 - h**2) @ W).mT @ v
            true.append(true[-1] + float(v.norm().log10()))
            v = v / v.norm()
        worst = float(torch.linalg.matrix_norm(W, 2).log10())
    product = torch.tensor(true, dtype=torch.float64)
    bound = torch.arange(length + 1, dtype=torch.float64) * worst
    above = float((logs - logs[0] - bound).clamp(min=0).max())
    return [
        Check(
            "RNN: the curve = product of D_k = diag(1 - h_k^2) W",
            ratio_error(logs - logs[0], product),
            1e-11,
        ),
        Check("RNN: |dh_T/dh_t| <= s_max(W)^(T-t): decades above it", above, 1e-12),
    ]


def _frobenius(channels: int = 3, length: int = 6) -> Check:
    """All signs there are, instead of a few drawn at random, against the dense Jacobian."""
    gru = nn.GRU(channels, channels, batch_first=True).double()
    x = torch.randn(1, length, channels, dtype=torch.float64)
    dense = torch.autograd.functional.jacobian(lambda a: gru(a)[0][:, -1], x)[0, :, 0]
    true = dense.square().sum(dim=(0, 2)).flip(0)
    bits = torch.arange(2**channels)[:, None] >> torch.arange(channels) & 1
    signs = bits.double() * 2 - 1
    leaf = x.expand(len(signs), -1, -1).clone().requires_grad_()
    (answer,) = torch.autograd.grad(gru(leaf)[0][:, -1], leaf, signs)
    found = answer.square().sum(dim=2).mean(dim=0).flip(0)
    return Check("mean over all signs of |J^T r|^2 = |J|_F^2", relative_error(found, true), 4e-15)


def _panels(readings: list[Reading]) -> list[Panel]:
    shown = lines(readings, "log10_gradient")
    return [
        Panel(
            [
                Line(line.label.removesuffix(ending), line.x, line.y)
                for line in shown
                if line.label.endswith(ending)
            ],
            "residues back from the last",
            "log10 of the gradient, relative",
            title,
            level=-3.0,
        )
        for ending, title in ((", untrained", "as initialised"), (", trained", "trained to recall"))
    ]


def _conclusion(readings: list[Reading], length: int) -> str:
    last = {r.where: r.value for r in readings if r.probe == "log10_gradient"}
    slope = {r.where: r.value for r in readings if r.probe == "log10_per_residue"}
    right = {r.where: r.value for r in readings if r.probe == "accuracy"}
    told = ", ".join(f"{name} 10^{last[f'{name}, untrained']:.0f}" for name in KINDS)
    learnt = ", ".join(
        f"{name} {right[f'{name}, trained']:.0%} (10^{last[f'{name}, trained']:.0f})"
        for name in KINDS
    )
    return (
        f"Of the gradient {length - 1} residues back there is left, as initialised: {told}; the "
        f"tanh RNN loses {-slope['RNN, tanh, untrained']:.2f} decades per residue. Trained to "
        f"recall the first letter of chains of 2 to 32 residues (chance is 25%), this share is "
        f"right at 32, and this much of the gradient of the long chain is left: {learnt}."
    )
