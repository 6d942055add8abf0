"""Which model says what its Jacobian must be? A Gaussian graphical model.

Residues are vectors x_i that are jointly Gaussian with precision matrix P, of blocks ``P_ij``. Two
of them are coupled if ``P_ij`` is not 0, and each is best guessed from all others by

    E[x_i | x_j, j != i] = -P_ii^-1 sum_{j != i} P_ij x_j

(as `torch` has it, a linear layer). So the Jacobian of a model that has learnt to guess is

    J_ij = dE[x_i | ...] / dx_j = -P_ii^-1 P_ij,    J_ii = 0

the couplings themselves, and a pair that is not coupled has exactly 0, however many others it is
correlated with. That is why the Jacobian of a model of sequences may be read as a contact map.
"""

import torch
from torch import Tensor, nn

from protcontact.models.contract import Encoder
from protcontact.structure.alphabet import SIZE


class ConditionalMean(Encoder):
    """Guesses the vector of each residue from those of all others. Chains have one length, L.

    Args:
        precision: ``(L, C, L, C)``, symmetric and positive definite.
    """

    precision: Tensor

    def __init__(self, precision: Tensor) -> None:
        super().__init__()
        self.out_channels = precision.shape[1]
        self.embedding = nn.Embedding(SIZE, self.out_channels, dtype=precision.dtype)
        self.register_buffer("precision", precision)

    def couplings(self) -> Tensor:
        """``(L, C, L, C)``: ``-P_ii^-1 P_ij``, 0 for i = j."""
        L, C = self.precision.shape[:2]
        rows = self.precision.transpose(1, 2)  # (L, L, C, C)
        own = rows.diagonal(dim1=0, dim2=1).permute(2, 0, 1)
        found = -torch.linalg.solve(own[:, None], rows)
        found[range(L), range(L)] = 0.0
        return found.transpose(1, 2).reshape(L, C, L, C)

    def forward(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``."""
        x = self.embedding(tokens)
        return torch.einsum("icjd,bjd->bic", self.couplings(), x)


def random_precision(
    length: int, channels: int, share: float, generator: torch.Generator
) -> Tensor:
    """A precision matrix of which few pairs of residues are coupled.

    Args:
        length: L.
        channels: C.
        share: Of pairs i < j that are coupled; neighbours along the chain are as well.
        generator: Draws pairs and couplings.

    Returns:
        ``(L, C, L, C)`` float64, no ``P_ii`` of it diagonal; positive definite, as the diagonal
        outweighs the rest of each row.
    """
    chosen = torch.rand(length, length, generator=generator) < share
    chosen = (chosen | torch.ones(length, length).tril(1).bool()).triu()
    blocks = torch.randn(length, channels, length, channels, generator=generator).double()
    blocks = blocks * chosen[:, None, :, None]
    flat = blocks.reshape(length * channels, length * channels)
    flat = flat + flat.T
    flat += torch.diag(flat.abs().sum(dim=1) + 1.0)
    return flat.view(length, channels, length, channels)
