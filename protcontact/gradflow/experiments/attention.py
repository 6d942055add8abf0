"""What does attention's short path cost, and what does it give?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
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
    size,
)
from protcontact.gradflow.inputs import OnVectors
from protcontact.gradflow.long_memory import long_memory
from protcontact.gradflow.memory import memory_curve
from protcontact.models.encoders.transformer import Transformer, TransformerBlock, rotary_angles

HEADS, LAYERS = 4, 2
SHOWN, FUSED = "attention, maps shown", "attention, fused"
BYTES = torch.finfo(torch.float64).bits // 8
EVERY = 24  # residues of the chain on which every pair is asked


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
        "operations 24 L C^2 + 4 L^2 C in a block, 16 L C^2 in an LSTM\n"
        "held for the gradient: L^2 with the maps, L without, L in a recurrence"
    )
    explanation: ClassVar = (
        "In a recurrent network a gradient visits all residues between i and j. Attention "
        "compares i and j directly, so its gradient need not depend on how far apart they are "
        "along the chain, and does not where it looks at all alike. The price is that all pairs "
        "are compared: operations grow with the square of the length, and so does the memory for "
        "the maps, unless they are never stored (fused attention makes them again in the backward "
        "pass, which needs memory of order L only)."
    )
    source: ClassVar = "Vaswani et al. 2017; Dao et al. 2022 (fused attention)"

    length: int = size(1000, "residues of the chain of the curves", least=2)
    width: int = size(
        32,
        "channels",
        multiple=32,
        why="fused attention wants 8 channels in a head",
    )
    lengths: tuple[int, ...] = size(
        (64, 128, 256, 512, 1024), "residues at which cost is counted", least=2
    )

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: If one is out of its range.
        """
        super().__post_init__()
        rising = all(b == 2 * a for a, b in zip(self.lengths, self.lengths[1:], strict=False))
        if not rising or len(self.lengths) < 4:
            raise ValueError(f"lengths must be 4 or more that double, not {self.lengths}")

    def measure(self) -> Result:
        """Curves by distance, counts by length."""
        encoder = Transformer(self.width, LAYERS, HEADS).double()
        lstm = nn.LSTM(self.width, self.width, batch_first=True).double()
        networks: dict[str, nn.Module] = {
            SHOWN: OnVectors(encoder, visitor=lambda layer, maps: None),
            FUSED: OnVectors(encoder),
            "LSTM": lstm,
        }
        readings = self._curves(networks[FUSED], lstm)
        flops, held = {}, {}
        for name, network in networks.items():
            runs = [_run(network, L, self.width) for L in self.lengths]
            flops[name] = tuple(floating_operations(run) for run in runs)
            held[name] = tuple(saved_bytes(run) for run in runs)
            if name != FUSED:  # the fused products are not all counted
                readings += curve("operations", name, flops[name], self.lengths)
            readings += curve("saved_bytes", name, held[name], self.lengths)
        checks = [
            _flat(self.width, self.length),
            *_every_pair(self.width),
            self._operations(
                f"{LAYERS} blocks: {LAYERS} (24 L C^2 + 4 L^2 C)", flops[SHOWN], self._of_blocks
            ),
            self._operations("LSTM: 16 L C^2", flops["LSTM"], self._of_lstm),
            self._quadratic(held[SHOWN]),
            self._maps(held[SHOWN]),
            self._linear("fused", held[FUSED]),
            self._linear("LSTM", held["LSTM"]),
        ]
        return Result(
            readings, checks, self._panels(readings), self._conclusion(readings, flops, held)
        )

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

    def _of_blocks(self, L: int) -> int:
        """q, k, v and out: 8 L C^2; the second half: 16 L C^2; scores and sums: 4 L^2 C."""
        return LAYERS * (24 * L * self.width**2 + 4 * L**2 * self.width)

    def _of_lstm(self, L: int) -> int:
        """Four gates, each of x and h."""
        return 16 * L * self.width**2

    def _operations(self, what: str, costs: tuple[int, ...], form: Callable[[int], int]) -> Check:
        error = max(abs(c / form(L) - 1) for L, c in zip(self.lengths, costs, strict=True))
        return Check(f"operations of {what}, every length", error, 0.0)

    def _quadratic(self, costs: tuple[int, ...]) -> Check:
        """The polynomial of degree 2 through the first three lengths, at the last one."""
        predicted = polynomial(self.lengths[:3], costs[:3])(self.lengths[-1])
        claim = "bytes held, maps shown: a + b L + c L^2 through three lengths, at"
        return Check(f"{claim} {self.lengths[-1]}", abs(predicted / costs[-1] - 1), 1e-12)

    def _maps(self, costs: tuple[int, ...]) -> Check:
        """Each head of each block keeps one at least: less would not be a cost with L^2."""
        one = LAYERS * HEADS * BYTES
        L, (a, b, c) = self.lengths[0], costs[:3]
        kept = (c - 3 * b + 2 * a) / (6 * L**2 * one)  # of L, 2 L and 4 L
        whole = max(round(kept), 1)
        claim = f"of these c: {whole} whole maps for each of {HEADS} heads in {LAYERS} blocks"
        return Check(claim, abs(kept / whole - 1), 1e-12)

    def _linear(self, what: str, costs: tuple[int, ...]) -> Check:
        times = self.lengths[-1] // self.lengths[0]
        claim = f"bytes held, {what}: {times} times as much for {times} times the length"
        return Check(claim, abs(costs[-1] / (times * costs[0]) - 1), 0.0)

    def _conclusion(
        self,
        readings: list[Reading],
        flops: dict[str, tuple[int, ...]],
        held: dict[str, tuple[int, ...]],
    ) -> str:
        found = {line.label: line.y for line in lines(readings, "log10_gradient")}

        def exponent(costs: tuple[int, ...]) -> float:
            return math.log2(costs[-1] / costs[-2])

        near, far = ({name: y[place] for name, y in found.items()} for place in (1, -1))
        return (
            f"Attention leaves 10^{near['attention']:.1f} of the gradient at the next residue and "
            f"10^{far['attention']:.1f} over {self.length - 1}, the LSTM 10^{near['LSTM']:.1f} and "
            f"10^{far['LSTM']:.0f}. From {self.lengths[-2]} to {self.lengths[-1]} residues the "
            f"operations of attention grow with L^{exponent(flops[SHOWN]):.2f} and what it holds "
            f"for the gradient with L^{exponent(held[SHOWN]):.2f} if its maps are shown "
            f"({held[SHOWN][-1] / 1e6:.3g} MB) and L^{exponent(held[FUSED]):.2f} if they are not "
            f"({held[FUSED][-1] / 1e6:.3g} MB), those of the LSTM with "
            f"L^{exponent(flops['LSTM']):.2f} and L^{exponent(held['LSTM']):.2f}."
        )

    def _panels(self, readings: list[Reading]) -> list[Panel]:
        held, long = lines(readings, "saved_bytes"), self.lengths
        one_of = Line("1 / L", (0, self.length - 1), [-math.log10(self.length)] * 2, theory=True)
        forms = [
            Line("closed form", long, [self._of_blocks(L) for L in long], theory=True),
            Line("", long, [self._of_lstm(L) for L in long], theory=True),
        ]
        size = "residues L"
        return [
            Panel(
                [*lines(readings, "log10_gradient"), one_of],
                "residues back from the last",
                "log10 of the gradient, relative",
                "what it gives",
            ),
            Panel(
                [*lines(readings, "operations"), *forms],
                size,
                "operations",
                "work",
                xlog=True,
                ylog=True,
            ),
            Panel(
                [Line(line.label, line.x, [y / 1e6 for y in line.y]) for line in held],
                size,
                "MB held for the gradient",
                "memory",
                xlog=True,
                ylog=True,
            ),
        ]


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


def _alike(width: int) -> TransformerBlock:
    """A block of the package that compares nothing, and has no norm and no second half."""
    block = TransformerBlock(width, HEADS, expansion=1, dropout=0.0).double()
    block.attention_norm = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        block.qkv.weight[: 2 * width] = 0.0
        block.qkv.bias.zero_()
        for half in block.mlp.parameters():
            half.zero_()
    return block.requires_grad_(False)


def _value(block: TransformerBlock) -> Tensor:
    """``(C, C)``: ``W_O W_V``."""
    return block.out.weight @ block.qkv.weight[-block.out.in_features :]


def _flat(width: int, length: int) -> Check:
    block = _alike(width)
    x = torch.randn(1, length, width, dtype=torch.float64, requires_grad=True)
    signs = (torch.randint(0, 2, (width,)) * 2 - 1).double()
    (answer,) = torch.autograd.grad(run_block(block, x)[0, -1], x, signs)
    found = answer[0, :-1].norm(dim=1)
    true = (signs @ _value(block)).norm() / length
    return Check(
        "W_QK = 0: |r^T dy_i/dx_j| = |r^T W_O W_V| / L at every distance",
        relative_error(found, true.expand(length - 1)),
        3e-15,
    )


def _every_pair(width: int) -> list[Check]:
    """Each Jacobian block, whole, on a short chain, of the way that shows its maps."""
    block = _alike(width)
    x = torch.randn(EVERY, width, dtype=torch.float64)
    whole = torch.func.jacrev(lambda x: run_block(block, x[None], maps=True)[0])(x).transpose(1, 2)
    found = whole.flatten(2).norm(dim=2)[~torch.eye(EVERY, dtype=torch.bool)]
    true = (_value(block).norm() / EVERY).expand_as(found)
    claim = f"W_QK = 0: |dy_i/dx_j| = |W_O W_V| / L for each of the {len(found)} pairs of {EVERY}"
    return [
        Check(claim, relative_error(found, true), 3e-15),
        Check("the largest of these less the smallest", float(found.max() - found.min()), 0.0),
    ]
