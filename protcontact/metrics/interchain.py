"""How good is a predicted map of several chains, within each chain and between them?

Within a chain: as if the chain stood alone, by the usual ranges of separation. Between chains there
is no separation; candidates are the known pairs of residues of different chains, ranked by falling
score, ties by (i, j). L is the length of the shortest chain, as is usual for pairs of chains. Cuts
are 10, L/10, L/5 and L (rounded down, at least 1), or all candidates where there are fewer.
Contacts between chains are few, so each precision has its ceiling, ``min(K, positives) / K``.
Undefined (NaN): nothing in contact, so nothing to find.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

from protcontact.metrics.precision import RangeScore, score_chain


@dataclass(frozen=True)
class InterScore:
    """Scores of the pairs between chains; all NaN where `positives` is 0.

    Attributes:
        candidates: Known pairs of residues of different chains.
        positives: Candidates in contact.
        precision_10: Precision of the 10 best.
        precision_l10: P@L/10, L of the shortest chain.
        precision_l5: P@L/5.
        precision_l: P@L.
        ceiling_10: Largest P@10 that any ranking can reach.
        ceiling_l10: The same for P@L/10.
        ceiling_l5: The same for P@L/5.
        ceiling_l: The same for P@L.
        auprc: Average precision.
    """

    candidates: int
    positives: int
    precision_10: float
    precision_l10: float
    precision_l5: float
    precision_l: float
    ceiling_10: float
    ceiling_l10: float
    ceiling_l5: float
    ceiling_l: float
    auprc: float


@dataclass(frozen=True)
class ComplexScores:
    """Scores of one complex.

    Attributes:
        intra: Of each chain: name of the separation range -> its scores.
        inter: Between the chains.
    """

    intra: tuple[dict[str, RangeScore], ...]
    inter: InterScore


def score_interchain(
    scores: Tensor, contact: Tensor, known: Tensor, chain_of: Tensor
) -> ComplexScores:
    """Score one joint map, intra and inter apart.

    Args:
        scores: ``(L, L)`` logits or probabilities; only their order counts, and only above the
            diagonal.
        contact: ``(L, L)`` bool; without meaning where `known` is False.
        known: ``(L, L)`` bool, pairs whose truth is available.
        chain_of: ``(L,)`` int64, number of each residue's chain: 0 ... 0 1 ... 1 2 ...

    Returns:
        Both.

    Raises:
        ValueError: If shapes or dtypes are wrong, chains are not numbered so, there is only one, or
            a known pair's score is NaN.
    """
    L = len(chain_of)
    _check(scores, contact, known, chain_of)
    lengths = torch.bincount(chain_of).tolist()
    intra = []
    start = 0
    for number, length in enumerate(lengths):
        where = slice(start, start + length)
        part = scores[where, where], contact[where, where], known[where, where]
        intra.append(score_chain(*part, chain=str(number)))
        start += length
    i, j = torch.triu_indices(L, L, offset=1, device=scores.device)
    candidate = (chain_of[i] != chain_of[j]) & known[i, j]
    i, j = i[candidate], j[candidate]
    value = scores[i, j].detach()
    if value.isnan().any():
        raise ValueError(
            f"scores are NaN at {int(value.isnan().sum())} known pairs between chains; "
            "nothing to rank"
        )
    # A stable sort of pairs in the order of (i, j); adding 0 makes 0.0 of -0.0.
    order = (value.double() + 0.0).sort(descending=True, stable=True).indices
    hits = contact[i, j][order]
    ranks = (hits.nonzero()[:, 0] + 1).tolist()
    return ComplexScores(tuple(intra), _inter(ranks, len(hits), min(lengths)))


def _inter(ranks: list[int], candidates: int, shortest: int) -> InterScore:
    positives = len(ranks)
    if not positives:
        return InterScore(candidates, positives, *[math.nan] * 9)
    wanted = (10, max(shortest // 10, 1), max(shortest // 5, 1), shortest)
    cuts = [min(k, candidates) for k in wanted]
    precisions = [bisect_right(ranks, k) / k for k in cuts]
    ceilings = [min(k, positives) / k for k in cuts]
    auprc = math.fsum(n / rank for n, rank in enumerate(ranks, start=1)) / positives
    numbers = [*precisions, *ceilings, auprc]
    return InterScore(candidates, positives, *numbers)


def _check(scores: Tensor, contact: Tensor, known: Tensor, chain_of: Tensor) -> None:
    L = len(chain_of)
    for name, tensor in (("scores", scores), ("contact", contact), ("known", known)):
        if tensor.shape != (L, L):
            raise ValueError(f"{name} must be {(L, L)} as chain_of, not {tuple(tensor.shape)}")
    if contact.dtype != torch.bool or known.dtype != torch.bool:
        raise ValueError(f"contact and known must be bool, not {contact.dtype} and {known.dtype}")
    if chain_of.dtype != torch.int64 or chain_of.ndim != 1:
        raise ValueError(f"chain_of must be (L,) int64, not {chain_of.dtype}")
    steps = chain_of.diff()
    if L == 0 or chain_of[0] != 0 or not ((steps == 0) | (steps == 1)).all() or not steps.any():
        raise ValueError("chain_of must read 0 ... 0 1 ... 1 and so on, with at least two chains")
