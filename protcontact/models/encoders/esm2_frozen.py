"""What can a head make of a protein language model that stays as it is?

`ESM2` with all its weights frozen: no gradient, no noise in training, and so the same vectors for a
chain in every epoch, which a cache on disk may keep.
"""

from typing import Any, Self

import torch
from torch import Tensor

from protcontact.models.contract import MapVisitor, default_index
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.pretrained.embedding_cache import EmbeddingCache, digest

# Where the folder of a cache or the file of the weights lie is no part of what the vectors are.
PLACES = ("cache", "checkpoint")


class FrozenESM2(ESM2):
    """A protein language model of which nothing is trained.

    Without a cache a batch is computed at once. With one, each chain is computed alone the first
    time it is seen, so that what is kept does not depend on the batch it came in, and read
    afterwards: the same bits in every epoch, and up to rounding those of no cache.

    Args:
        channels: As the others below in `ESM2`.
        layers: Number of blocks.
        heads: K, attention heads per block.
        expansion: Width of the feed-forward part as a multiple of C.
        positions: Longest input with learned positions; 0: rotary positions, of any length.
        norm_before: Whether a norm stands in front of the first block.
        token_dropout: Whether vectors are scaled for the share that was masked in training.
        norm_eps: Added to the variance in each norm.
        regression: Whether there is a contact regression over all attention maps.
        checkpoint: File written by ``protcontact import``, which says what all of the above are.
        cache: Folder that keeps embeddings, 4 C bytes per residue of each chain or crop; shared by
            any models and processes. A checkpoint of training does not remember it: it belongs to
            the machine.
    """

    def __init__(
        self,
        channels: int = 16,
        layers: int = 2,
        heads: int = 2,
        expansion: int = 4,
        positions: int = 0,
        norm_before: bool = False,
        token_dropout: bool = True,
        norm_eps: float = 1e-5,
        regression: bool = True,
        checkpoint: str | None = None,
        cache: str | None = None,
    ) -> None:
        sizes = channels, layers, heads, expansion, positions
        super().__init__(*sizes, norm_before, token_dropout, norm_eps, regression, checkpoint)
        self.init_args["cache"] = None
        self._cache = None if cache is None else EmbeddingCache(cache)
        self._hashed: tuple[Any, str] = (None, "")
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: what is not trained is not trained with noise."""
        return super().train(False)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
        index: Tensor | None = None,
        visitor: MapVisitor | None = None,
    ) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``; computed if a visitor or a hook looks inside.

        Letters have no gradient and the weights want none, so there is no graph, unless gradient
        flow puts a vector in that has one.
        """
        watched = visitor is not None or len(self.residues._forward_hooks) > 0
        if self._cache is None or watched:
            return super().forward(tokens, mask, index, visitor)
        index = default_index(mask) if index is None else index
        lengths = mask.sum(dim=1).tolist()
        rows = [self._row(tokens[b, :n], index[b, :n]) for b, n in enumerate(lengths)]
        x = rows[0].new_zeros(*mask.shape, self.out_channels, device=mask.device)
        for b, row in enumerate(rows):
            x[b, : len(row)] = row
        return x

    def _row(self, tokens: Tensor, index: Tensor) -> Tensor:
        """``(L), (L) -> (L, C)`` of one chain or crop, without padding."""
        assert self._cache is not None
        steps = index - index[0]  # where in a longer chain a crop lies does not matter
        name = digest([self._weights_digest(), _precision(self.ids.device), tokens, steps])

        @torch.no_grad()
        def compute() -> Tensor:
            real = torch.ones_like(tokens, dtype=torch.bool)[None]
            return super(FrozenESM2, self).forward(tokens[None], real, index[None])[0]

        return self._cache.fetch(name, (len(tokens), self.out_channels), compute)

    def _weights_digest(self) -> str:
        """Hash of all that the vectors depend on; taken again only if a tensor was changed."""
        tensors = {
            name: tensor
            for name, tensor in self.state_dict(keep_vars=True).items()
            if not name.startswith(("lm_head.", "contact_head."))
        }
        state = [(tensor.data_ptr(), tensor._version) for tensor in tensors.values()]
        if self._hashed[0] != state:
            sizes = {name: x for name, x in self.init_args.items() if name not in PLACES}
            parts = [part for named in tensors.items() for part in named]
            self._hashed = state, digest([repr(sorted(sizes.items())), *parts])
        return self._hashed[1]


def _precision(device: torch.device) -> str:
    """What autocast does to products here."""
    on = torch.is_autocast_enabled(device.type)
    return str(torch.get_autocast_dtype(device.type)) if on else ""
