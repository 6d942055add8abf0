"""What do structures that resemble a chain add to what its sequence says?

The residual network of `ResNet`, which sees at each cell what templates say of its pairs
(`protcontact.models.templates`) beside what the residues say. Templates are structures of training
chains, as remote as the split allows: the network learns how far to trust them, mends their gaps
and goes on where an alignment ends (templates: Jumper et al. 2021; here of their sequences only how
alike they are around each residue).
How much of a score is theirs, the null that copies the nearest chain tells.
"""

from torch import Tensor, nn

from protcontact.batch import AlignedTemplates
from protcontact.models.contract import TemplateHead
from protcontact.models.heads.resnet import ResidualTrunk
from protcontact.models.templates import MAPS, TemplateCells, TemplateTrust, template_maps


class TemplateResNet(ResidualTrunk, TemplateHead):
    """Residual dilated convolutions over pair features and the maps of templates.

    Without templates, as where none knows a pair, it says what a `ResNet` would.

    Args:
        in_channels: Width of the encoder.
        channels: Width of the two-dimensional part.
        blocks: Number of residual blocks.
        dilations: Dilation of each block's second convolution, repeated in turn.
        patch: Residues along the edge of a cell.
        dropout: Share of channels dropped from each block in training, ``[0, 1)``.
        checkpointing: Whether training computes each block again on the way back.

    Raises:
        ValueError: What `ResidualTrunk` refuses.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 16,
        blocks: int = 2,
        dilations: tuple[int, ...] = (1, 2, 4),
        patch: int = 2,
        dropout: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            in_channels, channels, blocks, dilations, patch, dropout, True, checkpointing
        )
        self.trust = TemplateTrust()
        self.cells = TemplateCells(channels, patch)
        self.direct = nn.Linear(MAPS, 1, bias=False)
        nn.init.zeros_(self.direct.weight)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        index: Tensor | None = None,
        templates: AlignedTemplates | None = None,
    ) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``."""
        if templates is None:
            B, L = mask.shape
            maps = self.direct.weight.new_zeros(B, L, L, MAPS)
        else:
            maps = template_maps(templates, self.trust(templates)).to(self.direct.weight.dtype)
        logits = self.draw(x, mask, index, self.cells(maps))
        return (logits + self.direct(maps)).squeeze(-1)
