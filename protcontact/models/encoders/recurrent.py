"""Can a recurrent network carry what a contact needs along the chain?

The baseline of the field: a bidirectional LSTM (Hochreiter and Schmidhuber 1997). What residue i
tells residue j passes ``|i - j|`` steps, and so does its gradient:

    h_t = cell(x_t, h_{t-1}),    dh_j / dh_i = D_j D_{j-1} ... D_{i+1},    D_t = dh_t / dh_{t-1}

In the vanilla cell (Elman 1990) every D_t has the same matrix in it. The LSTM and the GRU (Cho et
al. 2014) have a path on which D_t is a gate alone, which training can hold open, near 1.
"""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from protcontact.models.contract import Encoder
from protcontact.models.encoders.embedding import ResidueEmbedding


class Bidirectional(Encoder):
    """Stacked recurrent layers that read the chain both ways; each adds to its input.

    The backward direction runs on the chain reversed *within its own length*, so padding never
    enters: the numbers of a chain do not depend on its batch. Both directions of layer n are
    modules of their own, ``forward_lstms[n]`` and ``backward_lstms[n]``, or ``..._grus`` and
    ``..._rnns``, whose class a probe can ask for.

    Args:
        channels: Width of each direction; the output has ``2 * channels``.
        layers: Number of bidirectional layers.
        dropout: Share of activations dropped after each layer in training, ``[0, 1)``.
        corruption: Share of residues mutated in training, see `ResidueEmbedding`.
        substitution: Share of residues redrawn in training as evolution does, see there.

    Raises:
        ValueError: If `channels` or `layers` is smaller than 1.
    """

    def __init__(
        self,
        channels: int = 32,
        layers: int = 2,
        dropout: float = 0.0,
        corruption: float = 0.0,
        substitution: float = 0.0,
    ) -> None:
        super().__init__()
        if channels < 1 or layers < 1:
            raise ValueError(f"channels and layers must be >= 1, not {channels} and {layers}")
        width = 2 * channels
        self.out_channels = width
        self.embedding = ResidueEmbedding(width, corruption, substitution)
        ahead, back = (
            nn.ModuleList(self.recurrence(width, channels) for _ in range(layers)) for _ in range(2)
        )
        kind = type(ahead[0]).__name__.lower()
        self._names = f"forward_{kind}s", f"backward_{kind}s"
        for name, cells in zip(self._names, (ahead, back), strict=True):
            self.add_module(name, cells)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def recurrence(self, width: int, channels: int) -> nn.RNNBase:
        """One direction of one layer, ``(B, L, width) -> (B, L, channels)``."""

    def forward(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, 2 * channels)``; `index` is ignored.

        The windows of a crop of two are read as if they were neighbours.
        """
        reverse = reversal(mask)
        x = self.embedding(tokens)
        directions = (self.get_submodule(name).children() for name in self._names)
        for ahead, back, norm in zip(*directions, self.norms, strict=True):
            y = norm(x)
            rightward, _ = ahead(y)
            leftward, _ = back(permute(y, reverse))
            x = x + self.dropout(torch.cat([rightward, permute(leftward, reverse)], dim=-1))
        return x * mask[..., None]


class BiLSTM(Bidirectional):
    """Stacked bidirectional LSTM; arguments as for `Bidirectional`."""

    forward_lstms: nn.ModuleList
    backward_lstms: nn.ModuleList

    def recurrence(self, width: int, channels: int) -> nn.LSTM:
        """An LSTM: its cell state is what the forget gate leaves, plus what is new."""
        return nn.LSTM(width, channels, batch_first=True)


class BiGRU(Bidirectional):
    """Stacked bidirectional GRU; arguments as for `Bidirectional`.

    Three quarters of an LSTM's weights at the same width: one gate decides both how much of the
    state stays and how much is new, and nothing closes the state off from the output.
    """

    forward_grus: nn.ModuleList
    backward_grus: nn.ModuleList

    def recurrence(self, width: int, channels: int) -> nn.GRU:
        """A GRU."""
        return nn.GRU(width, channels, batch_first=True)


class BiRNN(Bidirectional):
    """Stacked bidirectional vanilla RNN: the one whose gradient vanishes.

    Args:
        channels: Width of each direction; the output has ``2 * channels``.
        layers: Number of bidirectional layers.
        dropout: Share of activations dropped after each layer in training, ``[0, 1)``.
        corruption: Share of residues mutated in training, see `ResidueEmbedding`.
        nonlinearity: phi of `torch.nn.RNN`. With ``relu`` states are not bounded.
        substitution: Share of residues redrawn in training as evolution does, see there.

    Raises:
        ValueError: If `channels` or `layers` is smaller than 1, or torch has no such nonlinearity.
    """

    forward_rnns: nn.ModuleList
    backward_rnns: nn.ModuleList

    def __init__(
        self,
        channels: int = 32,
        layers: int = 2,
        dropout: float = 0.0,
        corruption: float = 0.0,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        substitution: float = 0.0,
    ) -> None:
        self.nonlinearity = nonlinearity  # `recurrence`, called below, reads it
        super().__init__(channels, layers, dropout, corruption, substitution)

    def recurrence(self, width: int, channels: int) -> nn.RNN:
        """A vanilla RNN, ``h_t = phi(W x_t + U h_{t-1} + b)``."""
        return nn.RNN(width, channels, nonlinearity=self.nonlinearity, batch_first=True)


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
