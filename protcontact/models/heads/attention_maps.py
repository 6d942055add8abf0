"""Which of the encoder's own attention maps show contacts? A logistic regression by gradient.

As `attention_regression`, after Rao et al. 2020, but over the maps of every layer of the encoder
and not over those of a layer of its own:

    logit_ij = sum_h w_h APC(A_h + A_h^T)_ij + b(|i - j|)

The sum runs while the encoder does, so no stack of maps is made. In training autograd keeps what it
needs for the gradient, all maps of a batch; without gradients the memory is that of one layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

from protcontact.errors import InputError
from protcontact.models.contract import MapHead, default_index
from protcontact.models.heads.attention_regression import AttentionSum
from protcontact.models.pairing import SeparationEmbedding

# An entry of a map is about 1 / L, and weights of published regressions are tens: steps of the
# optimizer, which are of the size of its learning rate, have to be longer here.
SCALE = 32.0


class AttentionMaps(MapHead):
    """Regression over all attention maps of the encoder in front of it.

    Starts as a guess by separation, with a weight of 0 for each map.

    Args:
        in_channels: C of the encoder, of which nothing is read.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.weight: nn.Parameter | None = None
        self.separation = SeparationEmbedding(1)
        nn.init.constant_(self.separation.vectors.weight, -3.0)  # contacts are about 1 pair in 20

    def attach(self, layers: int, heads: int) -> None:
        """Make weights ``(layers, heads)``.

        Raises:
            ValueError: If there are weights for another number of maps.
        """
        if self.weight is None:
            like = self.separation.vectors.weight
            self.weight = nn.Parameter(torch.zeros_like(like[:1, :1].expand(layers, heads)))
        if tuple(self.weight.shape) != (layers, heads):
            raise ValueError(
                f"the head has weights for {tuple(self.weight.shape)} layers and heads, and the "
                f"encoder has {(layers, heads)}"
            )

    @property
    def weights(self) -> Tensor:
        """``(layers, heads)``, what the logits have of each map.

        Raises:
            InputError: If the head was not attached to an encoder.
        """
        if self.weight is None:
            raise InputError("AttentionMaps has no weights outside of a ContactModel")
        return self.weight * SCALE

    def visitor(self) -> AttentionSum:
        """Sum that begins at 0."""
        return AttentionSum(self.weights)

    def forward(self, x: Any, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """A visitor, ``(B, L), (B, L) -> (B, L, L)``.

        Raises:
            InputError: If vectors came in place of a visitor.
        """
        if not isinstance(x, AttentionSum) or x.total is None:
            raise InputError(
                "AttentionMaps reads the attention maps of an encoder and no vectors, so what lies "
                "between them cannot be measured; take a head that reads vectors"
            )
        index = default_index(mask) if index is None else index
        return x.total + self.separation(index).squeeze(-1)
