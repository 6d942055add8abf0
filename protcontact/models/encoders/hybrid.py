"""Does attention find more when a recurrent network has read the neighbourhood first?

A recurrent layer tells each residue what stands around it, in order, and forgets what is far away;
attention reaches any distance in one step, but compares residues that know little of their
neighbours. Here the one goes in front of the other, as in the hybrid of Chen et al. 2018 ("The best
of both worlds"), who found each better at what the other is worse at.
"""

from torch import Tensor, nn

from protcontact.models.contract import Encoder, MapVisitor, default_index
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import TransformerBlock, rotary_angles


class RecurrentAttention(Encoder):
    """A `BiLSTM`, then pre-norm self-attention with rotary positions.

    Maps, visitors and fused attention are those of `Transformer`; the LSTMs are modules of their
    own in ``recurrence``, which probes find as in the `BiLSTM`.

    Args:
        channels: Width of each direction; the output has ``2 * channels``, a multiple of
            ``2 * heads``.
        layers: Number of bidirectional layers.
        blocks: Number of attention blocks.
        heads: K, attention heads per block.
        expansion: Width of the feed-forward part of a block as a multiple of ``2 * channels``.
        dropout: Share dropped from each residual branch in training, ``[0, 1)``.
        corruption: Share of residues mutated in training, see `ResidueEmbedding`.
        substitution: Share of residues redrawn in training as evolution does, see there.

    Raises:
        ValueError: If a size is below 1 or `channels` is not a multiple of `heads`.
    """

    def __init__(
        self,
        channels: int = 32,
        layers: int = 1,
        blocks: int = 2,
        heads: int = 4,
        expansion: int = 2,
        dropout: float = 0.0,
        corruption: float = 0.0,
        substitution: float = 0.0,
    ) -> None:
        super().__init__()
        if min(channels, layers, blocks, heads, expansion) < 1 or channels % heads != 0:
            raise ValueError(
                "layers, blocks, heads and expansion must be >= 1 and channels a multiple of "
                f"heads, not {layers}, {blocks}, {heads}, {expansion} and {channels}"
            )
        self.recurrence = BiLSTM(channels, layers, dropout, corruption, substitution)
        width = self.recurrence.out_channels
        self.out_channels = width
        self.maps = blocks, heads
        self.head_channels = width // heads
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, expansion, dropout) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
        index: Tensor | None = None,
        visitor: MapVisitor | None = None,
    ) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, 2 * channels)``; the visitor sees each block's maps.

        The windows of a crop of two are neighbours for the LSTMs, and far apart for attention.
        """
        index = default_index(mask) if index is None else index
        x = self.recurrence(tokens, mask, index)
        rotation = rotary_angles(index, self.head_channels, x.dtype)
        for layer, block in enumerate(self.blocks):
            x, maps = block(x, mask, rotation, visitor is not None)
            if visitor is not None:
                visitor(layer, maps)
        return self.norm(x) * mask[..., None]
