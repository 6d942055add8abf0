"""How far may a mean over chains be from the truth, and is one model better than another?

A test split is a sample of chains. The bootstrap (Efron 1979) draws from it, with replacement, as
many chains as it has, again and again; the spread of the means is that of the sample mean. The
interval here is the percentile interval: from the a/2 to the 1 - a/2 quantile of these means.

Two models scored on the same chains are compared by the differences chain by chain: what makes a
chain hard for both cancels. Several seeds of one model are first averaged chain by chain, so the
interval speaks of the model and not of one training; how far the trainings are apart is told
beside it, as their standard deviation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000  # the ends of a 95 % interval are then known to 1/20 of its width
CHUNK = 4_000_000  # numbers drawn at a time, 32 MB


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval.

    Attributes:
        mean: Over all chains.
        low: Lower end; NaN with fewer than two chains.
        high: Upper end.
        chains: Their number.
    """

    mean: float
    low: float
    high: float
    chains: int


def resampled_means(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Mean of each of many samples that were drawn with replacement.

    Args:
        values: ``(N,)`` or ``(N, K)``; the K columns are drawn together.
        resamples: R, number of samples.
        seed: Of the draw.

    Returns:
        ``(R,)`` or ``(R, K)`` float64.

    Raises:
        ValueError: If there is no value, one is not finite, or `resamples` is below 1.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0 or not np.isfinite(values).all() or resamples < 1:
        raise ValueError(
            f"the bootstrap needs finite values and resamples >= 1, not {values.size} values, "
            f"{int((~np.isfinite(values)).sum())} of them not finite, and {resamples} resamples"
        )
    random = np.random.default_rng(seed)
    count = len(values)
    rows = max(1, CHUNK // count)
    means = []
    for start in range(0, resamples, rows):
        drawn = random.integers(count, size=(min(rows, resamples - start), count))
        means.append(values[drawn].mean(axis=1))
    return np.concatenate(means)


def mean_interval(
    values: np.ndarray, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Mean over chains with its percentile interval.

    Args:
        values: ``(N,)``, one per chain; NaN where undefined, which is left out.
        level: Share of such intervals that hold the true mean.
        resamples: Number of samples drawn.
        seed: Of the draw; the same seed gives the same digits.

    Returns:
        The interval; all NaN if no chain is defined.

    Raises:
        ValueError: If `level` is outside (0, 1) or `values` is not a vector.
    """
    values = np.asarray(values, dtype=np.float64)
    if not 0.0 < level < 1.0 or values.ndim != 1:
        raise ValueError(
            f"level must lie in (0, 1) and values be (N,), not {level} and {values.shape}"
        )
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    means = resampled_means(values, resamples, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), len(values))


def seed_mean_interval(
    runs: Sequence[Mapping[str, float]], level: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of a model that was trained with several seeds.

    Args:
        runs: For each seed, chain id -> score.
        level: As in `mean_interval`.
        seed: As in `mean_interval`.

    Returns:
        Bootstrap over chains of the mean over seeds. Refuses what `matrix` and `mean_interval` do.
    """
    return mean_interval(matrix(runs).mean(axis=0), level, seed=seed)


def paired_difference(
    model: Sequence[Mapping[str, float]],
    other: Sequence[Mapping[str, float]],
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """By how much a model is better than another on the same chains.

    Args:
        model: For each seed, chain id -> score.
        other: The same for the other; it may have another number of seeds.
        level: As in `mean_interval`.
        seed: As in `mean_interval`.

    Returns:
        Of the mean difference; the two differ where it does not hold 0. Refuses what `matrix` and
        `mean_interval` refuse.
    """
    joined = matrix([*model, *other])
    difference = joined[: len(model)].mean(axis=0) - joined[len(model) :].mean(axis=0)
    return mean_interval(difference, level, seed=seed)


def matrix(runs: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Scores of several runs on the same chains.

    Args:
        runs: For each run, chain id -> score.

    Returns:
        ``(S, N)`` float64, chains by their ids.

    Raises:
        ValueError: If there is no run, or two were scored on different chains: names one.
    """
    if not runs:
        raise ValueError("there is no run to compare")
    for run in runs[1:]:
        different = sorted(run.keys() ^ runs[0].keys())
        if different:
            raise ValueError(
                f"the runs were scored on different chains: {different[0]!r} "
                f"and {len(different) - 1} others are in one of them only"
            )
    names = sorted(runs[0])
    return np.array([[run[name] for name in names] for run in runs], dtype=np.float64)


def mean_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over seeds, without those that are NaN.

    Returns:
        Mean, NaN without a value; standard deviation, NaN with fewer than two.
    """
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        return math.nan, math.nan
    mean = math.fsum(defined) / len(defined)
    if len(defined) == 1:
        return mean, math.nan
    square = math.fsum((value - mean) ** 2 for value in defined) / (len(defined) - 1)
    return mean, math.sqrt(square)
