"""What does a head learn that must say how far apart two residues are, not only whether they touch?

A contact is one bit; the bin of the distance tells a helix from a strand, and near misses from what
is far away (Xu 2019; Senior et al. 2020). The residual network of `resnet` draws the logits of the
bins; a contact is what lies in those below 8 A.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from protcontact.models.contract import DistanceHead, checked_edges
from protcontact.models.heads.resnet import ResidualTrunk
from protcontact.structure.contacts import CUTOFF

CONTACTS = 0.05  # share of pairs that a head expects in contact before it has seen any


class Distogram(ResidualTrunk, DistanceHead):
    """Residual dilated convolutions over the pair map that draw distance bins.

    Starts with 5 % of each pair's mass below the contact cutoff, spread evenly on either side.

    Args:
        in_channels: Width of the encoder.
        channels: Width of the two-dimensional part.
        blocks: Number of residual blocks.
        dilations: Dilation of each block's second convolution, repeated in turn.
        patch: Residues along the edge of a cell.
        dropout: Share of channels dropped from each block in training, ``[0, 1)``.
        skips: Whether a block adds to its input, see `ResidualTrunk`.
        checkpointing: Whether training computes each block again on the way back.
        edges: Between the bins, Angstrom: rising, with the contact cutoff 8.0 among them. The first
            and the last bin are open.

    Raises:
        ValueError: If a size is smaller than 1, or these are no such edges.
    """

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
        edges: Sequence[float] = (4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0),
    ) -> None:
        self.edges = checked_edges(edges)
        self.outputs = len(edges) + 1  # which the trunk, made below, reads
        super().__init__(
            in_channels, channels, blocks, dilations, patch, dropout, skips, checkpointing
        )
        below = self.edges.index(CUTOFF) + 1
        above = self.outputs - below
        prior = [math.log(CONTACTS / below)] * below + [math.log((1 - CONTACTS) / above)] * above
        with torch.no_grad():
            self.bias.vectors.weight.copy_(torch.tensor(prior))

    def distogram(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L, N)`` logits of the bins."""
        return self.draw(x, mask, index)
