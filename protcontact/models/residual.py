"""What is a residual block on a map of residue pairs?

Maps are ``(B, M, M, C)`` with channels last, which is what the convolution is fastest with, and
come with ``cells`` ``(B, M, M, 1)``, True where there are residues. What stands at padding is zero
before each convolution, so the numbers of a chain do not depend on its batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from protcontact.models.moments import moments


class ResidualBlock(nn.Module):
    """``z + F(z)``, ``F(z) = conv(relu(conv(relu(norm(z)))))`` (He et al. 2016, identity mappings).

    Args:
        channels: C.
        dilation: Of the second convolution.
        dropout: Share of channels dropped from F in training, ``[0, 1)``.
        identity: Whether z is added; else the block is ``F(z)``.
        checkpointing: Whether training computes F again on the way back, see `recomputed`.
    """

    def __init__(
        self,
        channels: int,
        dilation: int,
        dropout: float,
        identity: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.residual = identity  # where true, gradient flow measures the identity's share
        self.norm = MaskedInstanceNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, z: Tensor, cells: Tensor) -> Tensor:
        """``(B, M, M, C), (B, M, M, 1) -> (B, M, M, C)``."""
        if self.checkpointing and self.training:
            y = recomputed(self.branch, z, cells)
        else:
            y = self.branch(z, cells)
        return z + y if self.residual else y

    def branch(self, z: Tensor, cells: Tensor) -> Tensor:
        """F(z): ``(B, M, M, C), (B, M, M, 1) -> (B, M, M, C)``."""
        # relu in place on the masked map: one map fewer to keep than with the mask after it
        y = functional.relu(self.norm(z, cells) * cells, inplace=True).permute(0, 3, 1, 2)
        y = functional.relu(self.first(y) * cells.permute(0, 3, 1, 2), inplace=True)
        return self.dropout(self.second(y)).permute(0, 2, 3, 1) * cells


def recomputed(branch: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """What a branch makes of its inputs, of which alone the backward pass keeps anything.

    Everything in between is computed twice, the second time on the way back, with the same random
    numbers (Chen et al. 2016): a fourth to a third more work for a fraction of the memory. Inside
    the block and not around it, so that hooks on the block see one call, and not for probes, which
    measure in evaluation mode: `torch.func` refuses what saves tensors in another way.
    """
    return checkpoint(branch, *inputs, use_reentrant=False)


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
            mean, square = moments(z, count)
            factor = self.scale * torch.rsqrt((square - mean**2).clamp(min=0) + 1e-5)
            offset = self.shift - mean * factor
            factor, offset = (one[:, None, None].to(z.dtype) for one in (factor, offset))
            return (z * factor).add_(offset)
