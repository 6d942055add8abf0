"""How many layers must a signal pass between two residues, if each layer doubles its stride?

Residual dilated convolutions over the chain (Yu and Koltun 2016; van den Oord et al. 2016). Block n
reads residues i - d, i and i + d with ``d = 2^n``, so N blocks of kernel 3 reach

    R = sum_n 2^n = 2^N - 1    residues to each side,  1 + 2 R in all, each of them and no other

Ten blocks reach 1,023 residues. The path between two residues has at most N convolutions, where a
recurrent network has ``|i - j|`` steps, and the identity of each block leads past its convolution.
"""

from torch import Tensor, nn
from torch.nn import functional

from protcontact.models.contract import Encoder
from protcontact.models.encoders.embedding import ResidueEmbedding


class DilatedConvolution(Encoder):
    """Residual one-dimensional convolutions of doubling dilation.

    Padding is zero before each convolution, as is what lies beyond the ends of a chain: the numbers
    of a chain do not depend on its batch. No norm looks beyond a single residue, so the receptive
    field is exact: what lies outside has a gradient of exactly 0, what lies inside has a path.

    Args:
        channels: C.
        blocks: N, number of blocks; block n has dilation ``2^n``.
        kernel: Residues that a convolution reads, an odd number from 3 on.
        dropout: Share dropped from each block's branch in training, ``[0, 1)``.
        corruption: Share of residues mutated in training, see `ResidueEmbedding`.
        substitution: Share of residues redrawn in training as evolution does, see there.

    Attributes:
        reach: R, how many residues to each side an output depends on:
            ``(kernel - 1) / 2 * (2^blocks - 1)``.
        receptive_field: ``1 + 2 * reach``, residues that an output depends on.

    Raises:
        ValueError: If `channels` or `blocks` is smaller than 1, or `kernel` even or smaller than 3.
    """

    def __init__(
        self,
        channels: int = 32,
        blocks: int = 4,
        kernel: int = 3,
        dropout: float = 0.0,
        corruption: float = 0.0,
        substitution: float = 0.0,
    ) -> None:
        super().__init__()
        if channels < 1 or blocks < 1 or kernel < 3 or kernel % 2 == 0:
            raise ValueError(
                "channels and blocks must be >= 1 and kernel an odd number >= 3, "
                f"not {channels}, {blocks} and {kernel}"
            )
        self.out_channels = channels
        self.reach = (kernel - 1) // 2 * (2**blocks - 1)
        self.receptive_field = 1 + 2 * self.reach
        self.embedding = ResidueEmbedding(channels, corruption, substitution)
        self.blocks = nn.ModuleList(
            DilatedBlock(channels, kernel, 2**block, dropout) for block in range(blocks)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``; `index` is ignored.

        The windows of a crop of two are read as if they were neighbours, as by the recurrent
        encoders.
        """
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) * mask[..., None]


class DilatedBlock(nn.Module):
    """``x + mix(gelu(convolution(norm(x))))``; `mix` looks at each residue alone."""

    residual = True  # what gradient flow measures the identity's share of

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.convolution = nn.Conv1d(
            channels, channels, kernel, padding=(kernel - 1) // 2 * dilation, dilation=dilation
        )
        self.mix = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, L, C), (B, L) -> (B, L, C)``; what stands at padding is not read."""
        y = self.norm(x) * mask[..., None]
        y = functional.gelu(self.convolution(y.transpose(1, 2))).transpose(1, 2)
        return x + self.dropout(self.mix(y))
