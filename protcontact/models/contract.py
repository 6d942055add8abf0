"""What must every encoder and every pair head do?

`ContactModel` is ``head(encoder(batch))``. ``index`` is the place of each residue in its full
sequence: a training crop may consist of two windows that lie far apart, so neither positions nor
sequence separations may be taken from the place in the tensor.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from protcontact.batch import ContactBatch
from protcontact.errors import InputError

# Sees the attention maps of one layer, (layer, (B, K, L, L)), while they exist.
MapVisitor = Callable[[int, Tensor], None]


class Described(nn.Module):
    """A module that remembers the arguments it was made with, so that a file can say what it is.

    Attributes:
        init_args: Every constructor argument under its own name, defaults included.
    """

    init_args: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the arguments; copying and unpickling come here without any."""
        module = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(module, *args, **kwargs)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()  # less the module itself
        object.__setattr__(module, "init_args", dict(arguments))
        return module


class Encoder(Described, ABC):
    """Residues to vectors.

    Attributes:
        out_channels: C of the returned ``(B, L, C)``.
        maps: Layers and heads K of the attention maps that it shows to a visitor, a further
            argument of its forward pass; None if it has none.
    """

    out_channels: int
    maps: tuple[int, int] | None = None

    @abstractmethod
    def forward(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``; ``index=None`` means ``0 ... L-1``."""


class PairHead(Described, ABC):
    """Vectors of residues to a logit for each pair of residues.

    Args:
        in_channels: C of the encoder in front of it.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)`` symmetric logits."""


class MapHead(PairHead):
    """Attention maps of the encoder to a logit for each pair of residues.

    How many maps there are is the encoder's affair: a head is made without its weights, and
    `ContactModel` attaches it. Of the vectors it reads nothing.
    """

    @abstractmethod
    def attach(self, layers: int, heads: int) -> None:
        """Make the weights for ``layers * heads`` maps; those that are there already are kept."""

    @abstractmethod
    def visitor(self) -> MapVisitor:
        """Make what will see the maps of one forward pass."""

    @abstractmethod
    def forward(self, x: Any, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """A visitor that has seen all maps, ``(B, L), (B, L) -> (B, L, L)`` symmetric logits."""


def default_index(mask: Tensor) -> Tensor:
    """``(B, L) -> (B, L)``: residues counted from 0, for chains that were not cropped."""
    B, L = mask.shape
    return torch.arange(L, device=mask.device).expand(B, L)


class ContactModel(nn.Module):
    """A contact predictor: ``head(encoder(batch))``.

    Args:
        encoder: Residues to vectors.
        head: Vectors to pair logits, built for ``encoder.out_channels``; or maps to pair logits.

    Raises:
        InputError: If the head reads maps and the encoder has none.
    """

    def __init__(self, encoder: Encoder, head: PairHead) -> None:
        super().__init__()
        if isinstance(head, MapHead):
            if encoder.maps is None:
                raise InputError(
                    f"{type(head).__name__} reads attention maps, and {type(encoder).__name__} has "
                    "none; take an encoder with attention, or another head"
                )
            head.attach(*encoder.maps)
        self.encoder = encoder
        self.head = head

    def forward(self, batch: ContactBatch) -> Tensor:
        """Logits ``(B, L, L)``."""
        residues = batch.tokens, batch.mask, batch.index
        if not isinstance(self.head, MapHead):
            return self.head(self.encoder(*residues), batch.mask, batch.index)
        visitor = self.head.visitor()
        x = self.encoder(*residues, visitor=visitor)
        logits = self.head(visitor, batch.mask, batch.index)
        # nobody reads what comes after the last map; DDP waits for its gradient all the same
        return logits + 0.0 * x.sum() if x.requires_grad else logits
