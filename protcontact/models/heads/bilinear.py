"""The smallest head that compares residues: a low-rank bilinear form.

``logit_ij = (U x_i) . (V x_j) / sqrt(R) + (the same with i and j exchanged) + b(|i - j|)``
Nothing of size ``L x L x C`` exists: memory is the map itself.
"""

from torch import Tensor, nn

from protcontact.models.contract import PairHead, default_index
from protcontact.models.pairing import SeparationEmbedding, at_least_float32, symmetrize


class Bilinear(PairHead):
    """Low-rank bilinear comparison of two residues, plus a bias for their separation.

    Args:
        in_channels: C of the encoder.
        rank: R, rank of the form.

    Raises:
        ValueError: If `rank` is smaller than 1.
    """

    def __init__(self, in_channels: int, rank: int = 32) -> None:
        super().__init__(in_channels)
        if rank < 1:
            raise ValueError(f"rank must be >= 1, not {rank}")
        self.left = nn.Linear(in_channels, rank)
        self.right = nn.Linear(in_channels, rank)
        self.scale = rank**-0.5
        self.separation = SeparationEmbedding(1)
        nn.init.constant_(self.separation.vectors.weight, -3.0)  # contacts are about 1 pair in 20

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``."""
        index = default_index(mask) if index is None else index
        form = at_least_float32(self.left(x) @ self.right(x).transpose(-1, -2)) * self.scale
        return symmetrize(form) + self.separation(index).squeeze(-1)
