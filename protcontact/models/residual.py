"""What is a residual block on a map of residue pairs?

Maps are ``(B, M, M, C)`` with channels last, which is what the convolution is fastest with, and
come with ``cells`` ``(B, M, M, 1)``, True where there are residues. What stands at padding is zero
before each convolution, so the numbers of a chain do not depend on its batch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """``z + F(z)``, ``F(z) = conv(relu(conv(relu(norm(z)))))`` (He et al. 2016, identity mappings).

    Args:
        channels: C.
        dilation: Of the second convolution.
        dropout: Share of channels dropped from F in training, ``[0, 1)``.
        identity: Whether z is added; else the block is ``F(z)``.
    """

    def __init__(self, channels: int, dilation: int, dropout: float, identity: bool = True) -> None:
        super().__init__()
        self.residual = identity  # where true, gradient flow measures the identity's share
        self.norm = MaskedInstanceNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, z: Tensor, cells: Tensor) -> Tensor:
        """``(B, M, M, C), (B, M, M, 1) -> (B, M, M, C)``."""
        y = (functional.relu(self.norm(z, cells)) * cells).permute(0, 3, 1, 2)
        y = functional.relu(self.first(y)) * cells.permute(0, 3, 1, 2)
        y = self.dropout(self.second(y)).permute(0, 2, 3, 1) * cells
        return z + y if self.residual else y


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
