"""How do several trained encoders become one?

Models that differ in their seed alone make different mistakes: the mean of their logits ranks pairs
better than any of them (Hansen and Salamon 1990). This is the encoders' half of such a mean: their
vectors side by side, of which `protcontact.models.heads.ensemble` gives each head its own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protcontact.models.contract import Encoder
from protcontact.models.encoders.transformer import Transformer


class EncoderEnsemble(Encoder):
    """The vectors of several encoders, one behind the other.

    Args:
        members: The encoders; without any, one small Transformer.
    """

    def __init__(self, members: Sequence[Encoder] = ()) -> None:
        super().__init__()
        encoders = list(members) or [Transformer()]
        self.members = nn.ModuleList(encoders)
        self.out_channels = sum(encoder.out_channels for encoder in encoders)

    def forward(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``, C the sum over the members."""
        return torch.cat([encoder(tokens, mask, index) for encoder in self.members], dim=-1)
