"""What do the attention maps of a language model say of a pair of residues?

After Rao et al. 2020 one number per layer and head: the map A, symmetrised and corrected for its
average product,

    x_h(i, j) = A_ij + A_ji - r_i r_j / t,      r = row sums of A + A^T,  t = sum r

over the residues, without begin and end. The encoder shows its maps layer by layer, one chain at a
time; what the chosen pairs need is copied into one matrix, and the maps are forgotten.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.models.encoders.transformer import MapVisitor
from protcontact.models.pairing import at_least_float32


class ShowsMaps(Protocol):
    """An encoder whose visitor sees the maps of each layer, ``(B, K, L, L)`` of residues only."""

    def __call__(
        self, tokens: Tensor, mask: Tensor, index: Tensor | None, visitor: MapVisitor
    ) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``."""


@dataclass(frozen=True)
class ChosenPairs:
    """The pairs i < j of one chain that enter a fit.

    Attributes:
        i: ``(P,)`` int64, rows of the map.
        j: ``(P,)`` int64, columns.
        contact: ``(P,)`` bool.
    """

    i: Tensor
    j: Tensor
    contact: Tensor

    def __len__(self) -> int:
        return len(self.i)


def chosen_pairs(batch: ContactBatch, min_separation: int) -> ChosenPairs:
    """Pairs of a batch of one whose truth is known and that stand far enough apart, each once.

    Args:
        batch: One chain.
        min_separation: Smallest ``|i - j|``, counted along the full sequence.
    """
    far = batch.separation()[0] >= min_separation
    i, j = (batch.known()[0] & far).triu(diagonal=1).nonzero(as_tuple=True)
    return ChosenPairs(i, j, batch.contact()[0][i, j])


def map_features(maps: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Symmetrised and corrected maps at some pairs, in float32 or wider.

    Args:
        maps: ``(K, L, L)`` of one chain, residues only.
        i: ``(P,)`` rows.
        j: ``(P,)`` columns.

    Returns:
        ``(P, K)``; without the correction where a map is 0 everywhere.
    """
    maps = at_least_float32(maps)
    rows = maps.sum(dim=-1) + maps.sum(dim=-2)
    total = rows.sum(dim=-1, keepdim=True)
    scaled = rows / torch.where(total == 0, 1.0, total)
    return (maps[:, i, j] + maps[:, j, i] - scaled[:, i] * rows[:, j]).T


class FeatureColumns:
    """Visits an encoder that runs on one chain, and fills the columns of each layer.

    Args:
        pairs: Of the chain.
        into: ``(P, layers * K)`` float32; column ``layer * K + head``.
    """

    def __init__(self, pairs: ChosenPairs, into: np.ndarray) -> None:
        self.pairs = pairs
        self.into = into

    def __call__(self, layer: int, maps: Tensor) -> None:
        """Take in the maps ``(1, K, L, L)`` of one layer."""
        heads = maps.shape[1]
        found = map_features(maps[0], self.pairs.i, self.pairs.j)
        self.into[:, layer * heads : (layer + 1) * heads] = found.float().numpy()


@torch.no_grad()
def collect_features(
    encoder: ShowsMaps,
    batches: Sequence[ContactBatch],
    min_separation: int,
    columns: int,
    advance: Callable[[int, str], None] = lambda items, note: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of the pairs of some chains, one chain and one layer at a time.

    Args:
        encoder: In evaluation mode, on the host.
        batches: Batches of one.
        min_separation: As in `chosen_pairs`.
        columns: Number of layers times heads.
        advance: Told after each chain.

    Returns:
        ``(P, columns)`` float32 and ``(P,)`` bool, chains in order.

    Raises:
        InputError: If a chain's maps are not numbers.
    """
    chains = [len(chosen_pairs(batch, min_separation)) for batch in batches]
    features = np.empty((sum(chains), columns), dtype=np.float32)
    contact = np.empty(sum(chains), dtype=bool)
    for batch, part in zip(batches, _parts(chains), strict=True):
        pairs = chosen_pairs(batch, min_separation)
        encoder(batch.tokens, batch.mask, batch.index, FeatureColumns(pairs, features[part]))
        if not np.isfinite(features[part].sum(dtype=np.float64)):
            raise InputError(
                f"attention maps of chain {batch.ids[0]} are not finite; the weights of the "
                "checkpoint are damaged, or overflow: import them again"
            )
        contact[part] = pairs.contact.numpy()
        advance(1, batch.ids[0])
    return features, contact


def _parts(sizes: Sequence[int]) -> Iterator[slice]:
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size
