"""How far may the mean over a few trainings be from that over all seeds?

Chains are many and can be drawn again; trainings are two or three. So what the seed does is taken
from how far trainings of one model are apart, pooled over models (its variance is about the same),
and enters an interval with Student's t for the number of trainings that it was learnt from. A
bootstrap over two seeds would promise far too much.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protcontact.metrics.bootstrap import Interval


@dataclass(frozen=True)
class SeedSpread:
    """Standard deviation of a score over seeds.

    Attributes:
        deviation: Pooled over models.
        freedom: Trainings less models: what it was learnt from, at least 1.
    """

    deviation: float
    freedom: int


def pooled_spread(models: Sequence[Sequence[float]]) -> SeedSpread | None:
    """Estimate the spread from models that were trained more than once.

    Args:
        models: Of each model the score of each training; NaN is left out.

    Returns:
        The estimate; None where no model was trained twice.
    """
    square, freedom = 0.0, 0
    for scores in models:
        defined = [score for score in scores if not math.isnan(score)]
        if len(defined) < 2:
            continue
        mean = math.fsum(defined) / len(defined)
        square += math.fsum((score - mean) ** 2 for score in defined)
        freedom += len(defined) - 1
    return SeedSpread(math.sqrt(square / freedom), freedom) if freedom else None


def widened(interval: Interval, spread: SeedSpread, one: int, other: int, level: float) -> Interval:
    """Widen the interval of a difference between two models by what the seeds may have done.

    The two parts are independent, so each end is as far from the mean as the root of the sum of the
    squares: of the bootstrap over chains, and of ``t s sqrt(1/one + 1/other)``.

    Args:
        interval: Of the difference, over chains.
        spread: Over seeds.
        one: Trainings of the first model.
        other: Trainings of the other.
        level: Of the interval.
    """
    share = math.sqrt(1 / one + 1 / other)
    seeds = student_quantile((1 + level) / 2, spread.freedom) * spread.deviation * share
    low = interval.mean - math.hypot(interval.mean - interval.low, seeds)
    high = interval.mean + math.hypot(interval.high - interval.mean, seeds)
    return replace(interval, low=low, high=high)


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t distribution, by bisection of its closed form.

    Reference: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.

    Raises:
        ValueError: If `probability` is not in [0.5, 1) or `freedom` below 1.
    """
    if not 0.5 <= probability < 1 or freedom < 1:
        raise ValueError(
            f"probability must lie in [0.5, 1) and freedom be >= 1, not {probability} and {freedom}"
        )
    low, high = 0.0, math.pi / 2  # of the angle, t = sqrt(freedom) tan(angle)
    for _ in range(80):
        middle = (low + high) / 2
        if _inside(middle, freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _inside(angle: float, freedom: int) -> float:
    """Probability of ``|T| < sqrt(freedom) tan(angle)``."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for n in range(2 + odd, freedom, 2):
        term *= cosine**2 * (n - 1) / n
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
