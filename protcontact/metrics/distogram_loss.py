"""What is minimised by a head that draws distances?

Cross-entropy of the bin that holds the distance, over the pairs whose truth is known, as the
contact loss in `protcontact.metrics.loss` is: an unresolved residue says nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from protcontact.batch import ContactBatch
from protcontact.metrics.loss import ChainLosses


def distance_bins(distances: Tensor, edges: Sequence[float]) -> Tensor:
    """Number n of the bin of each distance, ``edges[n-1] <= d < edges[n]``.

    By comparisons and not `torch.bucketize`, whose edges would first have to be sent to the device.

    Args:
        distances: Angstrom, of any shape.
        edges: N - 1 of them, rising.

    Returns:
        int64 of the same shape, 0 to N - 1; 0 where the distance is NaN.
    """
    bins = torch.zeros_like(distances, dtype=torch.int64)
    for edge in edges:
        bins += distances >= edge
    return bins


def chain_distogram_losses(
    distogram: Tensor, batch: ContactBatch, edges: Sequence[float], *, min_separation: int = 6
) -> ChainLosses:
    """Sum the cross-entropy over the known pairs of each chain.

    Args:
        distogram: ``(B, L, L, N)`` logits; only pairs i < j are read.
        batch: The chains, whole or cropped.
        edges: Between the bins, N - 1 of them, rising, Angstrom.
        min_separation: Smallest ``|i - j|``, along the full sequence, that counts.

    Returns:
        Sums in float32 (float64 for float64 logits) and the numbers of pairs.

    Raises:
        ValueError: If shapes disagree or `min_separation` is below 1.
    """
    B, L = batch.tokens.shape
    expected = B, L, L, len(edges) + 1
    if distogram.shape != expected:
        raise ValueError(
            f"distogram must be {expected} as the batch and its {len(edges)} edges, "
            f"not {tuple(distogram.shape)}"
        )
    if min_separation < 1:
        raise ValueError(f"min_separation must be at least 1, not {min_separation}")
    pairs = (batch.known() & (batch.separation() >= min_separation)).triu(diagonal=1)
    # filled before the loss, and kept with a graph: for the reasons see `chain_losses`
    wide = distogram.to(torch.promote_types(distogram.dtype, torch.float32))
    wide = wide.masked_fill(~pairs[..., None], 0.0)
    bins = distance_bins(batch.distances(), edges)
    terms = cross_entropy(wide.flatten(0, 2), bins.flatten(), reduction="none").view(B, L, L)
    return ChainLosses(terms.masked_fill(~pairs, 0.0).sum(dim=(1, 2)), pairs.sum(dim=(1, 2)))


def masked_distogram_loss(
    distogram: Tensor, batch: ContactBatch, edges: Sequence[float], *, min_separation: int = 6
) -> Tensor:
    """Average the cross-entropy over a chain's known pairs, then over chains.

    Chains without a known pair are left out; a batch without any gives 0 with a graph.

    Args:
        distogram: ``(B, L, L, N)`` logits; only pairs i < j are read.
        batch: The chains, whole or cropped.
        edges: Between the bins, N - 1 of them, rising, Angstrom.
        min_separation: Smallest ``|i - j|``, along the full sequence, that counts.

    Returns:
        Scalar, float32 (float64 for float64 logits). Refuses what `chain_distogram_losses` refuses.
    """
    return chain_distogram_losses(distogram, batch, edges, min_separation=min_separation).mean()
