"""At which sequence separation does precision end?

"Long range" starts at 24 residues and has no end: in a chain of 400 most of its best pairs are near
24, and what happens at 200 is not seen. Here separations are cut into bins that double,

    6-11, 12-23, 24-47, 48-95, 96-191, ...

so that the first two are short and medium range and the others divide long range. The scores of a
bin are those of `protcontact.metrics.precision`: among the pairs of the bin alone, the best L. Far
out there are fewer contacts than L, so P@L falls for that reason, too: it stands between *chance*,
the share of a bin's pairs that are in contact, which is what a random order scores on average, and
the *ceiling*, what a perfect order scores.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from protcontact.metrics.precision import RangeScore, range_score
from protcontact.metrics.ranges import SHORT, SeparationRange


def doubling_bins(longest: int) -> tuple[SeparationRange, ...]:
    """Bins from short range on until a chain of `longest` residues has no further pair.

    Raises:
        ValueError: If it has none at all.
    """
    if longest <= SHORT.low:
        raise ValueError(
            f"a chain of {longest} residues has no pair at a separation of {SHORT.low} or more"
        )
    bins, low = [], SHORT.low
    while low < longest:
        bins.append(SeparationRange(f"{low}-{2 * low - 1}", low, 2 * low - 1))
        low *= 2
    return tuple(bins)


def score_bins(
    scores: Tensor, contact: Tensor, known: Tensor, bins: Sequence[SeparationRange]
) -> dict[str, RangeScore]:
    """Score one map of a whole chain of L residues; definitions as in `precision`.

    Args:
        scores: ``(L, L)`` logits or probabilities; only their order above the diagonal counts.
        contact: ``(L, L)`` bool; without meaning where `known` is False.
        known: ``(L, L)`` bool, pairs whose truth is available.
        bins: Ranges of separations.

    Returns:
        Name of each bin -> its scores; NaN where it has no contact.

    Raises:
        ValueError: If shapes disagree, or the score of a known pair of a bin is NaN.
    """
    L = len(scores)
    if not scores.shape == contact.shape == known.shape == (L, L):
        raise ValueError(
            "scores, contact and known must be (L, L), not "
            f"{tuple(scores.shape)}, {tuple(contact.shape)} and {tuple(known.shape)}"
        )
    i, j = torch.triu_indices(L, L, offset=1, device=scores.device)
    # + 0.0: no sort may tell -0.0 from 0.0. Row-major and stable: ties by (i, j)
    values = scores.detach()[i, j].double() + 0.0
    order = values.sort(descending=True, stable=True).indices
    i, j = i[order], j[order]
    is_known, is_contact, missing = known[i, j], contact[i, j], values[order].isnan()
    found = {}
    for span in bins:
        candidate = is_known & span.contains(j - i)
        if (candidate & missing).any():
            raise ValueError(f"scores are NaN at known pairs of separation {span.name}")
        ranks = candidate.cumsum(dim=0)[candidate & is_contact]
        found[span.name] = range_score(ranks.tolist(), int(candidate.sum()), L)
    return found


def chance(score: RangeScore) -> float:
    """Mean precision of a random order: the share of the candidates that are in contact.

    NaN where a score is undefined.
    """
    return score.positives / score.candidates if score.defined else float("nan")
