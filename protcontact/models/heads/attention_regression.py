"""Contacts as a logistic regression over attention maps.

After Rao et al. 2020 (Transformer protein language models are unsupervised structure learners):
each map is symmetrised, corrected for its average product, and enters the logit with one weight.
The logit is linear in the corrected maps, so it is summed map by map and no stack of maps exists:

    S     = sum_h w_h (A_h + A_h^T)
    logit = S - sum_h (w_h / t_h) r_h r_h^T + b,   r_h = row sums of (A_h + A_h^T), t_h = sum r_h
"""

import torch
from torch import Tensor, nn

from protcontact.models.contract import PairHead, default_index
from protcontact.models.pairing import SeparationEmbedding, at_least_float32, attention_maps


class AttentionSum:
    """Running weighted sum of symmetrised, corrected attention maps; can visit an encoder.

    Args:
        weights: ``(layers, K)``, weight of each map.
    """

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights
        self.total: Tensor | None = None

    def __call__(self, layer: int, maps: Tensor) -> None:
        """Add the maps ``(B, K, L, L)`` of one layer, in float32 or wider under any autocast."""
        with torch.autocast(maps.device.type, enabled=False):
            maps = at_least_float32(maps)
            weights = self.weights[layer].to(maps.dtype)
            weighted = torch.einsum("k,bkij->bij", weights, maps)
            rows = maps.sum(dim=-1) + maps.sum(dim=-2)  # (B, K, L): row sums of A + A^T
            mass = rows.sum(dim=-1, keepdim=True)
            scaled = rows * weights[:, None] / torch.where(mass == 0, 1.0, mass)
            added = weighted + weighted.transpose(-1, -2) - scaled.transpose(-1, -2) @ rows
            # symmetric up to rounding in the product above; made exact here
            added = 0.5 * (added + added.transpose(-1, -2))
            self.total = added if self.total is None else self.total + added


class AttentionRegression(PairHead):
    """One attention layer on top of the encoder, of which the maps are read, not the output.

    Args:
        in_channels: C of the encoder.
        heads: K, number of maps.
        head_channels: Channels per head.

    Raises:
        ValueError: If `heads` or `head_channels` is smaller than 1.
    """

    def __init__(self, in_channels: int, heads: int = 16, head_channels: int = 16) -> None:
        super().__init__(in_channels)
        if min(heads, head_channels) < 1:
            raise ValueError(
                f"heads and head_channels must be >= 1, not {heads} and {head_channels}"
            )
        self.heads = heads
        self.query = nn.Linear(in_channels, heads * head_channels)
        self.key = nn.Linear(in_channels, heads * head_channels)
        # a map's entries are about 1 / L: weights start large enough to move the logit
        self.weight = nn.Parameter(torch.randn(1, heads) * 4.0)
        self.separation = SeparationEmbedding(1)
        nn.init.constant_(self.separation.vectors.weight, -3.0)  # contacts are about 1 pair in 20

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``."""
        B, L, _ = x.shape
        index = default_index(mask) if index is None else index
        q = self.query(x).view(B, L, self.heads, -1).transpose(1, 2)
        k = self.key(x).view(B, L, self.heads, -1).transpose(1, 2)
        running = AttentionSum(self.weight)
        running(0, attention_maps(q, k, mask))
        assert running.total is not None
        return running.total + self.separation(index).squeeze(-1)
