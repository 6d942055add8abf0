"""Intervals over chains, against a slow twin, and whether they hold the truth as often as said."""

import math

import numpy as np
import pytest

from protcontact.metrics.bootstrap import (
    matrix,
    mean_interval,
    mean_spread,
    paired_difference,
    resampled_means,
    seed_mean_interval,
)


def by_id(values):
    return {f"c{k}": float(value) for k, value in enumerate(values)}


def test_the_interval_is_that_of_a_slow_twin():
    values = np.random.default_rng(0).exponential(size=30)
    random, means = np.random.default_rng(5), []
    for row in random.integers(30, size=(4000, 30)):
        means.append(sum(values[k] for k in row) / 30)
    found = mean_interval(values, level=0.9, seed=5)
    expected = np.quantile(means, [0.05, 0.95])
    assert [found.low, found.high] == pytest.approx(list(expected), abs=1e-14)
    assert found.mean == pytest.approx(values.mean(), abs=1e-15) and found.chains == 30


def test_it_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    samples = random.beta(1.0, 4.0, size=(400, 80))  # skewed, as precision is; its mean is 0.2
    inside = 0
    for k, sample in enumerate(samples):
        found = mean_interval(sample, level=0.8, resamples=400, seed=k)
        inside += found.low <= 0.2 <= found.high
    # 0.8 less the bootstrap's own shortfall of some 1 %; four standard errors of 400 trials are 8 %
    assert 0.71 <= inside / 400 <= 0.87


def test_pairs_that_go_together_are_told_apart_where_single_intervals_overlap():
    random = np.random.default_rng(2)
    hard = random.uniform(0, 0.6, size=200)  # what both find hard
    model, other = hard + 0.03 + random.normal(0, 0.02, 200), hard + random.normal(0, 0.02, 200)
    difference = paired_difference([by_id(model)], [by_id(other)])
    single = [mean_interval(model), mean_interval(other)]
    assert difference.mean == pytest.approx((model - other).mean(), abs=1e-12)
    assert difference.low > 0
    assert single[0].low < single[1].high
    narrowest = min(one.high - one.low for one in single)
    assert difference.high - difference.low < narrowest / 5


def test_seeds_are_averaged_before_chains_are_drawn():
    random = np.random.default_rng(3)
    runs = random.uniform(size=(3, 40))
    found = seed_mean_interval([by_id(run) for run in runs], seed=4)
    names = sorted(f"c{k}" for k in range(40))
    order = [int(name[1:]) for name in names]
    assert found == mean_interval(runs.mean(axis=0)[order], seed=4)
    both = paired_difference([by_id(run) for run in runs], [by_id(runs[0])])
    assert both.mean == pytest.approx((runs.mean(axis=0) - runs[0]).mean(), abs=1e-12)


def test_columns_are_drawn_together_and_in_any_number_of_pieces(monkeypatch):
    values = np.random.default_rng(6).normal(size=(50, 1))
    means = resampled_means(np.hstack([values, 2 * values]), 100, seed=1)
    assert means.shape == (100, 2)
    assert np.allclose(means[:, 1], 2 * means[:, 0], rtol=0, atol=1e-14)
    monkeypatch.setattr("protcontact.metrics.bootstrap.CHUNK", 170)
    assert np.array_equal(resampled_means(np.hstack([values, 2 * values]), 100, seed=1), means)


def test_undefined_chains_are_left_out():
    found = mean_interval(np.array([0.5, math.nan, 1.0]), seed=1)
    assert found.chains == 2 and found.mean == 0.75
    assert (found.low, found.high) == (0.5, 1.0)
    alone = mean_interval(np.array([0.5, math.nan]))
    assert alone.mean == 0.5 and math.isnan(alone.low) and math.isnan(alone.high)
    none = mean_interval(np.array([math.nan]))
    assert none.chains == 0 and math.isnan(none.mean)


def test_other_chains_are_refused():
    with pytest.raises(ValueError, match="different chains: 'x' and 0 others"):
        paired_difference([{"a": 1.0, "x": 1.0}], [{"a": 1.0}])
    with pytest.raises(ValueError, match="no run"):
        matrix([])


def test_what_cannot_be_drawn_from_is_refused():
    with pytest.raises(ValueError, match="1 of them not finite"):
        resampled_means(np.array([0.0, math.inf]))
    with pytest.raises(ValueError, match="0 values"):
        resampled_means(np.array([]))
    with pytest.raises(ValueError, match="and 0 resamples"):
        resampled_means(np.array([1.0]), 0)
    with pytest.raises(ValueError, match="level must lie in"):
        mean_interval(np.array([1.0]), level=1.0)
    with pytest.raises(ValueError, match="be \\(N,\\)"):
        mean_interval(np.ones((2, 2)))


def test_spread_over_seeds():
    assert mean_spread([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, math.sqrt(7 / 3)))
    assert mean_spread([1.0, math.nan])[0] == 1.0
    assert math.isnan(mean_spread([1.0])[1])
    assert math.isnan(mean_spread([])[0])
