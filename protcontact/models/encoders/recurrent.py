"""Can a recurrent network carry what a contact needs along the chain?

The baseline of the field: a bidirectional LSTM (Hochreiter and Schmidhuber 1997). What residue i
tells residue j passes ``|i - j|`` steps, and so does its gradient.
"""

import torch
from torch import Tensor, nn

from protcontact.models.contract import Encoder
from protcontact.models.encoders.embedding import ResidueEmbedding


class BiLSTM(Encoder):
    """Stacked bidirectional LSTM; each layer adds to its input where the widths agree.

    The backward direction runs on the chain reversed *within its own length*, so padding never
    enters: the numbers of a chain do not depend on its batch.

    Args:
        channels: Width of each direction; the output has ``2 * channels``.
        layers: Number of bidirectional layers.
        dropout: Share of activations dropped after each layer in training, ``[0, 1)``.
        corruption: Share of residues mutated in training, see `ResidueEmbedding`.

    Raises:
        ValueError: If `channels` or `layers` is smaller than 1.
    """

    def __init__(
        self,
        channels: int = 32,
        layers: int = 2,
        dropout: float = 0.0,
        corruption: float = 0.0,
    ) -> None:
        super().__init__()
        if channels < 1 or layers < 1:
            raise ValueError(f"channels and layers must be >= 1, not {channels} and {layers}")
        self.out_channels = 2 * channels
        self.embedding = ResidueEmbedding(2 * channels, corruption)
        width = 2 * channels
        self.forward_lstms = nn.ModuleList(
            nn.LSTM(width, channels, batch_first=True) for _ in range(layers)
        )
        self.backward_lstms = nn.ModuleList(
            nn.LSTM(width, channels, batch_first=True) for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, 2 * channels)``; `index` is ignored.

        The windows of a crop of two are read as if they were neighbours.
        """
        reverse = reversal(mask)
        x = self.embedding(tokens)
        for ahead, back, norm in zip(
            self.forward_lstms, self.backward_lstms, self.norms, strict=True
        ):
            y = norm(x)
            rightward, _ = ahead(y)
            leftward, _ = back(permute(y, reverse))
            x = x + self.dropout(torch.cat([rightward, permute(leftward, reverse)], dim=-1))
        return x * mask[..., None]


def reversal(mask: Tensor) -> Tensor:
    """``(B, L) -> (B, L)``: where each residue stands when its chain is read backwards.

    Padding stays where it is, so applying the permutation twice changes nothing.
    """
    B, L = mask.shape
    place = torch.arange(L, device=mask.device).expand(B, L)
    return torch.where(mask, mask.sum(dim=1, keepdim=True) - 1 - place, place)


def permute(x: Tensor, order: Tensor) -> Tensor:
    """``(B, L, C), (B, L) -> (B, L, C)``: rows of x in the given order."""
    return x.gather(1, order[..., None].expand_as(x))
