"""Contacts are not independent: a strand pairs along a line, a helix packs with a period.

A two-dimensional residual network (He et al. 2016; for contacts Wang et al. 2017) looks at the map
as an image. It works on cells of ``patch x patch`` residue pairs, which costs ``patch**2`` times
less than working on single pairs, and draws the logits of the pairs in a cell from its channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.models.contract import PairHead, default_index
from protcontact.models.pairing import SeparationEmbedding, at_least_float32, symmetrize


class ResNet(PairHead):
    """Residual dilated convolutions over the pair map.

    Pair features are ``A x_i + B x_j + (C x_i) * (D x_j) + e(|i - j|)``: the concatenation of two
    residues through a linear layer, without ever being stored.

    Args:
        in_channels: Width of the encoder.
        channels: Width of the two-dimensional part.
        blocks: Number of residual blocks.
        dilations: Dilation of each block's second convolution, repeated in turn.
        patch: Residues along the edge of a cell.
        dropout: Share of channels dropped from each block in training, ``[0, 1)``.

    Raises:
        ValueError: If `channels`, `blocks` or `patch` is smaller than 1.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 16,
        blocks: int = 2,
        dilations: tuple[int, ...] = (1, 2, 4),
        patch: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_channels)
        if min(channels, blocks, patch) < 1:
            raise ValueError(
                f"channels, blocks and patch must be >= 1, not {channels}, {blocks} and {patch}"
            )
        self.patch = patch
        self.rows = nn.Linear(in_channels * patch, 2 * channels)
        self.columns = nn.Linear(in_channels * patch, 2 * channels)
        self.separation = SeparationEmbedding(channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, dilations[block % len(dilations)], dropout)
            for block in range(blocks)
        )
        self.norm = nn.LayerNorm(channels)
        self.logits = nn.Linear(channels, patch * patch)
        self.bias = SeparationEmbedding(1)
        nn.init.constant_(self.bias.vectors.weight, -3.0)  # contacts are about 1 pair in 20

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``."""
        B, L, _ = x.shape
        index = default_index(mask) if index is None else index
        z, cells = self._pair_features(x, mask, index)
        for block in self.blocks:
            z = block(z, cells)
        logits = at_least_float32(self.logits(self.norm(z)))  # (B, M, M, patch^2)
        M, p = z.shape[1], self.patch
        logits = logits.view(B, M, M, p, p).permute(0, 1, 3, 2, 4).reshape(B, M * p, M * p)
        return symmetrize(logits[:, :L, :L]) + self.bias(index).squeeze(-1)

    def _pair_features(self, x: Tensor, mask: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(B, M, M, channels)`` and ``(B, M, M, 1)`` True where a cell has residues."""
        B, L, C = x.shape
        missing = -L % self.patch
        patches = functional.pad(x * mask[..., None], (0, 0, 0, missing))
        patches = patches.reshape(B, -1, self.patch * C)
        real = functional.pad(mask, (0, missing)).view(B, -1, self.patch).any(dim=-1)
        a, c = self.rows(patches).chunk(2, dim=-1)
        b, d = self.columns(patches).chunk(2, dim=-1)
        z = a[:, :, None] + b[:, None, :] + c[:, :, None] * d[:, None, :]
        # in the dtype of the products: under autocast the embedding alone would be float32
        z = z + self.separation(index[:, :: self.patch]).to(z.dtype)
        cells = (real[:, :, None] & real[:, None, :])[..., None]
        return z * cells, cells


class ResidualBlock(nn.Module):
    """``z + conv(relu(conv(relu(norm(z)))))``, with zeros at padding before each convolution.

    Channels stand last in memory, which is what the convolution is fastest with.
    """

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = MaskedInstanceNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, z: Tensor, cells: Tensor) -> Tensor:
        """``(B, M, M, C), (B, M, M, 1) -> (B, M, M, C)``."""
        y = (functional.relu(self.norm(z, cells)) * cells).permute(0, 3, 1, 2)
        y = functional.relu(self.first(y)) * cells.permute(0, 3, 1, 2)
        y = self.dropout(self.second(y))
        return z + y.permute(0, 2, 3, 1) * cells


class MaskedInstanceNorm(nn.Module):
    """Each channel of each map to mean 0 and variance 1 over the map's real cells.

    ``(z - mean) / sqrt(var + 1e-5) * scale + shift`` (Ulyanov, Vedaldi and Lempitsky 2016). It
    tells every cell what the whole map looks like, which a convolution cannot see: whether the
    chain is made of helices, say. Moments are summed in float32 or wider.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, z: Tensor, cells: Tensor) -> Tensor:
        """``(B, M, M, C)`` zero at padding, ``(B, M, M, 1) -> (B, M, M, C)``."""
        wide = torch.promote_types(z.dtype, torch.float32)
        with torch.autocast(z.device.type, enabled=False):
            count = cells.sum(dim=(1, 2), dtype=wide)  # (B, 1)
            mean = z.sum(dim=(1, 2), dtype=wide) / count
            square = torch.linalg.vector_norm(z, dim=(1, 2), dtype=wide) ** 2 / count
            factor = self.scale * torch.rsqrt((square - mean**2).clamp(min=0) + 1e-5)
            offset = self.shift - mean * factor
        return z * factor[:, None, None].to(z.dtype) + offset[:, None, None].to(z.dtype)
