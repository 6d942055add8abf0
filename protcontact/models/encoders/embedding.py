"""How do letters become vectors, and how is a small data set kept from being learnt by heart?

During training a share of the residues is replaced by others (``corruption``): a contact map
survives most point mutations, so this is augmentation as much as regularisation.
"""

import torch
from torch import Tensor, nn

from protcontact.structure.alphabet import PADDING, SIZE, UNKNOWN


class ResidueEmbedding(nn.Module):
    """Letters to vectors, with random point mutations during training.

    Args:
        channels: C, width of the vectors.
        corruption: Share of the residues that is replaced in training mode, half of them by X and
            half by one of the 20 letters drawn uniformly; in ``[0, 1)``.

    Raises:
        ValueError: If `corruption` is outside ``[0, 1)``.
    """

    def __init__(self, channels: int, corruption: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= corruption < 1.0:
            raise ValueError(f"corruption must lie in [0, 1), not {corruption}")
        self.corruption = corruption
        self.letters = nn.Embedding(SIZE, channels, padding_idx=PADDING)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(B, L) -> (B, L, C)``."""
        if self.training and self.corruption > 0:
            tokens = self._mutate(tokens)
        return self.letters(tokens)

    def _mutate(self, tokens: Tensor) -> Tensor:
        draw = torch.rand(tokens.shape, device=tokens.device)
        others = torch.randint(0, UNKNOWN, tokens.shape, device=tokens.device)
        mutated = torch.where(draw < self.corruption / 2, UNKNOWN, others)
        return torch.where((draw < self.corruption) & (tokens != PADDING), mutated, tokens)
