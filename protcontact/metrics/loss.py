"""What is minimised in training?

Binary cross-entropy over the pairs whose truth is known. An unresolved residue says nothing: its
pairs are left out, not taken for non-contacts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from protcontact.batch import ContactBatch


@dataclass(frozen=True, eq=False)
class ChainLosses:
    """Loss of each chain, for reductions other than the default one.

    Attributes:
        total: ``(B,)`` sum over the chain's pairs, with a graph.
        pairs: ``(B,)`` int64, number of these pairs.
    """

    total: Tensor
    pairs: Tensor

    def mean(self) -> Tensor:
        """Average over a chain's pairs, then over the chains that have any; 0 if none has."""
        means = self.total / self.pairs.clamp(min=1)
        return means.sum() / (self.pairs > 0).sum().clamp(min=1)


def chain_losses(
    logits: Tensor,
    batch: ContactBatch,
    *,
    min_separation: int = 6,
    positive_weight: float = 1.0,
) -> ChainLosses:
    """Sum the binary cross-entropy over the known pairs of each chain.

    Args:
        logits: ``(B, L, L)``; only pairs i < j are read, as heads return symmetric maps.
        batch: The chains, whole or cropped.
        min_separation: Smallest ``|i - j|``, along the full sequence, that counts.
        positive_weight: Factor on the terms of contacts.

    Returns:
        Sums in float32 (float64 for float64 logits) and the numbers of pairs.

    Raises:
        ValueError: If shapes disagree, `min_separation` is below 1 or `positive_weight` is not
            positive.
    """
    B, L = batch.tokens.shape
    if logits.shape != (B, L, L):
        raise ValueError(f"logits must be {(B, L, L)} as the batch, not {tuple(logits.shape)}")
    if min_separation < 1:
        raise ValueError(f"min_separation must be at least 1, not {min_separation}")
    if not positive_weight > 0:
        raise ValueError(f"positive_weight must be positive, not {positive_weight}")
    pairs = (batch.known() & (batch.separation() >= min_separation)).triu(diagonal=1)
    # Filled before the loss, not multiplied by 0 after it: 0 * NaN is NaN, and a batch without any
    # pair must still give a zero with a graph, or the other ranks of DDP wait for its gradient.
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32)).masked_fill(~pairs, 0.0)
    terms = binary_cross_entropy_with_logits(
        wide,
        batch.contact().to(wide.dtype),
        reduction="none",
        pos_weight=wide.new_full((), positive_weight),  # `new_tensor` would wait for a GPU
    )
    return ChainLosses(terms.masked_fill(~pairs, 0.0).sum(dim=(1, 2)), pairs.sum(dim=(1, 2)))


def masked_contact_loss(
    logits: Tensor,
    batch: ContactBatch,
    *,
    min_separation: int = 6,
    positive_weight: float = 1.0,
) -> Tensor:
    """Average the binary cross-entropy over a chain's known pairs, then over chains.

    So every chain has the same say, as it has in the scores; over all pairs of a batch at once,
    one chain of 500 residues would outweigh 25 of 100. Chains without a known pair are left out; a
    batch without any gives 0 with a graph and a gradient of 0.

    Args:
        logits: ``(B, L, L)``; only pairs i < j are read.
        batch: The chains, whole or cropped.
        min_separation: Smallest ``|i - j|``, along the full sequence, that counts.
        positive_weight: Factor on the terms of contacts. The mean still divides by the number of
            pairs.

    Returns:
        Scalar, float32 (float64 for float64 logits). Refuses what `chain_losses` refuses.
    """
    return chain_losses(
        logits, batch, min_separation=min_separation, positive_weight=positive_weight
    ).mean()
