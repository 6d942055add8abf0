"""How good is a predicted contact map, chain by chain and range by range?

Definitions, for one chain of L residues (its *full* sequence) and one separation range:

* candidates: the known pairs i < j of the range, each once; positives: those in contact
* ranking: by falling score, ties by (i, j); one total order, the same on every device
* P@K, K = L, L/2, L/5 (rounded down, at least 1): fraction of positives among the K best
  candidates, or among all candidates where there are fewer; in other words K is replaced by
  ``min(K, candidates)``
* ceiling of P@K: ``min(K, positives) / K`` with the same replaced K, so that a perfect ranking
  reaches it exactly and nothing exceeds it
* R-precision: P@K for K = positives
* AUPRC: average precision, the mean over the positives of the precision at their rank,
  ``1/P sum_n n / rank_n``. Every rank is its own threshold, tied or not; without ties this is the
  average precision of information retrieval (and of scikit-learn, which pools tied scores)
* undefined (NaN): a range without candidate or without positive

Only the upper triangle (i < j) of the scores is read: pair heads return symmetric maps, and a
check for equality would refuse maps that are symmetric up to rounding.

All of these follow from the ranks of the positives. The device sorts and the host gets these
ranks, some 5 L integers in one copy; sums are exactly rounded (`math.fsum`), so that a score does
not depend on device, number of threads, or the padding around a chain.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.metrics.ranges import RANGES, SeparationRange
from protcontact.structure.contacts import CUTOFF

# Goes into the fingerprint of what was scored: count it up whenever a score changes its meaning.
DEFINITION = f"scores 1, contacts below {CUTOFF:g} A, " + ", ".join(
    f"{span.name} from {span.low}" for span in RANGES
)


@dataclass(frozen=True)
class RangeScore:
    """Scores of one chain in one separation range; all NaN where `positives` is 0.

    Attributes:
        candidates: Known pairs i < j of the range.
        positives: Candidates in contact.
        precision_l: P@L.
        precision_l2: P@L/2.
        precision_l5: P@L/5.
        ceiling_l: Largest P@L that any ranking can reach.
        ceiling_l2: The same for P@L/2.
        ceiling_l5: The same for P@L/5.
        r_precision: Precision among as many best pairs as there are positives.
        auprc: Average precision.
    """

    candidates: int
    positives: int
    precision_l: float
    precision_l2: float
    precision_l5: float
    ceiling_l: float
    ceiling_l2: float
    ceiling_l5: float
    r_precision: float
    auprc: float

    @property
    def defined(self) -> bool:
        """Whether there was something to find."""
        return self.positives > 0


# What logs and tables call the fields that are averaged over chains.
METRIC_NAMES = {
    "P@L": "precision_l",
    "P@L/2": "precision_l2",
    "P@L/5": "precision_l5",
    "R-precision": "r_precision",
    "AUPRC": "auprc",
    "ceiling": "ceiling_l",
    "ceiling/2": "ceiling_l2",
    "ceiling/5": "ceiling_l5",
}


@dataclass(frozen=True)
class ChainScores:
    """Scores of one chain.

    Attributes:
        id: Chain id.
        length: L of the full sequence.
        ranges: Name of the separation range -> its scores.
    """

    id: str
    length: int
    ranges: dict[str, RangeScore]

    def columns(self) -> dict[str, float]:
        """Return one flat row: ``long/candidates``, ``long/positives``, ``long/P@L``, ..."""
        row: dict[str, float] = {}
        for name, score in self.ranges.items():
            row[f"{name}/candidates"] = score.candidates
            row[f"{name}/positives"] = score.positives
            for metric, field in METRIC_NAMES.items():
                row[f"{name}/{metric}"] = getattr(score, field)
        return row


def range_score(ranks: Sequence[int], candidates: int, length: int) -> RangeScore:
    """Return the scores that follow from the ranks of the positives.

    Args:
        ranks: Rank (from 1, rising) of each positive among the candidates.
        candidates: Number of candidates.
        length: L of the full sequence.
    """
    positives = len(ranks)
    if positives == 0:
        undefined = dict.fromkeys(METRIC_NAMES.values(), math.nan)
        return RangeScore(candidates, positives, **undefined)
    k1, k2, k5 = (min(max(length // divisor, 1), candidates) for divisor in (1, 2, 5))
    return RangeScore(
        candidates,
        positives,
        precision_l=bisect_right(ranks, k1) / k1,
        precision_l2=bisect_right(ranks, k2) / k2,
        precision_l5=bisect_right(ranks, k5) / k5,
        ceiling_l=min(k1, positives) / k1,
        ceiling_l2=min(k2, positives) / k2,
        ceiling_l5=min(k5, positives) / k5,
        r_precision=bisect_right(ranks, positives) / positives,
        auprc=math.fsum(n / rank for n, rank in enumerate(ranks, start=1)) / positives,
    )


def score_chain(
    scores: Tensor,
    contact: Tensor,
    known: Tensor,
    length: int | None = None,
    index: Tensor | None = None,
    chain: str = "",
    ranges: Sequence[SeparationRange] = RANGES,
) -> dict[str, RangeScore]:
    """Score one map; L residues are given, out of a full sequence of `length`.

    Args:
        scores: ``(L, L)`` logits or probabilities of any dtype; only their order counts, and only
            above the diagonal.
        contact: ``(L, L)`` bool; without meaning where `known` is False.
        known: ``(L, L)`` bool, pairs whose truth is available.
        length: Residues of the full sequence, which decides K; default L.
        index: ``(L,)`` place of each residue in its full sequence, rising; default ``0 ... L-1``.
        chain: Name of the chain, for messages.
        ranges: Of separations.

    Returns:
        Name of each separation range -> its scores.

    Raises:
        ValueError: If shapes or dtypes are wrong, `index` does not rise within ``[0, length)``, or
            a candidate's score is NaN.
    """
    L = _checked_size(scores, contact, known)
    length = L if length is None else length
    if length < L:
        raise ValueError(f"length must be at least the {L} residues of the map, not {length}")
    if index is None:
        index = torch.arange(L, device=scores.device)
    else:
        _check_index(index, L, length)
    ranked = _rank_positives(_sortable(scores), contact, known, index, ranges)
    if ranked.nans:
        where = f" of chain {chain!r}" if chain else ""
        raise ValueError(f"scores{where} are NaN at {ranked.nans} known pairs; nothing to rank")
    return {
        span.name: range_score(ranks, candidates, length)
        for span, candidates, ranks in zip(ranges, ranked.candidates, ranked.ranks, strict=True)
    }


def score_batch(scores: Tensor, batch: ContactBatch) -> list[ChainScores]:
    """Score every chain of a batch; padding is cut off before anything is ranked.

    Args:
        scores: ``(B, L, L)`` logits or probabilities.
        batch: Full-length chains.

    Raises:
        ValueError: If shapes disagree, a chain is a crop (K follows from the full length, so P@K of
            a crop means nothing), or a candidate's score is NaN.
    """
    B, L = batch.tokens.shape
    if scores.shape != (B, L, L):
        raise ValueError(f"scores must be {(B, L, L)} as the batch, not {tuple(scores.shape)}")
    present, lengths = torch.stack([batch.mask.sum(dim=1), batch.lengths]).tolist()
    for name, residues, length in zip(batch.ids, present, lengths, strict=True):
        if residues != length:
            raise ValueError(
                f"chain {name!r} is a crop, {residues} of {length} residues: "
                "only full-length chains can be scored"
            )
    contact, known = batch.contact(), batch.known()
    rows = []
    for b, (name, n) in enumerate(zip(batch.ids, lengths, strict=True)):
        ranges = score_chain(scores[b, :n, :n], contact[b, :n, :n], known[b, :n, :n], chain=name)
        rows.append(ChainScores(name, n, ranges))
    return rows


@dataclass(frozen=True)
class _Ranked:
    """What the device found, per separation range; on the host."""

    nans: int
    candidates: list[int]
    ranks: list[list[int]]


def _rank_positives(
    scores: Tensor,
    contact: Tensor,
    known: Tensor,
    index: Tensor,
    ranges: Sequence[SeparationRange],
) -> _Ranked:
    """Rank all pairs in one sort; a range's ranks count only its own candidates."""
    L = scores.shape[0]
    # Row-major, hence ordered by (i, j): a stable sort then breaks ties as defined.
    i, j = torch.triu_indices(L, L, offset=1, device=scores.device)
    value = scores[i, j]
    order = value.sort(descending=True, stable=True).indices
    i, j = i[order], j[order]
    separation = index[j] - index[i]
    known, contact = known[i, j], contact[i, j]
    missing = value[order].isnan()
    header, ranks = [], []
    nans = torch.zeros((), dtype=torch.int64, device=scores.device)
    for span in ranges:
        candidate = known & span.contains(separation)
        header.append(candidate.sum())
        nans = nans + (candidate & missing).sum()
        # Unknown pairs stand in the sorted list as well, but never move this count.
        ranks.append(candidate.cumsum(dim=0)[candidate & contact])
    numbers = torch.cat([torch.stack([nans, *header]), *ranks]).tolist()
    position = 1 + len(ranges)
    lists = []
    for found in ranks:
        lists.append(numbers[position : position + len(found)])
        position += len(found)
    return _Ranked(numbers[0], numbers[1 : 1 + len(ranges)], lists)


def _sortable(scores: Tensor) -> Tensor:
    """Return the scores in float32 or float64, without negative zeros.

    Half precision is widened, which keeps every order and every tie. Adding 0 turns -0.0 into 0.0:
    a radix sort might tell them apart where a comparison does not.
    """
    scores = scores.detach()
    if scores.dtype not in (torch.float32, torch.float64):
        scores = scores.to(torch.float32 if scores.is_floating_point() else torch.float64)
    return scores + 0.0


def _checked_size(scores: Tensor, contact: Tensor, known: Tensor) -> int:
    L = scores.shape[0] if scores.ndim == 2 else 0
    for name, tensor in (("scores", scores), ("contact", contact), ("known", known)):
        if L == 0 or tensor.shape != (L, L):
            raise ValueError(
                f"{name} must be (L, L) with L > 0, as scores, not {tuple(tensor.shape)}"
            )
    for name, tensor in (("contact", contact), ("known", known)):
        # A label of -1 (unknown) would count as True.
        if tensor.dtype != torch.bool:
            raise ValueError(f"{name} must be bool, not {tensor.dtype}")
    return L


def _check_index(index: Tensor, size: int, length: int) -> None:
    if index.shape != (size,) or index.dtype != torch.int64:
        raise ValueError(
            f"index must be int64 of shape ({size},), not {index.dtype} of {tuple(index.shape)}"
        )
    if (index[1:] <= index[:-1]).any() or index[0] < 0 or index[-1] >= length:
        raise ValueError(f"index must rise and lie in [0, {length})")
