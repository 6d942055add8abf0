"""What does the identity of a residual block do to the gradient, and how deep is such a network?"""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from protcontact.figures.panels import Line, Panel
from protcontact.gradflow.depth import depth_curve
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    apart,
    curve,
    lines,
    relative_error,
    size,
)
from protcontact.gradflow.linear import vjp
from protcontact.gradflow.map_norm import without_norm
from protcontact.gradflow.paths import counted, lengths, parts, path_length, shares
from protcontact.gradflow.stacks import StackLayer, stack
from protcontact.models.heads.resnet import ResNet
from protcontact.models.residual import ResidualBlock

GAIN = 1 / math.sqrt(3)  # of torch's own initialisation of a linear layer
FULL, SMALL = "x + F(x)", "x + F(x) / sqrt(D)"
INPUTS = 32  # of the stacks, so that a mean over paths is not that of one input
A = 0.3  # the linear branch F(x) = A x of the closed forms


@dataclass(frozen=True)
class ResidualExperiment(Experiment):
    """Costates and paths with and without the identity: stacks, and the ResNet pair head."""

    title: ClassVar = "A residual block adds a way that the gradient takes whole"
    formula: ClassVar = (
        "F(x):      lambda_0 = J_1^T ... J_D^T lambda_D, about rho^D\n"
        "x + F(x):  lambda_0 = (I + J_1^T) ... (I + J_D^T) lambda_D = sum over 2^D paths\n"
        "J_k = a I: a^D   against   (1 + a)^D = sum_k C(D, k) a^k, mean path D a / (1 + a)"
    )
    explanation: ClassVar = (
        "Without an identity the gradient is multiplied by the Jacobian of every layer, so it "
        "shrinks or grows exponentially with depth: it grows where weights are large, or where a "
        "norm in each layer, as in the pair head, enlarges what has become small. A residual "
        "block adds its input to what it computes; the gradient then comes back once unchanged "
        "and once through the block. Multiplied out, a network of D such blocks is a sum over 2^D "
        "paths, from one that passes no block to one that passes all. The length of a path is the "
        "number of blocks it passes, and a deep residual network learns by its short ones."
    )
    source: ClassVar = "He et al. 2016 (identity mappings); Veit, Wilber and Belongie 2016"

    depth: int = size(1000, "layers of the stacks")
    width: int = size(64, "units of a layer of the stacks")
    blocks: int = size(64, "blocks of the ResNet head")
    channels: int = size(
        16, "channels of the ResNet head", least=2, why="a layer norm of one channel is 0"
    )
    length: int = size(64, "residues of the chain it reads", least=4)

    def measure(self) -> Result:
        """Stacks of tanh layers, the pair head of the package, and linear branches."""
        readings = _stacks(self.depth, self.width)
        passes = [
            _pass(self, skips=True),
            _pass(self, skips=False),
            _pass(self, skips=False, norms=False),
        ]
        for found in passes:
            logs = torch.stack([costate.norm().log10() for costate in reversed(found.costates)])
            readings += curve("log10_head_costate", found.where, (logs - logs[0]).tolist())
        residual = passes[0]
        split = parts(residual.blocks, residual.maps[0], residual.costates[-1])
        share = shares(split)
        readings += curve("path_share", residual.where, share.tolist())
        readings += curve("identity_share", residual.where, _identity_shares(residual.costates))
        return Result(
            readings,
            [*_linear(self.depth, self.blocks), *_head_checks(residual, split, share)],
            _panels(readings, self.depth),
            _conclusion(readings, self),
        )


class HeadPass(NamedTuple):
    """A pass through a ResNet head and back.

    Attributes:
        where: Which head.
        blocks: Its D blocks as functions of the map.
        maps: D + 1 maps: in front of the blocks, and behind each.
        costates: D + 1 gradients at these, of a random sum of logits.
        mean: Mean number of branches on the paths between the first and the last of them.
    """

    where: str
    blocks: list["MapBlock"]
    maps: list[Tensor]
    costates: list[Tensor]
    mean: float


@dataclass(frozen=True)
class MapBlock:
    """A block of the head as a function of the map alone; all cells are real."""

    block: ResidualBlock
    cells: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        """``(1, M, M, C) -> (1, M, M, C)``."""
        return self.block(z, self.cells)


def _stacks(depth: int, width: int) -> list[Reading]:
    """The same layers without the identity, with it, and with it and small branches."""
    x, cotangent = torch.randn(2, INPUTS, width, dtype=torch.float64)
    plain = stack(depth, width, torch.tanh, gain=GAIN)
    readings = curve("log10_costate", "F(x)", _costates(list(plain), x, cotangent))
    for where, scale in ((FULL, 1.0), (SMALL, depth**-0.5)):
        layers = stack(depth, width, torch.tanh, gain=GAIN, identity=True, scale=scale)
        layers.load_state_dict(plain.state_dict())
        readings += curve("log10_costate", where, _costates(list(layers), x, cotangent))
        readings += curve("path_length", where, lengths(list(layers), x, cotangent).tolist())
    return readings


def _costates(layers: list, x: Tensor, cotangent: Tensor) -> list[float]:
    logs = depth_curve(layers, x, cotangent)
    return (logs - logs[0]).tolist()


def _pass(sizes: ResidualExperiment, skips: bool, norms: bool = True) -> HeadPass:
    """A head and a chain that are the same for all switches."""
    torch.manual_seed(sizes.seed)
    head = ResNet(sizes.channels, sizes.channels, sizes.blocks, skips=skips).double().eval()
    x = torch.randn(1, sizes.length, sizes.channels, dtype=torch.float64)
    mask = torch.ones(1, sizes.length, dtype=torch.bool)
    maps: list[Tensor] = []
    cells: list[Tensor] = []
    head.features.register_forward_hook(lambda module, inputs, out: cells.append(out[1]))
    for block in head.blocks:
        block.register_forward_pre_hook(lambda module, inputs: maps.append(inputs[0]))
    head.norm.register_forward_pre_hook(lambda module, inputs: maps.append(inputs[0]))
    blocks = [block for block in head.blocks if isinstance(block, ResidualBlock)]
    with (
        nullcontext() if norms else without_norm(head),
        counted(block.second for block in blocks) as factor,
    ):
        logits = head(x, mask)
    cotangent = torch.randn_like(logits)
    costates = torch.autograd.grad(logits, maps, cotangent, retain_graph=True)
    mean = path_length(logits, maps[0], cotangent, factor)
    where = ("with" if skips else "without") + " skips" + ("" if norms else " and norms")
    functions = [MapBlock(block, cells[0]) for block in blocks]
    return HeadPass(where, functions, [z.detach() for z in maps], list(costates), mean)


def _identity_shares(costates: list[Tensor]) -> list[float]:
    """Of each block, the first first: ``|lambda_k| / (|lambda_k| + |J^T lambda_k|)``."""
    found = []
    for front, behind in zip(costates, costates[1:], strict=False):
        identity, branch = float(behind.norm()), float((front - behind).norm())
        found.append(identity / (identity + branch))
    return found


def _linear(depth: int, blocks: int) -> list[Check]:
    """Layers ``A x`` and ``x + A x``, to any depth."""
    v = torch.tensor([1.0, -2.0], dtype=torch.float64)
    found = {}
    for identity in (False, True):
        found[identity] = list(stack(depth, 2, lambda x: A * x, identity=identity))
        for layer in found[identity]:
            assert isinstance(layer, StackLayer)
            torch.nn.init.eye_(layer.linear.weight)
    k = torch.arange(depth + 1, dtype=torch.float64)
    plain, residual = (depth_curve(found[identity], v, v) for identity in (False, True))
    split = shares(parts(found[True][:blocks], v, v))
    n = len(split) - 1
    rounding = 1e-16 * max(depth, 1000)  # one for each layer
    binomial = torch.tensor(
        [math.comb(n, i) * A**i / (1 + A) ** n for i in range(n + 1)], dtype=torch.float64
    )
    return [
        Check(
            f"F = a x, {depth} layers: log|lambda_k| = k log a",
            relative_error(plain - plain[0], k * math.log10(A)),
            5e-15,
        ),
        Check(
            f"x + a x, {depth} layers: log|lambda_k| = k log(1 + a)",
            relative_error(residual - residual[0], k * math.log10(1 + A)),
            5e-15,
        ),
        Check(
            f"x + a x, {depth} layers: mean path = k a / (1 + a)",
            relative_error(lengths(found[True], v, v), k * A / (1 + A)),
            rounding,
        ),
        Check(
            f"x + a x, {n} layers: by paths through k, C({n}, k) a^k of (1 + a)^{n}",
            relative_error(split, binomial),
            1e-13,
        ),
    ]


def _head_checks(head: HeadPass, split: Tensor, share: Tensor) -> list[Check]:
    """The real head against itself, in ways that share nothing."""
    block, at, cotangent = head.blocks[-1], head.maps[-2], head.costates[-1]
    both = vjp(block, at)(cotangent)
    plain = ResidualBlock(at.shape[-1], block.block.second.dilation[0], 0.0, identity=False)
    plain.double().load_state_dict(block.block.state_dict())
    branch = vjp(MapBlock(plain, block.cells), at)(cotangent)
    whole = head.costates[0]
    k = torch.arange(len(share), dtype=torch.float64)
    return [
        Check(
            "block of the head with and without its skip: (I + J)^T v - J^T v = v",
            apart(both - branch, cotangent),
            1e-14,
        ),
        Check(
            f"head of {len(head.blocks)} blocks: sum of g_k over path lengths = backpropagation",
            apart(split.sum(dim=0), whole),
            1e-12,
        ),
        Check(
            "head: sum of k <g_k, g> / <g, g> = d log|g| / d log a, by a second backward pass",
            abs(float(k @ share) / head.mean - 1),
            1e-10,
        ),
    ]


def _conclusion(readings: list[Reading], sizes: ResidualExperiment) -> str:
    last = {(r.probe, r.where): r.value for r in readings}  # of each curve
    plain, whole, small = (last["log10_costate", where] for where in ("F(x)", FULL, SMALL))
    with_, without, bare = (
        10 ** (last["log10_head_costate", where] / sizes.blocks)
        for where in ("with skips", "without skips", "without skips and norms")
    )
    mean = sum(r.index * r.value for r in readings if r.probe == "path_share")
    identity = [r.value for r in readings if r.probe == "identity_share"]
    return (
        f"{sizes.depth} tanh layers leave 10^{plain:.0f} of the gradient; the same layers with the "
        f"identity leave 10^{whole:+.1f}, and 10^{small:+.2f} with branches of "
        f"1/sqrt({sizes.depth}), where its paths pass {last['path_length', SMALL]:.2f} layers on "
        "average. "
        f"The untrained ResNet head of {sizes.blocks} blocks multiplies it at each block by "
        f"{with_:.3f} with skips, {without:.2f} without, and {bare:.2f} without norms too; with "
        f"skips, {100 * sum(identity) / len(identity):.0f}% comes by the identity of a block, and "
        f"the paths pass {mean:.1f} blocks on average."
    )


def _panels(readings: list[Reading], depth: int) -> list[Panel]:
    places = range(depth + 1)
    rho = Line("3^(-k/2), the gain of F", places, [k * math.log10(GAIN) for k in places], True)
    return [
        Panel(
            [*lines(readings, "log10_costate"), rho],
            "layers from the output",
            "log10 of the gradient's norm",
            "the same tanh layers, with and without x",
        ),
        Panel(
            [
                *(Line(m.label, m.x[1:], m.y[1:]) for m in lines(readings, "path_length")),
                Line("F(x): every layer", places[1:], places[1:], theory=True),
            ],
            "layers from the output",
            "layers on a path, mean",
            "how many of them the gradient passes",
            xlog=True,
            ylog=True,
        ),
        Panel(
            lines(readings, "log10_head_costate"),
            "blocks from the output",
            "log10 of the gradient's norm",
            "the ResNet pair head, untrained",
        ),
        _share_panel(readings),
    ]


def _share_panel(readings: list[Reading]) -> Panel:
    share = lines(readings, "path_share")[0]
    n = len(share.x) - 1
    p = sum(k * y for k, y in zip(share.x, share.y, strict=True)) / n
    binomial = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    shown = 1 + max(k for k, y in enumerate(share.y) if abs(y) > 1e-3 * max(share.y))
    return Panel(
        [
            Line("with skips", share.x[:shown], share.y[:shown]),
            Line("binomial of that mean", share.x[:shown], binomial[:shown], theory=True),
        ],
        "blocks on a path",
        "share of the gradient",
        f"which paths of the head bring it ({n} blocks)",
    )
