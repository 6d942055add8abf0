"""How do letters become vectors, and how is a small data set kept from being learnt by heart?

During training a share of the residues is replaced by others (``corruption``): a contact map
survives most point mutations, so this is augmentation as much as regularisation. It survives those
best that evolution allows (``substitution``), which change a sequence into that of a relative.
"""

import torch
from torch import Tensor, nn

from protcontact.models.encoders.substitution import substitution_probabilities
from protcontact.structure.alphabet import PADDING, SIZE, UNKNOWN


class ResidueEmbedding(nn.Module):
    """Letters to vectors, with random point mutations during training.

    Args:
        channels: C, width of the vectors.
        corruption: Share of the residues that is replaced in training mode, half of them by X and
            half by one of the 20 letters drawn uniformly; in ``[0, 1)``.
        substitution: Share of the residues that is redrawn in training mode as BLOSUM62 has it, see
            `substitution_probabilities`: one in three keeps its letter, and X stays X. In
            ``[0, 1]``. A corrupted residue may be redrawn, too.

    Raises:
        ValueError: If `corruption` is outside ``[0, 1)`` or `substitution` outside ``[0, 1]``.
    """

    steps: Tensor

    def __init__(self, channels: int, corruption: float = 0.0, substitution: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= corruption < 1.0:
            raise ValueError(f"corruption must lie in [0, 1), not {corruption}")
        if not 0.0 <= substitution <= 1.0:
            raise ValueError(f"substitution must lie in [0, 1], not {substitution}")
        self.corruption = corruption
        self.substitution = substitution
        if substitution > 0:
            # P(b' <= b | a) for all b but the last, so that rounding cannot lead past it
            steps = torch.from_numpy(substitution_probabilities().cumsum(axis=1)[:, :-1]).float()
            self.register_buffer("steps", steps, persistent=False)
        self.letters = nn.Embedding(SIZE, channels, padding_idx=PADDING)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(B, L) -> (B, L, C)``."""
        if self.training and self.corruption > 0:
            tokens = self._mutate(tokens)
        if self.training and self.substitution > 0:
            tokens = self._substitute(tokens)
        return self.letters(tokens)

    def _mutate(self, tokens: Tensor) -> Tensor:
        draw = torch.rand(tokens.shape, device=tokens.device)
        others = torch.randint(0, UNKNOWN, tokens.shape, device=tokens.device)
        mutated = torch.where(draw < self.corruption / 2, UNKNOWN, others)
        return torch.where((draw < self.corruption) & (tokens != PADDING), mutated, tokens)

    def _substitute(self, tokens: Tensor) -> Tensor:
        chosen = torch.rand(tokens.shape, device=tokens.device) < self.substitution
        draw = torch.rand((*tokens.shape, 1), device=tokens.device)
        drawn = (draw >= self.steps[tokens.clamp(max=UNKNOWN - 1)]).sum(dim=-1)
        return torch.where(chosen & (tokens < UNKNOWN), drawn, tokens)
