"""What would other codes have called this score?

Published precisions of contacts follow four definitions, none of which is that of
`protcontact.metrics.precision`. Each is here a function of the same tensors, so that a number can
be set beside one of a paper. None is a default anywhere, and none should be: what is wrong with
each is said below and shown in the tests.

All of them take a whole chain, ``(L, L)`` with L the length of its full sequence; labels of unknown
pairs are -1 in these codes, which some of them add up. Where a code leaves the order of equal
scores to its sort, it is here by (i, j). Read in the repositories as of 2022 to 2024:

==============  ====================================  ====================================
here            repository, file                      function
==============  ====================================  ====================================
`tape`          songlab-cal/tape,                     PairwiseContactPredictionHead
                tape/models/modeling_utils.py         .compute_precision_at_l5
`peer`          DeepGraphLearning/torchdrug,          ContactPrediction.target, .evaluate;
                tasks/contact_prediction.py,          variadic_top_precision
                metrics/metric.py
`saprot`        westlake-repl/SaProt,                 SaprotContactModel.loss_func
                model/saprot/saprot_contact_model.py
`esm_notebook`  facebookresearch/esm,                 compute_precisions
                examples/contact_prediction.ipynb
==============  ====================================  ====================================
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from protcontact.metrics.ranges import LONG, SHORT, SeparationRange

TENTHS = 10  # the notebook's "AUC" is over K = L/10, 2L/10, ... L


@dataclass(frozen=True)
class Hits:
    """What was found among the pairs that were chosen.

    Attributes:
        correct: Sum of their labels: contacts, less unknown pairs where a code chooses them.
        chosen: Their number.
    """

    correct: int
    chosen: int

    @property
    def precision(self) -> float:
        """One by the other; NaN where nothing was chosen."""
        return self.correct / self.chosen if self.chosen else math.nan


@dataclass(frozen=True)
class NotebookScores:
    """What the notebook tells of a range.

    Attributes:
        precision_l: Its ``P@L``.
        precision_l2: Its ``P@L2``.
        precision_l5: Its ``P@L5``.
        auc: Its ``AUC``: mean precision of the best L/10, 2L/10, ... L pairs.
    """

    precision_l: float
    precision_l2: float
    precision_l5: float
    auc: float


def pooled(hits: Iterable[Hits]) -> float:
    """Precision of several chains as one heap of pairs, in which long chains weigh more.

    So TAPE scores a batch, whatever chains happen to be in it, and SaProt a data set. PEER and the
    notebook take the mean over chains, as this package does.
    """
    rows = list(hits)
    return Hits(sum(row.correct for row in rows), sum(row.chosen for row in rows)).precision


def tape_precision(probabilities: Tensor, contact: Tensor, known: Tensor) -> Hits:
    """P@L/5 as TAPE (Rao et al. 2019) has it, over all separations of 6 and more together.

    Probabilities of pairs that do not count (unknown, nearer than 6, i > j) become 0, and the best
    L/5 of the *whole* map are taken. So where fewer than L/5 pairs count, or are above 0, others
    fill the rest, and their labels are added up: -1 for unknown or near pairs, and for i > j what
    the pair is. A perfect prediction of a chain with few resolved residues scores below 0.

    Args:
        probabilities: ``(L, L)`` in [0, 1]; logits below 0 would come after what was masked.
        contact: ``(L, L)`` bool; without meaning where `known` is False.
        known: ``(L, L)`` bool, pairs whose truth is available.

    Returns:
        What is in a batch's heap from this chain; `correct` may be negative. Refuses what the
        others refuse, too.

    Raises:
        ValueError: If something is no probability.
    """
    _check(probabilities, contact, known)
    given = probabilities[known]
    if ((given < 0) | (given > 1)).any():
        raise ValueError("TAPE ranks probabilities, in [0, 1]; take the sigmoid of logits first")
    separation = _separation(known)
    labels = contact.long().masked_fill(~known | (separation.abs() < SHORT.low), -1)
    masked = probabilities.masked_fill(~known | (separation < SHORT.low), 0.0)
    best = _ranked(masked.flatten())[: len(known) // 5]
    return Hits(int(labels.flatten()[best].sum()), len(best))


def peer_precision(scores: Tensor, contact: Tensor, known: Tensor, divisor: int) -> Hits:
    """P@L/`divisor` as PEER (Xu et al. 2022) has it, over all separations of 6 and more together.

    Each pair is ranked as (i, j) and as (j, i), both with their own scores and both counted: of a
    symmetric map these are the best L/(2 `divisor`) pairs, twice. A chain with fewer such
    candidates than L/`divisor` scores 0, whatever was found.

    Its configs ask for ``prec@L5``. The torchdrug that was read takes the divisor from what follows
    the seventh character, where there is nothing, and computes with 1; ``prec@L/5`` would give 5.

    Args:
        scores: ``(L, L)``, any scale; both triangles are read.
        contact: ``(L, L)`` bool; without meaning where `known` is False.
        known: ``(L, L)`` bool, pairs whose truth is available.
        divisor: 1, or what a paper says that it was.

    Returns:
        Ordered pairs. Refuses what the others refuse, and a `divisor` below 1.
    """
    _check(scores, contact, known)
    K = len(known) // _checked_divisor(divisor)
    candidates = known & (_separation(known).abs() >= SHORT.low)
    truth = contact[candidates]
    if len(truth) < K:
        return Hits(0, K)
    return Hits(int(truth[_ranked(scores[candidates])[:K]].sum()), K)


def saprot_precision(
    scores: Tensor,
    contact: Tensor,
    known: Tensor,
    divisor: int,
    span: SeparationRange = LONG,
) -> Hits:
    """P@L/`divisor` of a range as SaProt (Su et al. 2024) has it.

    K is L/`divisor`, rounded up, but never more than there are contacts: where contacts are few
    this is the R-precision and not P@L. A range without contact adds nothing to a data set.

    Args:
        scores: ``(L, L)``, any scale; pairs i < j are read.
        contact: ``(L, L)`` bool; without meaning where `known` is False.
        known: ``(L, L)`` bool, pairs whose truth is available.
        divisor: 1, 2 or 5.
        span: Of separations.

    Returns:
        What is in the heap of a data set from this chain. Refuses what the others refuse, and a
        `divisor` below 1.
    """
    _check(scores, contact, known)
    candidates = (known & span.contains(_separation(known))).triu(diagonal=1)
    truth = contact[candidates]
    K = min(math.ceil(len(known) / _checked_divisor(divisor)), int(truth.sum()))
    return Hits(int(truth[_ranked(scores[candidates])[:K]].sum()), K)


def esm_notebook_precision(
    scores: Tensor, contact: Tensor, known: Tensor, span: SeparationRange = LONG
) -> NotebookScores:
    """Precisions of a range as the contact notebook of ESM has them.

    Its L is the number of residues that the *first* residue has a known pair with, which is that of
    the resolved ones if the first is resolved. Pairs that do not count are put last but not
    removed: where fewer than K do, the labels of others are added up, -1 for unknown ones, and
    those of pairs farther apart than the range as what they are.

    Args:
        scores: ``(L, L)``, any scale; pairs i < j are read.
        contact: ``(L, L)`` bool; without meaning where `known` is False.
        known: ``(L, L)`` bool, pairs whose truth is available.
        span: Of separations.

    Returns:
        Its four numbers. Refuses what the others refuse, too.

    Raises:
        ValueError: Where the notebook ends in an error: if fewer pairs than residues are as far
            apart as the range begins, as of a chain of 30 in long range (there a NameError), or
            fewer than 10 residues have a known pair with the first one, as where that is unresolved
            (there a RuntimeError).
    """
    _check(scores, contact, known)
    n, resolved = len(known), int(known[0].sum())
    far = _separation(known) >= span.low
    if int(far.sum()) < n:
        raise ValueError(
            f"the ESM notebook cannot score {span.name} range of {n} residues: only "
            f"{int(far.sum())} pairs are {span.low} or more apart (it raises NameError)"
        )
    if resolved < TENTHS:
        raise ValueError(
            f"the ESM notebook takes the length from the first residue's known pairs, of which "
            f"there are {resolved}: fewer than {TENTHS} (it raises RuntimeError)"
        )
    labels = contact.long().masked_fill(~known, -1)[far]
    masked = scores.masked_fill(~(known & span.contains(_separation(known))), -math.inf)[far]
    found = labels[_ranked(masked)[:n]].cumsum(dim=0).tolist()
    sizes = [tenth * resolved // TENTHS for tenth in range(1, TENTHS + 1)]
    precisions = [found[K - 1] / K for K in sizes]
    auc = math.fsum(precisions) / TENTHS
    return NotebookScores(precisions[9], precisions[4], precisions[1], auc)


def _check(scores: Tensor, contact: Tensor, known: Tensor) -> None:
    L = scores.shape[0] if scores.ndim == 2 else 0
    for name, tensor in (("scores", scores), ("contact", contact), ("known", known)):
        if L == 0 or tensor.shape != (L, L):
            raise ValueError(f"{name} must be (L, L) with L > 0, not {tuple(tensor.shape)}")
    for name, tensor in (("contact", contact), ("known", known)):
        if tensor.dtype != torch.bool:
            raise ValueError(f"{name} must be bool, not {tensor.dtype}")
    if not scores.is_floating_point():
        raise ValueError(f"scores must be floating point, not {scores.dtype}")
    if scores[known].isnan().any():
        raise ValueError("scores are NaN at known pairs; nothing to rank")


def _checked_divisor(divisor: int) -> int:
    if divisor < 1:
        raise ValueError(f"divisor must be at least 1, not {divisor}")
    return divisor


def _separation(known: Tensor) -> Tensor:
    """``(L, L)``, j - i: below 0 where i > j."""
    place = torch.arange(len(known), device=known.device)
    return place[None, :] - place[:, None]


def _ranked(values: Tensor) -> Tensor:
    """Places of the best values first, equal ones in their order."""
    return values.sort(descending=True, stable=True).indices
