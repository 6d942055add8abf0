"""How do several trained models give one map?

By the mean of their logits (Hansen and Salamon 1990): each head reads the vectors of its own
encoder, which `protcontact.models.encoders.ensemble` puts side by side.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protcontact.batch import AlignedTemplates
from protcontact.models.contract import MapHead, PairHead, TemplateHead
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.pairing import at_least_float32


class HeadEnsemble(TemplateHead):
    """Mean of the logits of several heads.

    Args:
        in_channels: Channels of all encoders together.
        members: The heads, in the order of the encoders; without any, one `Bilinear`.

    Raises:
        ValueError: If the heads together read another number of channels, or a head reads attention
            maps and not vectors.
    """

    def __init__(self, in_channels: int, members: Sequence[PairHead] = ()) -> None:
        super().__init__(in_channels)
        heads = list(members) or [Bilinear(in_channels)]
        maps = [type(head).__name__ for head in heads if isinstance(head, MapHead)]
        if maps:
            raise ValueError(f"{maps[0]} reads attention maps; an ensemble hands on vectors only")
        self.widths = [head.in_channels for head in heads]
        if sum(self.widths) != in_channels:
            raise ValueError(
                f"the members read {self.widths} channels, {sum(self.widths)} in all, and the "
                f"encoders give {in_channels}; name the heads in the order of their encoders"
            )
        self.members = nn.ModuleList(heads)
        self.looks = any(head.looks for head in heads)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        index: Tensor | None = None,
        templates: AlignedTemplates | None = None,
    ) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``; templates go to members that look at them."""
        parts = x.split(self.widths, dim=-1)
        logits = []
        for head, part in zip(self.members, parts, strict=True):
            more = (templates,) if isinstance(head, TemplateHead) else ()
            logits.append(at_least_float32(head(part, mask, index, *more)))
        return torch.stack(logits).mean(dim=0)
