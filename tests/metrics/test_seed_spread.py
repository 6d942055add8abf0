"""What a few seeds do to an interval."""

import math

import numpy as np
import pytest

from protcontact.metrics.bootstrap import Interval, paired_difference
from protcontact.metrics.seed_spread import (
    SeedSpread,
    pooled_spread,
    student_quantile,
    widened,
)


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [  # Abramowitz and Stegun, table 26.10
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 4, 2.776),
        (0.975, 5, 2.571),
        (0.975, 10, 2.228),
        (0.95, 7, 1.895),
        (0.995, 6, 3.707),
        (0.75, 1, 1.0),
        (0.5, 3, 0.0),
        (0.975, 400, 1.966),
    ],
)
def test_quantiles_are_those_of_the_table(probability, freedom, expected):
    assert student_quantile(probability, freedom) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(("probability", "freedom"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_no_such_quantile(probability, freedom):
    with pytest.raises(ValueError, match="probability"):
        student_quantile(probability, freedom)


def test_the_spread_is_pooled():
    spread = pooled_spread([[1.0, 3.0], [5.0, 5.0, 8.0, math.nan], [9.0]])
    assert spread.freedom == 3
    assert spread.deviation == pytest.approx(math.sqrt((2.0 + 6.0) / 3))
    assert pooled_spread([[1.0], [2.0, math.nan], []]) is None


def test_ends_move_apart_by_the_root_of_the_sum_of_squares():
    wide = widened(Interval(1.0, 0.7, 1.4, 9), SeedSpread(0.1, 2), 2, 2, 0.95)
    seeds = 4.3027 * 0.1
    assert wide.low == pytest.approx(1 - math.hypot(0.3, seeds), abs=1e-5)
    assert wide.high == pytest.approx(1 + math.hypot(0.4, seeds), abs=1e-5)
    assert (wide.mean, wide.chains) == (1.0, 9)


def simulated(random, truth, seeds, chains, seed_sd):
    """Differences of two models on chains that are hard for both, with luck in every training."""
    hard = random.uniform(0, 0.5, chains)

    def runs(mean):
        return [
            dict(enumerate(hard + mean + random.normal(0, seed_sd) + random.normal(0, 0.1, chains)))
            for _ in range(seeds)
        ]

    return runs(truth), runs(0.0)


def test_intervals_hold_the_truth_as_often_as_they_say_and_the_bootstrap_alone_does_not():
    random, truth, plain, wide = np.random.default_rng(0), 0.02, 0, 0
    trials = 300
    for _ in range(trials):
        one, other = simulated(random, truth, 3, 100, 0.02)
        interval = paired_difference(one, other, 0.95)
        means = [[math.fsum(run.values()) / len(run) for run in runs] for runs in (one, other)]
        more = widened(interval, pooled_spread(means), 3, 3, 0.95)
        plain += interval.low <= truth <= interval.high
        wide += more.low <= truth <= more.high
    assert 0.93 <= wide / trials <= 1.0
    assert plain / trials < 0.8
