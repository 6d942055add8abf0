"""Can attention find what pairs up, however far apart it stands?

A pre-norm Transformer encoder (Vaswani et al. 2017; pre-norm: Xiong et al. 2020) with rotary
positions (Su et al. 2021). The path between any two residues is one step long.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.models.contract import Encoder, MapVisitor, default_index
from protcontact.models.encoders.embedding import ResidueEmbedding
from protcontact.models.pairing import attention_maps


class Transformer(Encoder):
    """Pre-norm Transformer encoder with rotary positions.

    Without a visitor attention is fused (no map is ever stored). With one, each layer's maps are
    computed, shown once and forgotten, so that nobody holds layers x heads x L x L numbers.

    Args:
        channels: C, divisible by `heads`, with an even number of channels per head.
        layers: Number of blocks.
        heads: K, attention heads per block.
        expansion: Width of the feed-forward part as a multiple of C.
        dropout: Share dropped from each residual branch in training, ``[0, 1)``.
        corruption: Share of residues mutated in training, see `ResidueEmbedding`.
        substitution: Share of residues redrawn in training as evolution does, see there.

    Raises:
        ValueError: If a size is below 1 or `channels` is not a multiple of ``2 * heads``.
    """

    def __init__(
        self,
        channels: int = 32,
        layers: int = 2,
        heads: int = 4,
        expansion: int = 4,
        dropout: float = 0.0,
        corruption: float = 0.0,
        substitution: float = 0.0,
    ) -> None:
        super().__init__()
        if min(channels, layers, heads, expansion) < 1 or channels % (2 * heads) != 0:
            raise ValueError(
                "layers, heads and expansion must be >= 1 and channels a multiple of 2 * heads, "
                f"not {layers}, {heads}, {expansion} and {channels}"
            )
        self.out_channels = channels
        self.maps = layers, heads
        self.head_channels = channels // heads
        self.embedding = ResidueEmbedding(channels, corruption, substitution)
        self.blocks = nn.ModuleList(
            TransformerBlock(channels, heads, expansion, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
        index: Tensor | None = None,
        visitor: MapVisitor | None = None,
    ) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``; the visitor sees each layer's maps once."""
        index = default_index(mask) if index is None else index
        x = self.embedding(tokens)
        rotation = rotary_angles(index, self.head_channels, x.dtype)
        for layer, block in enumerate(self.blocks):
            x, maps = block(x, mask, rotation, visitor is not None)
            if visitor is not None:
                visitor(layer, maps)
        return self.norm(x) * mask[..., None]


class TransformerBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    residual = True  # what gradient flow measures the identity's share of

    def __init__(self, channels: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.head_channels = channels // heads
        self.attention_norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, expansion * channels),
            nn.GELU(),
            nn.Linear(expansion * channels, channels),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor, rotation: tuple[Tensor, Tensor], want_maps: bool
    ) -> tuple[Tensor, Tensor | None]:
        """``(B, L, C) -> (B, L, C)`` and, if wanted, maps ``(B, K, L, L)``."""
        B, L, C = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(B, L, 3, self.heads, self.head_channels)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, rotation), rotate(k, rotation)
        maps = attention_maps(q, k, mask) if want_maps else None
        if maps is not None:
            y = maps.to(v.dtype) @ v
        else:
            y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x = x + self.dropout(self.out(y.transpose(1, 2).reshape(B, L, C)))
        return x + self.dropout(self.mlp(x)), maps


def rotary_angles(index: Tensor, channels: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``(B, 1, L, channels / 2)`` of the rotation of each residue.

    Angles are formed in float32: under bfloat16 positions above 256 would collapse.
    """
    frequency = 10_000.0 ** (
        -torch.arange(0, channels, 2, device=index.device, dtype=torch.float32) / channels
    )
    angle = index[:, None, :, None].float() * frequency
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate channel pairs ``(c, c + D/2)`` of ``(B, K, L, D)`` by each residue's angle."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1).to(
        x.dtype
    )
