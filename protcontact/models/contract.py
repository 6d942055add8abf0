"""What must every encoder and every pair head do?

`ContactModel` is ``head(encoder(batch))``. ``index`` is the place of each residue in its full
sequence: a training crop may consist of two windows that lie far apart, so neither positions nor
sequence separations may be taken from the place in the tensor.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from protcontact.batch import AlignedTemplates, ContactBatch
from protcontact.errors import InputError
from protcontact.structure.contacts import CUTOFF

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
        opens_blocks: Whether it calls the layers of its blocks and not the blocks, which must be
            known to those who distribute the weights.
    """

    out_channels: int
    maps: tuple[int, int] | None = None
    opens_blocks: bool = False

    @abstractmethod
    def forward(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``; ``index=None`` means ``0 ... L-1``."""


class PairHead(Described, ABC):
    """Vectors of residues to a logit for each pair of residues.

    Args:
        in_channels: C of the encoder in front of it.

    Attributes:
        looks: Whether it looks at templates, if it is given any; see `TemplateHead`.
    """

    looks: bool = False

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


class DistanceHead(PairHead):
    """Vectors of residues to logits of distance bins, of which contacts are those below 8.0 A.

    Bin n holds the distances ``edges[n-1] <= d < edges[n]``; the first and the last are open. So
    "below the contact cutoff" is a number of whole bins, and exactly what a contact is.

    Attributes:
        edges: Between the bins, N - 1 of them, Angstrom; as `checked_edges` returns them.
    """

    edges: tuple[float, ...]

    @abstractmethod
    def distogram(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L, N)`` logits, symmetric in the residues."""

    def contact_logits(self, distogram: Tensor) -> Tensor:
        """``(B, L, L, N) -> (B, L, L)``: log odds of a contact, in float32 or wider.

        ``p = softmax(distogram)``, ``log(sum_below p) - log(sum_above p)``; what normalises p
        cancels.
        """
        bins = self.edges.index(CUTOFF) + 1
        wide = distogram.to(torch.promote_types(distogram.dtype, torch.float32))
        return wide[..., :bins].logsumexp(dim=-1) - wide[..., bins:].logsumexp(dim=-1)

    def forward(
        self, x: Tensor, mask: Tensor, index: Tensor | None = None, draw: bool = False
    ) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)`` symmetric logits of contacts.

        Or the distogram, if asked to `draw`: what is compiled is the call of a head.
        """
        distogram = self.distogram(x, mask, index)
        return distogram if draw else self.contact_logits(distogram)


class TemplateHead(PairHead):
    """Vectors of residues, and structures that resemble the chain, to a logit for each pair."""

    looks = True

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        index: Tensor | None = None,
        templates: AlignedTemplates | None = None,
    ) -> Tensor:
        """``(B, L, C), (B, L), (B, L) -> (B, L, L)``; without templates, what the sequence says."""


def checked_edges(edges: Sequence[float]) -> tuple[float, ...]:
    """Edges of distance bins, if they can be those of a `DistanceHead`.

    Args:
        edges: Angstrom.

    Raises:
        ValueError: If they are not positive and finite, do not rise, or the contact cutoff is not
            among them.
    """
    checked = tuple(map(float, edges))
    rising = all(low < high for low, high in pairwise((0.0, *checked, float("inf"))))
    if not rising or CUTOFF not in checked:
        raise ValueError(
            "edges must be finite numbers that rise from above 0, with the contact cutoff "
            f"{CUTOFF} among them, not {list(edges)}"
        )
    return checked


def default_index(mask: Tensor) -> Tensor:
    """``(B, L) -> (B, L)``: residues counted from 0, for chains that were not cropped."""
    B, L = mask.shape
    return torch.arange(L, device=mask.device).expand(B, L)


class Drawn(NamedTuple):
    """What is between the residues and the contacts, for losses that need it.

    Attributes:
        vectors: ``(B, L, C)`` of the encoder.
        maps: What the head has drawn: ``(B, L, L, N)`` if it is a `DistanceHead`, else the logits
            ``(B, L, L)``.
    """

    vectors: Tensor
    maps: Tensor


class ContactModel(nn.Module):
    """A contact predictor: ``head(encoder(batch))``.

    Args:
        encoder: Residues to vectors.
        head: Vectors to pair logits, built for ``encoder.out_channels``; or maps to pair logits.

    Attributes:
        temperature: What logits are to be divided by where probabilities are told, so that they
            come true (Guo et al. 2017); None where that is not known. The logits are not divided.

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
        self.temperature: float | None = None

    def forward(self, batch: ContactBatch, draw: bool = False) -> Tensor | Drawn:
        """Logits ``(B, L, L)``.

        Args:
            batch: The chains.
            draw: Return what they are made of instead. An argument and not a method of its own:
                what FSDP, `torch.compile` and hooks do, they do to calls of the module.
        """
        residues = batch.tokens, batch.mask, batch.index
        if not isinstance(self.head, MapHead):
            x = self.encoder(*residues)
            if draw and isinstance(self.head, DistanceHead):
                return Drawn(x, self.head(x, batch.mask, batch.index, draw=True))
            more = (batch.templates,) if isinstance(self.head, TemplateHead) else ()
            logits = self.head(x, batch.mask, batch.index, *more)
            return Drawn(x, logits) if draw else logits
        visitor = self.head.visitor()
        x = self.encoder(*residues, visitor=visitor)
        logits = self.head(visitor, batch.mask, batch.index)
        # nobody reads what comes after the last map; DDP waits for its gradient all the same
        logits = logits + 0.0 * x.sum() if x.requires_grad else logits
        return Drawn(x, logits) if draw else logits
