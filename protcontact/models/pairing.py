"""How do vectors of residues become maps of pairs, and maps become comparable?

Symmetrisation, the average-product correction and the embedding of sequence separation.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def at_least_float32(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if that is what they are in."""
    return x if x.dtype == torch.float64 else x.float()


def symmetrize(x: Tensor) -> Tensor:
    """``(..., L, L) -> (..., L, L)``: mean of x and its transpose."""
    return 0.5 * (x + x.transpose(-1, -2))


def average_product_correction(maps: Tensor) -> Tensor:
    """Subtract what the row and column means alone predict (Dunn, Wahl and Gloor 2008).

    ``F_ij - F_i. F_.j / F_..`` with sums over rows and columns. Always computed in float32 or
    wider: in half precision the product of two row sums overflows from L = 256 on.

    Args:
        maps: ``(..., L, L)``, zero at padding.

    Returns:
        ``(..., L, L)``; unchanged where the total is 0.
    """
    with torch.autocast(maps.device.type, enabled=False):
        maps = at_least_float32(maps)
        rows = maps.sum(dim=-1, keepdim=True)
        columns = maps.sum(dim=-2, keepdim=True)
        total = rows.sum(dim=-2, keepdim=True)
        return maps - rows * columns / torch.where(total == 0, 1.0, total)


def attention_maps(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention ``(B, K, L, D), (B, K, L, D), (B, L) -> (B, K, L, L)``; 0 at padding."""
    scores = at_least_float32(q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
    return scores.softmax(dim=-1) * mask[:, None, :, None]


def unpatch(drawn: Tensor, patch: int, length: int) -> Tensor:
    """``(B, M, M, patch**2 * N) -> (B, L, L, N)``: what was drawn for a cell to each of its pairs.

    Args:
        drawn: For each cell the numbers of its first row of pairs, then those of the next.
        patch: Residues along the edge of a cell.
        length: L; what is drawn past it is cut off.
    """
    B, M, _, _ = drawn.shape
    drawn = drawn.view(B, M, M, patch, patch, -1).transpose(2, 3)
    return drawn.reshape(B, M * patch, M * patch, -1)[:, :length, :length]


class SeparationEmbedding(nn.Module):
    """Vector for each sequence separation ``|i - j|``.

    Exact up to 32 residues, then in bins that grow geometrically: contacts at 200 and 210 residues
    are alike, contacts at 3 and 4 are not. Separations above 1,024 share the last bin.

    Args:
        channels: C of the vectors.
    """

    EXACT = 32
    LARGEST = 1024
    BINS = 48

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(self.BINS, channels)
        nn.init.normal_(self.vectors.weight, std=0.02)

    def bins(self, index: Tensor) -> Tensor:
        """``(B, L) -> (B, L, L)``: bin of each pair."""
        separation = (index[:, :, None] - index[:, None, :]).abs()
        growth = (self.BINS - 1 - self.EXACT) / math.log2(self.LARGEST / self.EXACT)
        coarse = self.EXACT + growth * torch.log2(separation.clamp(min=1) / self.EXACT)
        return torch.where(
            separation < self.EXACT, separation, coarse.long().clamp(max=self.BINS - 1)
        )

    def forward(self, index: Tensor) -> Tensor:
        """``(B, L) -> (B, L, L, C)``."""
        bins, weight = self.bins(index), self.vectors.weight
        if weight.shape[1] > 1 or weight.is_cuda:
            return self.vectors(bins)
        # On a processor the way back through an embedding goes pair by pair, 50 times slower.
        B, L, _ = bins.shape
        table = weight[:, 0].expand(B * L, self.BINS)
        return table.gather(1, bins.view(B * L, L)).view(B, L, L, 1)


class PairFeatures(nn.Module):
    """Vectors of residues to vectors of pairs: ``A x_i + B x_j + (C x_i) * (D x_j) + e(|i - j|)``.

    The concatenation of two residues through a linear layer, without ever being stored, and a
    product, without which nothing would compare them.

    Args:
        in_channels: C of the residues.
        channels: C of the pairs.
        patch: Residues along the edge of a cell; a cell is described by the residues on its edges.
    """

    def __init__(self, in_channels: int, channels: int, patch: int = 1) -> None:
        super().__init__()
        self.patch = patch
        self.rows = nn.Linear(in_channels * patch, 2 * channels)
        self.columns = nn.Linear(in_channels * patch, 2 * channels)
        self.separation = SeparationEmbedding(channels)

    def forward(self, x: Tensor, mask: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, L, in_channels), (B, L), (B, L) -> (B, M, M, channels), (B, M, M, 1)``.

        M is L / patch, rounded up; the second map is True where a cell has residues.
        """
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
