"""How long is the way of a gradient through a U-Net, and how far does it reach?"""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from protcontact.figures.panels import Drawable, Line, Panel, Picture
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
from protcontact.gradflow.map_norm import held_statistics, without_norm
from protcontact.gradflow.paths import SHORT, counted, path_length
from protcontact.gradflow.reach import pair_reach, support
from protcontact.models.heads.resnet import ResNet
from protcontact.models.heads.unet import UNet
from protcontact.models.residual import ResidualBlock

A = 0.7  # the linear maps between levels are a I in the closed form
SHOWN = 3  # levels of the U-Net in the picture: four reach the edge of the default map
DEEPEST = 8  # levels: the 45 layers of its shortest path weigh SHORT^45 = 1e-270
HELD, AS_IS = "statistics held", "as it is"
FEWEST = 8  # channels: of fewer, all ReLUs of a map may be off for any chain
SURE = (
    48  # a cell has all ReLUs off by 2^-channels: asked for enough chains that not for all, 2^-48
)
BLOCKS = 3  # of the ResNet whose reach is measured: one of each of its dilations


class Variant(NamedTuple):
    """A U-Net with or without its skips, made of residual blocks or of plain convolutions.

    Attributes:
        where: Its name.
        skips: Of the U-Net.
        residual: Whether blocks are as the package's; else without identity and norm.
    """

    where: str
    skips: bool
    residual: bool

    def shortest(self, levels: int) -> int:
        """Convolutions and linear layers on the shortest path from a logit to the map.

        The logit is one; a block has two or, by its identity, none; between levels there is one on
        the way down and one on the way up. With skips the path stays at the finest level.
        """
        block = 0 if self.residual else 2
        if self.skips:
            return 1 + block * min(levels, 2)
        return 1 + block * (2 * levels - 1) + 2 * (levels - 1)


VARIANTS = (
    Variant("skips", skips=True, residual=True),
    Variant("no skips", skips=False, residual=True),
    Variant("skips, plain blocks", skips=True, residual=False),
    Variant("no skips, plain blocks", skips=False, residual=False),
)


@dataclass(frozen=True)
class UNetExperiment(Experiment):
    """Paths, gradients and receptive fields of the U-Net pair head by its number of levels."""

    title: ClassVar = "The skip of a U-Net is a short way that no further level makes longer"
    formula: ClassVar = (
        "layers on the shortest path through n > 1 levels, b in a block:\n"
        "skips: 1 + 2 b     no skips: 1 + (2 n - 1) b + 2 (n - 1)\n"
        "places read along an axis: block S -> S + {-d, 0, d} + {-1, 0, 1};  up i -> i // 2;  "
        "down i -> {2 i, 2 i + 1}"
    )
    explanation: ClassVar = (
        "A U-Net looks at the contact map at full resolution and at ever coarser ones, and joins "
        "them by skips. Without skips all that a pair of residues says passes through the "
        "coarsest map, and its gradient through every layer on the way there and back; with skips "
        "there is also a way that stays at the finest level, however many there are. What further "
        "levels add is reach: each lets a logit look twice as far along the chain, or more, and "
        "outside of this square its gradient is exactly zero. That holds for convolutions alone: "
        "the norm in the package's blocks takes its mean over the whole map, so the square is "
        "measured with the norm's statistics held constant, and a second curve shows what passes "
        "by them."
    )
    source: ClassVar = "Ronneberger, Fischer and Brox 2015; Drozdzal et al. 2016"

    levels: int = size(5, "up to this many levels of the U-Net", most=DEEPEST)
    channels: int = size(16, "channels of each level", least=FEWEST)
    length: int = size(96, "residues of the chain")
    networks: int = size(3, "networks that a gradient is averaged over")

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: If one is out of its range.
        """
        super().__post_init__()
        if self.length <= 2**self.levels:
            raise ValueError(
                f"{self.levels} levels need a chain of more than {2**self.levels} residues, so "
                f"that the norm of the lowest has a map to look at, not {self.length}"
            )

    def measure(self) -> Result:
        """Path lengths and gradients by level, then the reach of one logit."""
        readings: list[Reading] = []
        places = range(1, self.levels + 1)
        checks = []
        for variant in VARIANTS:
            found = [_asked(self, variant, levels) for levels in places]
            readings += curve("shortest_path", variant.where, (f.shortest for f in found), places)
            readings += curve("mean_path", variant.where, (f.mean for f in found), places)
            readings += curve("log10_gradient", variant.where, (f.size for f in found), places)
            checks.append(_counts(variant, [f.shortest for f in found]))
        reaches = _reaches(self)
        profile, picture = _profile(self)
        readings += [*_widths(self), *profile]
        return Result(
            readings,
            [*checks, _boxes(self), *reaches],
            _panels(readings, picture),
            _conclusion(readings, self, reaches[0].error),
        )


class Asked(NamedTuple):
    """What one logit sends back to the map in front of the convolutions.

    Attributes:
        shortest: Convolutions and linear layers on the shortest path of the last network.
        mean: On the mean path, mean over networks.
        size: log10 of the norm of the gradient, mean over networks.
    """

    shortest: float
    mean: float
    size: float


def _asked(sizes: UNetExperiment, variant: Variant, levels: int) -> Asked:
    means, logs = [], []
    for network in range(sizes.networks):
        torch.manual_seed(sizes.seed + network)  # the same weights for all variants
        head = _unet(sizes, levels, variant.skips)
        for block in head.modules():
            if isinstance(block, ResidualBlock):
                block.residual = variant.residual
        layers = [m for m in head.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        with (
            nullcontext() if variant.residual else without_norm(head),
            counted(layers) as factor,
        ):
            logit, z = _logit(head, sizes)
        one = torch.ones_like(logit)
        means.append(path_length(logit, z, one, factor))
        [g] = torch.autograd.grad(logit, z, retain_graph=True)
        logs.append(float(g.norm().log10()))
    shortest = path_length(logit, z, one, factor, SHORT)
    return Asked(shortest, sum(means) / len(means), sum(logs) / len(logs))


def _counts(variant: Variant, shortest: list[float]) -> Check:
    """Measured at 1, 2, ... levels, against the formula."""
    true = [float(variant.shortest(levels)) for levels in range(1, len(shortest) + 1)]
    return Check(
        f"{variant.where}: shortest path {', '.join(f'{n:.0f}' for n in true)} layers",
        relative_error(*torch.tensor([shortest, true], dtype=torch.float64)),
        1e-9,
    )


def _unet(sizes: UNetExperiment, levels: int, skips: bool) -> UNet:
    channels = (sizes.channels,) * levels
    return UNet(sizes.channels, channels, (1,) * levels, skips=skips).double().eval()


def _pair(sizes: UNetExperiment) -> tuple[int, int]:
    """The residues whose logit is asked, a quarter of the chain from either end."""
    return sizes.length // 4, sizes.length - 1 - sizes.length // 4


def _logit(head: UNet | ResNet, sizes: UNetExperiment) -> tuple[Tensor, Tensor]:
    """``(), (1, M, M, C)``: the logit of the pair, and the map in front of the convolutions."""
    caught: list[Tensor] = []
    tap = head.features.register_forward_hook(lambda module, inputs, out: caught.append(out[0]))
    x = torch.randn(1, sizes.length, head.in_channels, dtype=torch.float64)
    logits = head(x, torch.ones(1, sizes.length, dtype=torch.bool))
    tap.remove()
    i, j = _pair(sizes)
    return logits[0, i, j], caught[0]


def _boxes(sizes: UNetExperiment) -> Check:
    """Blocks that add nothing, and ``a I`` between levels: a sum over the levels is left.

    Level l spreads what arrives at a cell over the ``2^l x 2^l`` cells around it, evenly.
    """
    head = _unet(sizes, sizes.levels, skips=True)
    with torch.no_grad():
        for module in head.modules():
            if isinstance(module, ResidualBlock):
                for parameter in module.second.parameters():
                    parameter.zero_()
        for linear in (*head.widen, *head.narrow):
            linear.weight.copy_(A * torch.eye(sizes.channels).double())
    arrived: list[Tensor] = []
    head.norm.register_forward_pre_hook(lambda module, inputs: arrived.append(inputs[0]))
    logit, z = _logit(head, sizes)
    g, sent = torch.autograd.grad(logit, [z, arrived[0]])
    expected = torch.zeros_like(g)
    place = torch.arange(sizes.length)
    for i, j in (_pair(sizes), _pair(sizes)[::-1]):
        for level in range(sizes.levels):
            rows, columns = (place >> level == k >> level for k in (i, j))
            box = (rows[:, None] & columns[None, :])[..., None].double() * 4.0**-level
            expected[0] += A ** (2 * level) * box * sent[0, i, j]
    return Check(
        "silent blocks, a I between levels: gradient = sum over l of a^(2 l) 4^-l on 2^l x 2^l",
        apart(g, expected),
        1e-14,
    )


def _reaches(sizes: UNetExperiment) -> list[Check]:
    """Cells that differ from the prediction, of all heads, for any of some chains."""
    heads: list[UNet | ResNet] = []
    for skips in (True, False):
        heads += [_unet(sizes, levels, skips) for levels in range(1, sizes.levels + 1)]
        heads.append(ResNet(sizes.channels, sizes.channels, BLOCKS, skips=skips).double().eval())
    outside = inside = 0
    for head in heads:
        predicted = pair_reach(head, *_pair(sizes), sizes.length)
        found = torch.zeros_like(predicted)
        for _ in range(math.ceil(SURE / sizes.channels)):
            with held_statistics(head):
                logit, z = _logit(head, sizes)
            found |= support(torch.autograd.grad(logit, z)[0])
        outside += int((found & ~predicted).sum())
        inside += int((predicted & ~found).sum())
    name = f"U-Nets of 1 ... {sizes.levels} levels and ResNets, norms held"
    return [
        Check(f"{name}: cells outside the square with a gradient", outside, 0),
        Check(f"{name}: cells inside without one", inside, 0),
    ]


def _profile(sizes: UNetExperiment) -> tuple[list[Reading], Picture]:
    """The gradient of one logit of the package's head: along a row, and as a picture."""
    head = _unet(sizes, min(sizes.levels, SHOWN), skips=True)
    state = torch.random.get_rng_state()
    maps: dict[str, Tensor] = {}
    for where, norm in ((HELD, held_statistics(head)), (AS_IS, nullcontext())):
        torch.random.set_rng_state(state)  # the same chain
        with norm:
            logit, z = _logit(head, sizes)
        maps[where] = torch.autograd.grad(logit, z)[0][0].norm(dim=-1)
    i, j = _pair(sizes)
    inside = pair_reach(head, i, j, sizes.length)
    logs = {where: (sent / maps[AS_IS].max()).log10() for where, sent in maps.items()}
    readings: list[Reading] = []
    for where, values in logs.items():
        readings += curve("log10_pair_gradient", where, values[i].tolist())
    readings += curve("predicted", HELD, inside[i].tolist())
    square = maps[AS_IS] ** 2
    outside = float(square[~inside].sum() / square.sum())
    readings.append(Reading("share_outside", AS_IS, len(head.down) + 1, outside))
    return readings, Picture(
        logs[HELD].numpy(),
        "residue",
        "residue",
        f"logit ({i}, {j}), {len(head.down) + 1} levels, {HELD}: white is exactly 0",
        "log10 of the gradient's norm",
    )


def _widths(sizes: UNetExperiment) -> list[Reading]:
    """Places along an axis that a logit on the diagonal may read, in the middle of the chain."""
    middle = sizes.length // 2
    places = range(1, sizes.levels + 1)
    heads = (_unet(sizes, levels, skips=True) for levels in places)
    found = [pair_reach(head, middle, middle, sizes.length)[middle].sum() for head in heads]
    return curve("predicted_width", HELD, (float(width) for width in found), places)


def _conclusion(readings: list[Reading], sizes: UNetExperiment, outside: float) -> str:
    last = {(r.probe, r.where): r.value for r in readings}  # at the largest number of levels
    path = {v.where: last["shortest_path", v.where] for v in VARIANTS}
    mean = {v.where: last["mean_path", v.where] for v in VARIANTS}
    size = {v.where: last["log10_gradient", v.where] for v in VARIANTS}
    widths = [r.value for r in readings if r.probe == "predicted_width"]
    missed = 100 * last["share_outside", AS_IS]
    return (
        f"At {sizes.levels} levels the shortest path from a logit to the map has "
        f"{path['skips']:.0f} layer with skips and {path['no skips']:.0f} without, the mean path "
        f"{mean['skips']:.1f} and {mean['no skips']:.1f}; with plain blocks, which have neither "
        f"identity nor norm, the shortest have {path['skips, plain blocks']:.0f} and "
        f"{path['no skips, plain blocks']:.0f}, and the gradient is "
        f"10^{size['skips, plain blocks']:.1f} and 10^{size['no skips, plain blocks']:.1f}. "
        f"A logit reads {widths[0]:.0f} of {sizes.length} places along the chain through 1 level "
        f"and {widths[-1]:.0f} through {sizes.levels}, and with the norms held {outside:.0f} cells "
        "outside of these squares have a gradient; as the head in the picture is, "
        f"{missed:.2g}% of the square of its gradient comes from there, through the norms."
    )


def _panels(readings: list[Reading], picture: Picture) -> list[Drawable]:
    inside = [r.value for r in readings if r.probe == "predicted"]
    finite = [
        r.value for r in readings if r.probe == "log10_pair_gradient" and r.value > -torch.inf
    ]
    low, high = min(finite), max(finite)
    edges = Line(
        "predicted reach",
        [c + side for c in range(len(inside)) for side in (-0.5, 0.5)],
        [high if within else low for within in inside for _ in range(2)],
        theory=True,
    )
    return [
        Panel(
            lines(readings, "shortest_path"),
            "levels of the U-Net",
            "layers on the shortest path",
            "from a logit to the map in front of the head",
        ),
        Panel(
            lines(readings, "log10_gradient"),
            "levels of the U-Net",
            "log10 of the gradient's norm",
            "of a logit, with respect to that map",
        ),
        picture,
        Panel(
            [*lines(readings, "log10_pair_gradient"), edges],
            "residue",
            "log10 of the gradient's norm",
            "along the row of the first residue",
        ),
    ]
