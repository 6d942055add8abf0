"""Which other pairs does a pair need to see? Those that it shares a residue with, for one.

If i touches k and k touches j, then i and j are near. A convolution sees (i, k) and (k, j) only
where k is near i or j; attention along the row i and along the column j sees them for all k (Ho et
al. 2019; Wang et al. 2020). Between them a residual block looks at each cell's surroundings.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.models.contract import PairHead, default_index
from protcontact.models.encoders.transformer import rotary_angles, rotate
from protcontact.models.pairing import (
    PairFeatures,
    SeparationEmbedding,
    at_least_float32,
    unpatch,
)
from protcontact.models.residual import ResidualBlock, recomputed


class Axial(PairHead):
    """Attention along rows and columns of the pair map, and convolutions between.

    `PairFeatures`, then blocks, then a linear layer that draws ``patch x patch`` pairs per cell.

    Args:
        in_channels: Width of the encoder.
        channels: Width of the two-dimensional part, a multiple of ``2 * heads``.
        blocks: Number of blocks, each with rows, columns and a `ResidualBlock`.
        heads: K, attention heads along each axis.
        dilations: Dilation of the second convolution of each block, repeated in turn.
        patch: Residues along the edge of a cell; attention costs ``patch**3`` times less.
        dropout: Share dropped from each branch in training, ``[0, 1)``.
        checkpointing: Whether training computes each branch again on the way back rather than keep
            what is in it: the same numbers in less memory.

    Raises:
        ValueError: If a size is smaller than 1 or `channels` is not a multiple of ``2 * heads``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 16,
        blocks: int = 2,
        heads: int = 2,
        dilations: tuple[int, ...] = (1, 2, 4),
        patch: int = 2,
        dropout: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(in_channels)
        if min(channels, blocks, heads, patch, *dilations, len(dilations)) < 1 or channels % (
            2 * heads
        ):
            raise ValueError(
                "blocks, heads, patch and each of at least one dilation must be >= 1 and channels "
                f"a multiple of 2 * heads, not {blocks}, {heads}, {patch}, {dilations} "
                f"and {channels}"
            )
        self.patch = patch
        self.head_channels = channels // heads
        self.features = PairFeatures(in_channels, channels, patch)
        self.blocks = nn.ModuleList(
            AxialBlock(channels, heads, dilations[n % len(dilations)], dropout, checkpointing)
            for n in range(blocks)
        )
        self.norm = nn.LayerNorm(channels)
        self.logits = nn.Linear(channels, patch * patch)
        self.bias = SeparationEmbedding(1)
        nn.init.constant_(self.bias.vectors.weight, -3.0)  # contacts are about 1 pair in 20

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``."""
        index = default_index(mask) if index is None else index
        z, cells = self.features(x, mask, index)
        rotation = rotary_angles(index[:, :: self.patch], self.head_channels, z.dtype)
        for block in self.blocks:
            z = block(z, cells, rotation)
        cells_drawn = at_least_float32(self.logits(self.norm(z)))
        drawn = unpatch(cells_drawn, self.patch, x.shape[1])
        return (0.5 * (drawn + drawn.transpose(1, 2)) + self.bias(index)).squeeze(-1)


class AxialBlock(nn.Module):
    """``z + rows(z)``, then ``z + columns(z)``, then a `ResidualBlock`.

    Args:
        channels: C.
        heads: K.
        dilation: Of the second convolution.
        dropout: Share dropped from each branch in training, ``[0, 1)``.
        checkpointing: Whether training computes each branch again on the way back.
    """

    residual = True  # what gradient flow measures the identity's share of

    def __init__(
        self, channels: int, heads: int, dilation: int, dropout: float, checkpointing: bool
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.rows = RowAttention(channels, heads)
        self.columns = RowAttention(channels, heads)
        self.dropout = nn.Dropout(dropout)
        self.convolutions = ResidualBlock(channels, dilation, dropout, checkpointing=checkpointing)

    def forward(self, z: Tensor, cells: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """``(B, M, M, C), (B, M, M, 1), 2 x (B, 1, M, C / 2K) -> (B, M, M, C)``."""
        if self.checkpointing and self.training:
            z = z + recomputed(self.attend, z, cells, *rotation)
        else:
            z = z + self.attend(z, cells, *rotation)
        return self.convolutions(z, cells)

    def attend(self, z: Tensor, cells: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """What rows and columns add; the columns of a map are the rows of its transpose."""
        y = self.dropout(self.rows(z, cells, (cosine, sine)))
        columns = self.columns((z + y).transpose(1, 2), cells, (cosine, sine))
        return y + self.dropout(columns).transpose(1, 2)


class RowAttention(nn.Module):
    """Gated attention of each cell to the cells of its row, ``sigmoid(g) * attention(q, k, v)``.

    Rotary positions along the row. The gate (Jumper et al. 2021, Alg. 13) lets a cell say that
    nothing in its row concerns it, which softmax cannot. No map of M x M x M weights is stored.

    Args:
        channels: C.
        heads: K.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkvg = nn.Linear(channels, 4 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, z: Tensor, cells: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """``(B, M, M, C), (B, M, M, 1), 2 x (B, 1, M, D / 2) -> (B, M, M, C)``, 0 at padding."""
        B, M, _, C = z.shape
        *parts, gate = self.qkvg(self.norm(z)).chunk(4, dim=-1)
        q, k, v = (part.reshape(B, M, M, self.heads, -1) for part in parts)
        cosine, sine = (angle[:, :, :, None] for angle in rotation)  # the same for every row
        q, k = rotate(q, (cosine, sine)), rotate(k, (cosine, sine))
        # each row is a sequence of its own: (B M, K, M, D), and keys that are padding in all rows
        q, k, v = (part.flatten(0, 1).transpose(1, 2) for part in (q, k, v))
        real = cells.any(dim=1).view(B, 1, M).expand(B, M, M).reshape(B * M, 1, 1, M)
        if not z.is_cuda:  # a processor's way back is 8 times slower in bfloat16
            q, k, v = map(at_least_float32, (q, k, v))
        with torch.autocast(z.device.type, enabled=False):
            y = functional.scaled_dot_product_attention(q, k, v, attn_mask=real)
        y = y.transpose(1, 2).reshape(B, M, M, C).to(gate.dtype)
        return self.out(y * gate.sigmoid()) * cells
