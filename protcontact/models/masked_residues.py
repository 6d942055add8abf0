"""Does an encoder that must guess hidden residues know more of the contacts?

Masked language modelling (Devlin et al. 2019) as a second task of training: a share of the residues
is hidden, contacts are predicted from what is left, and the letters that were hidden from the
encoder's vectors at their places. One pass serves both.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from protcontact.models.contract import Described
from protcontact.models.pairing import at_least_float32
from protcontact.structure.alphabet import UNKNOWN


class Hidden(NamedTuple):
    """Residues, some of them hidden.

    Attributes:
        tokens: ``(B, L)`` int64, what the encoder reads.
        chosen: ``(B, L)`` bool, where the true letter is asked for.
    """

    tokens: Tensor
    chosen: Tensor


class MaskedResidues(Described):
    """Hides residues and asks for them.

    Of the chosen residues 80 % become X, which is what the alphabet has for a letter that is not
    known, 10 % one of the 20 letters drawn uniformly, and 10 % stay as they are (the shares of
    Devlin et al. 2019). Unknown residues are never chosen, nor is padding. Mutations of the
    encoder's own come on top, and are not asked for.

    Args:
        in_channels: C of the encoder.
        share: Of the residues that are chosen, ``(0, 1)``.
        weight: Of this loss beside that of the contacts.

    Raises:
        ValueError: If `share` is outside ``(0, 1)`` or `weight` is not positive.
    """

    MASKED = 0.8  # share of the chosen ones that become X
    REPLACED = 0.1  # share of the chosen ones that become a random letter

    def __init__(self, in_channels: int, share: float = 0.15, weight: float = 0.1) -> None:
        super().__init__()
        if not 0.0 < share < 1.0:
            raise ValueError(f"share must lie in (0, 1), not {share}")
        if not weight > 0.0:
            raise ValueError(f"weight must be positive, not {weight}")
        self.share = share
        self.weight = weight
        self.letters = nn.Linear(in_channels, UNKNOWN)

    def hide(self, tokens: Tensor) -> Hidden:
        """Choose residues ``(B, L)`` and hide most of them."""
        chosen = (torch.rand(tokens.shape, device=tokens.device) < self.share) & (tokens < UNKNOWN)
        fate = torch.rand(tokens.shape, device=tokens.device)
        others = torch.randint(0, UNKNOWN, tokens.shape, device=tokens.device)
        hidden = torch.where(fate < self.MASKED + self.REPLACED, others, tokens)
        hidden = torch.where(fate < self.MASKED, UNKNOWN, hidden)
        return Hidden(torch.where(chosen, hidden, tokens), chosen)

    def forward(self, x: Tensor, tokens: Tensor, chosen: Tensor) -> Tensor:
        """Mean cross-entropy of the true letters, over the chosen residues of a batch.

        Args:
            x: ``(B, L, C)``, vectors of the hidden residues.
            tokens: ``(B, L)``, the true ones.
            chosen: ``(B, L)`` bool.

        Returns:
            Scalar, float32 or wider; 0 with a graph if none is chosen. Without the weight.
        """
        logits = at_least_float32(self.letters(x)).masked_fill(~chosen[..., None], 0.0)
        targets = tokens.masked_fill(~chosen, 0)
        terms = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (terms * chosen.flatten()).sum() / chosen.sum().clamp(min=1)
