"""At which sequence separation does precision end?

"Long range" starts at 24 residues and has no end: in a chain of 400 most of its best pairs are near
24, and what happens at 200 is not seen. Here separations are cut into bins that double,

    6-11, 12-23, 24-47, 48-95, 96-191, ...

so that the first two are short and medium range and the others divide long range. The scores of a
bin are those of `precision.score_chain`: among the pairs of the bin alone, the best L. Far
out there are fewer contacts than L, so P@L falls for that reason, too: it stands between *chance*,
the share of a bin's pairs that are in contact, which is what a random order scores on average, and
the *ceiling*, what a perfect order scores.
"""

from protcontact.metrics.precision import RangeScore
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


def chance(score: RangeScore) -> float:
    """Mean precision of a random order: the share of the candidates that are in contact.

    NaN where a score is undefined.
    """
    return score.positives / score.candidates if score.defined else float("nan")
