"""What does attention's short path cost, and what does it give?"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.cost import floating_operations, polynomial, saved_bytes
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    curve,
    lines,
    relative_error,
)
from protcontact.gradflow.long_memory import long_memory
from protcontact.gradflow.memory import memory_curve
from protcontact.models.encoders.transformer import Transformer, TransformerBlock, rotary_angles

HEADS = 4


class Blocks(nn.Module):
    """The blocks of the package's Transformer on vectors, with or without showing their maps."""

    def __init__(self, encoder: Transformer, maps: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, C) -> (B, L, C)``."""
        for block in self.encoder.blocks:
            assert isinstance(block, TransformerBlock)
            x = run_block(block, x, self.maps)
        return self.encoder.norm(x)


def run_block(block: TransformerBlock, x: Tensor, maps: bool = False) -> Tensor:
    """``(B, L, C) -> (B, L, C)``: one block on whole chains."""
    index = torch.arange(x.shape[1]).expand(x.shape[:2])
    rotation = rotary_angles(index, block.head_channels, x.dtype)
    return block(x, index >= 0, rotation, maps)[0]


@dataclass(frozen=True)
class AttentionExperiment(Experiment):
    """Flat in distance, quadratic in length."""

    title: ClassVar = "Attention reaches every residue in one step, and pays with the square of L"
    formula: ClassVar = (
        "y_i = x_i + W_O sum_j A_ij W_V x_j,   dy_i / dx_j = A_ij W_O W_V + ...   for every j\n"
        "A uniform (W_QK = 0): |r^T W_O W_V| / L, the same at every distance\n"
        "operations a L + b L^2, maps held for the gradient L^2; a recurrence: a L"
    )
    explanation: ClassVar = (
        "In a recurrent network a gradient visits all residues between i and j. Attention compares "
        "i and j directly, so its gradient does not depend on how far apart they are along the "
        "chain. The price is that all pairs are compared: operations grow with the square of the "
        "length, and so does the memory for the maps, unless they are never stored (fused "
        "attention makes them again in the backward pass, which needs memory of order L only)."
    )
    source: ClassVar = "Vaswani et al. 2017; Dao et al. 2022 (fused attention)"

    length: int = field(default=1000, metadata={"help": "residues of the chain of the curves"})
    width: int = field(default=32, metadata={"help": "channels, a multiple of 32"})
    lengths: tuple[int, ...] = field(
        default=(64, 128, 256, 512, 1024), metadata={"help": "residues at which cost is counted"}
    )

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: If one is out of its range.
        """
        rising = all(b == 2 * a for a, b in zip(self.lengths, self.lengths[1:], strict=False))
        if self.length < 2 or self.width < 32 or self.width % 32 or len(self.lengths) < 4:
            raise ValueError(
                "length must be >= 2, width a multiple of 32 (fused attention wants 8 channels in "
                "a head), and lengths 4 or more, not "
                f"{self.length}, {self.width} and {self.lengths}"
            )
        if not rising or self.lengths[0] < 2:
            raise ValueError(f"lengths must double, from 2 or more on, not {self.lengths}")

    def measure(self) -> Result:
        """Curves by distance, counts by length."""
        encoder = Transformer(self.width, layers=2, heads=HEADS).double()
        lstm = nn.LSTM(self.width, self.width, batch_first=True).double()
        networks: dict[str, nn.Module] = {
            "attention, maps shown": Blocks(encoder, maps=True),
            "attention, fused": Blocks(encoder, maps=False),
            "LSTM": lstm,
        }
        readings = self._curves(networks["attention, fused"], lstm)
        flops, held = {}, {}
        for name, network in networks.items():
            runs = [_run(network, L, self.width) for L in self.lengths]
            flops[name] = tuple(floating_operations(run) for run in runs)
            held[name] = tuple(saved_bytes(run) for run in runs)
            if name != "attention, fused":  # the fused products are not all counted
                readings += curve("operations", name, flops[name], self.lengths)
            readings += curve("saved_bytes", name, held[name], self.lengths)
        checks = [
            _flat(self.width, self.length),
            self._quadratic("operations, maps shown", flops["attention, maps shown"]),
            self._quadratic("bytes held, maps shown", held["attention, maps shown"]),
            self._linear("bytes held, fused", held["attention, fused"]),
            self._linear("bytes held, LSTM", held["LSTM"]),
            self._linear("operations, LSTM", flops["LSTM"]),
        ]
        return Result(readings, checks, _panels(readings), self._conclusion(readings, flops, held))

    def _curves(self, attention: nn.Module, lstm: nn.LSTM) -> list[Reading]:
        x = torch.randn(1, self.length, self.width, dtype=torch.float64)
        far = memory_curve(attention, x)
        signs = (torch.randint(0, 2, (1, self.width)) * 2 - 1).double()
        sent = torch.cat([signs, torch.zeros_like(signs)], dim=1)
        step = long_memory(lstm, x, sent).curve[0, :-1]
        found = {"attention": far - far[0], "LSTM": step - step[0]}
        return [
            r for name, logs in found.items() for r in curve("log10_gradient", name, logs.tolist())
        ]

    def _quadratic(self, what: str, costs: tuple[int, ...]) -> Check:
        """The polynomial of degree 2 through the first three lengths, at the last one."""
        predicted = polynomial(self.lengths[:3], costs[:3])(self.lengths[-1])
        claim = f"{what}: a + b L + c L^2 through three lengths, at {self.lengths[-1]}"
        return Check(claim, abs(predicted / costs[-1] - 1), 1e-12)

    def _linear(self, what: str, costs: tuple[int, ...]) -> Check:
        times = self.lengths[-1] // self.lengths[0]
        claim = f"{what}: {times} times as much for {times} times the length"
        return Check(claim, abs(costs[-1] / (times * costs[0]) - 1), 0.0)

    def _conclusion(
        self,
        readings: list[Reading],
        flops: dict[str, tuple[int, ...]],
        held: dict[str, tuple[int, ...]],
    ) -> str:
        last = {r.where: r.value for r in readings if r.probe == "log10_gradient"}
        shown, fused = "attention, maps shown", "attention, fused"

        def exponent(costs: tuple[int, ...]) -> float:
            return math.log2(costs[-1] / costs[-2])

        return (
            f"Over {self.length - 1} residues attention leaves 10^{last['attention']:.1f} of the "
            f"gradient and the LSTM 10^{last['LSTM']:.0f}. From {self.lengths[-2]} to "
            f"{self.lengths[-1]} residues the operations of attention grow with L^"
            f"{exponent(flops[shown]):.2f} and the memory of its maps with L^"
            f"{exponent(held[shown]):.2f} ({held[shown][-1] / 1e6:.0f} MB; fused "
            f"{held[fused][-1] / 1e6:.0f} MB, L^{exponent(held[fused]):.2f}), those of the LSTM "
            f"with L^{exponent(flops['LSTM']):.2f} and L^{exponent(held['LSTM']):.2f}."
        )


class _Run:
    """A network on random vectors of a length."""

    def __init__(self, network: nn.Module, x: Tensor) -> None:
        self.network = network
        self.x = x

    def __call__(self) -> Tensor:
        y = self.network(self.x)
        return y if isinstance(y, Tensor) else y[0]


def _run(network: nn.Module, length: int, width: int) -> _Run:
    return _Run(network, torch.randn(1, length, width, dtype=torch.float64))


def _flat(width: int, length: int) -> Check:
    """A block of the package that compares nothing, and has no norm and no second half."""
    block = TransformerBlock(width, HEADS, expansion=1, dropout=0.0).double()
    block.attention_norm = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        block.qkv.weight[: 2 * width] = 0.0
        block.qkv.bias.zero_()
        for half in block.mlp.parameters():
            half.zero_()
    x = torch.randn(1, length, width, dtype=torch.float64, requires_grad=True)
    signs = (torch.randint(0, 2, (width,)) * 2 - 1).double()
    (answer,) = torch.autograd.grad(run_block(block, x)[0, -1], x, signs)
    found = answer[0, :-1].norm(dim=1)
    true = (signs @ block.out.weight @ block.qkv.weight[2 * width :]).norm() / length
    return Check(
        "W_QK = 0: |r^T dy_i/dx_j| = |r^T W_O W_V| / L at every distance",
        relative_error(found, true.expand(length - 1)),
        1e-13,
    )


def _panels(readings: list[Reading]) -> list[Panel]:
    held = lines(readings, "saved_bytes")
    return [
        Panel(
            lines(readings, "log10_gradient"),
            "residues back from the last",
            "log10 of the gradient, relative",
            "what it gives",
            level=-3.0,
        ),
        Panel(
            lines(readings, "operations"), "residues L", "operations", "work", xlog=True, ylog=True
        ),
        Panel(
            [Line(line.label, line.x, [y / 1e6 for y in line.y]) for line in held],
            "residues L",
            "MB held for the gradient",
            "memory",
            xlog=True,
            ylog=True,
        ),
    ]
