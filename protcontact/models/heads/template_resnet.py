"""What do structures that resemble a chain add to what its sequence says?

The residual network of `ResNet`, which sees at each cell what templates say of its pairs
(`protcontact.models.templates`) beside what the residues say. Templates are structures of training
chains, as remote as the split allows: the network learns how far to trust them, mends their gaps
and goes on where an alignment ends (templates: Jumper et al. 2021; here without their sequences).
How much of a score is theirs, the null that copies the nearest chain tells.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from protcontact.batch import AlignedTemplates
from protcontact.models.contract import TemplateHead, default_index
from protcontact.models.heads.resnet import ResidualTrunk
from protcontact.models.templates import MAPS, TemplateCells, template_maps


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
        average_offsets: Whether evaluation takes the mean over all ways to lay cells along the
            chain: those that begin with its first residue, and 1 ... ``patch - 1`` before it. It
            takes ``patch`` times as long. Training lays them in the first way.

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
        average_offsets: bool = True,
    ) -> None:
        super().__init__(
            in_channels, channels, blocks, dilations, patch, dropout, True, checkpointing
        )
        self.average_offsets = average_offsets
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
        index = default_index(mask) if index is None else index
        if templates is None:
            B, L = mask.shape
            maps = self.direct.weight.new_zeros(B, L, L, MAPS)
        else:
            maps = template_maps(templates).to(self.direct.weight.dtype)
        ways = self.patch if self.average_offsets and not self.training else 1
        logits = self._laid(x, mask, index, maps, 0)
        for offset in range(1, ways):
            logits = logits + self._laid(x, mask, index, maps, offset)
        return (logits / ways + self.direct(maps)).squeeze(-1)

    def _laid(self, x: Tensor, mask: Tensor, index: Tensor, maps: Tensor, offset: int) -> Tensor:
        """Logits ``(B, L, L, 1)`` where the first cell begins `offset` residues too early."""
        x, mask = functional.pad(x, (0, 0, offset, 0)), functional.pad(mask, (offset, 0))
        before = index[:, :1] - torch.arange(offset, 0, -1, device=index.device)
        index = torch.cat([before, index], dim=1)
        maps = functional.pad(maps, (0, 0, offset, 0, offset, 0))
        return self.draw(x, mask, index, self.cells(maps))[:, offset:, offset:]
