"""Stacks of layers, plain or residual: the smallest networks that can lose a gradient."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


class StackLayer(nn.Module):
    """``activation(W x + b)``, or ``x + scale * activation(W x + b)`` with the identity.

    Args:
        width: Channels.
        activation: Element by element.
        gain: W has elements of standard deviation ``gain / sqrt(width)``: 1 is Xavier's and
            LeCun's, sqrt(2) He's.
        identity: Whether x is added.
        scale: Of the branch.
        dtype: Of the weights.
    """

    def __init__(
        self,
        width: int,
        activation: Activation,
        gain: float = 1.0,
        identity: bool = False,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, dtype=dtype)
        nn.init.normal_(self.linear.weight, std=gain / math.sqrt(width))
        nn.init.zeros_(self.linear.bias)
        self.activation = activation
        self.residual = identity
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """``(..., width) -> (..., width)``."""
        y = self.activation(self.linear(x))
        return x + self.scale * y if self.residual else y


def stack(depth: int, width: int, activation: Activation, **options: object) -> nn.Sequential:
    """`depth` layers; the options are those of `StackLayer`."""
    return nn.Sequential(*(StackLayer(width, activation, **options) for _ in range(depth)))  # type: ignore[arg-type]
