"""Contacts near and far at once: the map at full resolution, and coarser maps for the context.

A U-Net (Ronneberger, Fischer and Brox 2015). A strand pairing is one residue wide and needs every
pair; which strands pair depends on the whole chain, and is cheaper to see on a map of half the edge
with four times fewer cells. Each level is half as fine as the one above it; what is found below is
spread over the finer cells again and added to what they already know (the skip).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from protcontact.models.contract import PairHead, default_index
from protcontact.models.pairing import (
    PairFeatures,
    SeparationEmbedding,
    at_least_float32,
    symmetrize,
)
from protcontact.models.residual import ResidualBlock


class UNet(PairHead):
    """Residual convolutions on maps of halving resolution, joined by skips.

    Args:
        in_channels: Width of the encoder.
        channels: Width of each level, the finest first.
        blocks: Residual blocks of each level; all levels but the lowest have as many again on the
            way up.
        dilations: Dilation of the second convolution of each block of the lowest level, in turn.
        skips: Whether a level on its way up still sees what it was on its way down. Without, all
            passes through the lowest level. The residual blocks keep their identity either way,
            unlike those of `ResNet`, whose `skips` are these.
        dropout: Share of channels dropped from each block in training, ``[0, 1)``.
        checkpointing: Whether training computes each block again on the way back rather than keep
            what is in it: the same numbers in less memory.

    Raises:
        ValueError: If a size is smaller than 1 or `channels` and `blocks` differ in length.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (8, 16),
        blocks: Sequence[int] = (1, 2),
        dilations: Sequence[int] = (1, 2, 4),
        skips: bool = True,
        dropout: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(in_channels)
        if not len(channels) == len(blocks) > 0 < len(dilations):
            raise ValueError(
                "channels and blocks need one number for each level, and dilations at least one, "
                f"not {channels}, {blocks} and {dilations}"
            )
        if min(*channels, *blocks, *dilations) < 1:
            raise ValueError(
                f"channels, blocks and dilations must be >= 1, not {channels}, {blocks} "
                f"and {dilations}"
            )
        *upper, lowest = zip(channels, blocks, strict=True)
        last = dropout, checkpointing
        self.skips = skips
        self.features = PairFeatures(in_channels, channels[0])
        self.down = nn.ModuleList(_blocks(width, count, (1,), *last) for width, count in upper)
        self.widen = nn.ModuleList(map(nn.Linear, channels, channels[1:]))
        self.bottom = _blocks(*lowest, dilations, *last)
        self.narrow = nn.ModuleList(map(nn.Linear, channels[1:], channels))
        self.up = nn.ModuleList(_blocks(width, count, (1,), *last) for width, count in upper)
        self.norm = nn.LayerNorm(channels[0])
        self.logits = nn.Linear(channels[0], 1)
        self.bias = SeparationEmbedding(1)
        nn.init.constant_(self.bias.vectors.weight, -3.0)  # contacts are about 1 pair in 20

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``."""
        index = default_index(mask) if index is None else index
        z, cells = self.features(x, mask, index)
        passed: list[tuple[Tensor, Tensor]] = []
        for level, widen in zip(self.down, self.widen, strict=True):
            z = _through(level, z, cells)
            passed.append((z, cells))
            z, cells = halve(z), halve(cells.to(z.dtype)) > 0
            z = widen(z) * cells
        z = _through(self.bottom, z, cells)
        for level, narrow in zip(reversed(self.up), reversed(self.narrow), strict=True):
            skip, cells = passed.pop()
            z = double(narrow(z), skip.shape[1]) * cells
            z = _through(level, z + skip if self.skips else z, cells)
        logits = at_least_float32(self.logits(self.norm(z))).squeeze(-1)
        return symmetrize(logits) + self.bias(index).squeeze(-1)


def _blocks(
    width: int, count: int, dilations: Sequence[int], dropout: float, checkpointing: bool
) -> nn.ModuleList:
    return nn.ModuleList(
        ResidualBlock(
            width, dilations[place % len(dilations)], dropout, checkpointing=checkpointing
        )
        for place in range(count)
    )


def _through(blocks: nn.Module, z: Tensor, cells: Tensor) -> Tensor:
    for block in blocks.children():
        z = block(z, cells)
    return z


def halve(z: Tensor) -> Tensor:
    """``(B, M, M, C) -> (B, ceil(M / 2), ceil(M / 2), C)``: means of four, zeros past the edge."""
    missing = z.shape[1] % 2
    z = functional.pad(z, (0, 0, 0, missing, 0, missing))
    return 0.25 * (z[:, ::2, ::2] + z[:, 1::2, ::2] + z[:, ::2, 1::2] + z[:, 1::2, 1::2])


def double(z: Tensor, size: int) -> Tensor:
    """``(B, M, M, C) -> (B, size, size, C)``: each cell four times, cut to `size`."""
    return z.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)[:, :size, :size]
