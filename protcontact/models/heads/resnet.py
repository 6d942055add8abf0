"""Contacts are not independent: a strand pairs along a line, a helix packs with a period.

A two-dimensional residual network (He et al. 2016; for contacts Wang et al. 2017) looks at the map
as an image. It works on cells of ``patch x patch`` residue pairs, which costs ``patch**2`` times
less than working on single pairs, and draws the logits of the pairs in a cell from its channels.
"""

from torch import Tensor, nn

from protcontact.models.contract import PairHead, default_index
from protcontact.models.pairing import (
    PairFeatures,
    SeparationEmbedding,
    at_least_float32,
    unpatch,
)
from protcontact.models.residual import ResidualBlock


class ResidualTrunk(PairHead):
    """Residual dilated convolutions over the pair map, without a word on what is drawn.

    `PairFeatures`, then blocks, then a linear layer that draws ``patch x patch`` pairs per cell.

    Attributes:
        outputs: N, how many numbers are drawn for a pair; set before ``__init__``, if not 1.

    Args:
        in_channels: Width of the encoder.
        channels: Width of the two-dimensional part.
        blocks: Number of residual blocks.
        dilations: Dilation of each block's second convolution, repeated in turn.
        patch: Residues along the edge of a cell.
        dropout: Share of channels dropped from each block in training, ``[0, 1)``.
        skips: Whether a block adds to its input, ``z + F(z)``; else it is ``F(z)``, a plain network
            of the same weights, which is there to show what the identity does for the gradient.
        checkpointing: Whether training computes each block again on the way back rather than keep
            what is in it: the same numbers in less memory.

    Raises:
        ValueError: If `channels`, `blocks`, `patch` or a dilation is smaller than 1.
    """

    outputs: int = 1

    def __init__(
        self,
        in_channels: int,
        channels: int = 16,
        blocks: int = 2,
        dilations: tuple[int, ...] = (1, 2, 4),
        patch: int = 2,
        dropout: float = 0.0,
        skips: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(in_channels)
        if min(channels, blocks, patch, *dilations, len(dilations)) < 1:
            raise ValueError(
                "channels, blocks, patch and each of at least one dilation must be >= 1, "
                f"not {channels}, {blocks}, {patch} and {dilations}"
            )
        self.patch = patch
        self.features = PairFeatures(in_channels, channels, patch)
        self.blocks = nn.ModuleList(
            ResidualBlock(
                channels, dilations[block % len(dilations)], dropout, skips, checkpointing
            )
            for block in range(blocks)
        )
        self.norm = nn.LayerNorm(channels)
        self.logits = nn.Linear(channels, patch * patch * self.outputs)
        self.bias = SeparationEmbedding(self.outputs)
        nn.init.constant_(self.bias.vectors.weight, -3.0)  # contacts are about 1 pair in 20

    def draw(
        self, x: Tensor, mask: Tensor, index: Tensor | None = None, more: Tensor | None = None
    ) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L, N)``, symmetric in the residues.

        Args:
            x: Vectors of residues.
            mask: Where there is one.
            index: Places in the full sequence.
            more: ``(B, M, M, channels)``, what is known of the cells besides; at padding anything.
        """
        index = default_index(mask) if index is None else index
        z, cells = self.features(x, mask, index)
        if more is not None:
            z = z + more.to(z.dtype) * cells
        for block in self.blocks:
            z = block(z, cells)
        cells_drawn = at_least_float32(self.logits(self.norm(z)))
        drawn = unpatch(cells_drawn, self.patch, x.shape[1])
        return 0.5 * (drawn + drawn.transpose(1, 2)) + self.bias(index)


class ResNet(ResidualTrunk):
    """Residual dilated convolutions over the pair map; arguments as for `ResidualTrunk`."""

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``."""
        return self.draw(x, mask, index).squeeze(-1)
