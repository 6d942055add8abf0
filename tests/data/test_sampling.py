"""Batches under a pair budget, crops, and what all ranks must agree on."""

import numpy as np
import pytest

from protcontact.data.sampling import PairBudgetSampler, bucket, crop

LENGTHS = np.random.default_rng(0).integers(20, 400, size=500)


def sampler(**changes):
    settings = {
        "lengths": LENGTHS,
        "rows": range(500),
        "budget": 100_000,
        "crop_size": 150,
        "shuffle": True,
        "seed": 3,
    }
    return PairBudgetSampler(**(settings | changes))


def test_every_row_once_within_the_budget():
    plan = list(sampler())
    assert sorted(row for batch in plan for row in batch.rows) == list(range(500))
    for batch in plan:
        longest = min(150, LENGTHS[list(batch.rows)].max())
        assert len(batch.rows) == 1 or len(batch.rows) * longest**2 <= 100_000


def test_little_padding():
    """Sorted pools keep the padded pairs near the real ones."""
    shown = np.minimum(LENGTHS, 150)
    padded = real = 0
    for batch in sampler():
        lengths = shown[list(batch.rows)]
        padded += len(lengths) * lengths.max() ** 2
        real += (lengths**2).sum()
    assert padded / real < 1.05


@pytest.mark.parametrize(("multiple", "crop_size"), [(1, 192), (8, 192), (1, None)])
def test_at_most_five_percent_of_the_pairs_are_padding_on_natural_lengths(multiple, crop_size):
    """Lengths of proteins are about log-normal; with the package's defaults for all else."""
    natural = np.random.default_rng(0).lognormal(np.log(180), 0.65, size=5000)
    lengths = np.clip(natural, 30, 1500).astype(int)
    shown = np.minimum(lengths, crop_size or 1500)
    padded = real = 0
    plan = sampler(lengths=lengths, rows=range(5000), budget=131_072, crop_size=crop_size)
    for batch in plan:
        lengths_shown = shown[list(batch.rows)]
        longest = -(-lengths_shown.max() // multiple) * multiple
        padded += len(lengths_shown) * longest**2
        real += (lengths_shown**2).sum()
    assert 0 < 1 - real / padded <= 0.05


def test_a_chain_beyond_the_budget_stands_alone():
    assert bucket([10, 1000, 10], [0, 1, 2], 250) == [(0, 2), (1,)]


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_ranks_take_the_same_number_of_steps_and_share_all_rows(world, epoch):
    ranks = [sampler(rank=rank, world=world, crop_size=None) for rank in range(world)]
    for one in ranks:
        one.set_epoch(epoch)
    plans = [list(one) for one in ranks]
    assert len({len(plan) for plan in plans}) == 1
    assert all(len(one) == len(plan) for one, plan in zip(ranks, plans, strict=True))
    seen = [row for plan in plans for batch in plan for row in batch.rows]
    # an epoch has as many steps as the first one, which may leave out a batch or two
    missing = set(range(500)) - set(seen)
    assert len(missing) <= (0 if epoch == 0 else 60)


def test_ranks_work_on_similar_lengths_at_each_step():
    plans = [list(sampler(rank=rank, world=2, crop_size=None)) for rank in range(2)]
    cost = [
        [len(batch.rows) * LENGTHS[list(batch.rows)].max() ** 2 for batch in plan] for plan in plans
    ]
    ratio = np.array(cost[0]) / np.array(cost[1])
    assert np.median(np.maximum(ratio, 1 / ratio)) < 1.2


def test_order_follows_seed_and_epoch_only():
    assert list(sampler()) == list(sampler())
    assert list(sampler()) != list(sampler(seed=4))
    later = sampler()
    later.set_epoch(1)
    assert list(later) != list(sampler())
    assert len(later) == len(sampler())
    later.set_epoch(0)
    assert list(later) == list(sampler())


def test_evaluation_keeps_its_order():
    fixed = sampler(shuffle=False, crop_size=None)
    first = list(fixed)
    fixed.set_epoch(3)
    assert list(fixed) == first
    assert all(batch.seed is None for batch in first)


def test_evaluation_batches_do_not_depend_on_the_number_of_ranks():
    """Padding moves the last digits of the scores, so the batches themselves must agree."""

    def batches(world):
        plans = [sampler(shuffle=False, crop_size=None, rank=r, world=world) for r in range(world)]
        return {batch.rows for plan in plans for batch in plan}

    assert batches(1) == batches(2) == batches(3)


def test_start_leaves_out_what_was_done():
    whole = list(sampler())
    resumed = sampler()
    resumed.start = 5
    assert list(resumed) == whole[5:]
    assert list(resumed) == whole[5:]  # loaders with workers ask twice


def old_plan(lengths, budget, seed, epoch):
    """An epoch of one process as it was planned before there was accumulation."""
    random = np.random.default_rng((seed, epoch))
    rows = random.permutation(np.arange(len(lengths)))
    pool = max(1, int(64 * budget / float((lengths[rows] ** 2).mean())))
    groups = []
    for start in range(0, len(rows), pool):
        groups += bucket(lengths, rows[start : start + pool].tolist(), budget)
    return [groups[place] for place in random.permutation(len(groups))]


def test_one_process_sees_what_it_has_always_seen():
    shown = np.minimum(LENGTHS, 150)
    steps = len(old_plan(shown, 100_000, 3, 0))
    for epoch in (0, 1, 4):
        one = sampler()
        one.set_epoch(epoch)
        plan = old_plan(shown, 100_000, 3, epoch)
        assert [batch.rows for batch in one] == [plan[n % len(plan)] for n in range(steps)]


@pytest.mark.parametrize("chains", [1, 2, 5, 37, 500])
@pytest.mark.parametrize(("world", "accumulate"), [(1, 2), (2, 1), (2, 2), (3, 2), (4, 1), (1, 6)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_steps_do_not_depend_on_who_shares_them(chains, world, accumulate, shuffle):
    """Rank r takes every world-th batch from the r-th on, in whole steps, in every epoch."""
    settings = {"rows": range(chains), "shuffle": shuffle, "budget": 40_000}
    alone = sampler(**settings, accumulate=world * accumulate)
    ranks = [sampler(**settings, rank=r, world=world, accumulate=accumulate) for r in range(world)]
    for epoch in (0, 1, 3):
        for each in (alone, *ranks):
            each.set_epoch(epoch)
        plans = [list(rank) for rank in ranks]
        assert len({len(plan) for plan in plans}) == 1
        assert len(plans[0]) % accumulate == 0
        assert [plans[n % world][n // world] for n in range(len(alone))] == list(alone)


@pytest.mark.parametrize(
    "change", [{"budget": 0}, {"crop_size": 0}, {"rows": []}, {"accumulate": 0}]
)
def test_refuses(change):
    with pytest.raises(ValueError, match="must be positive|without chains"):
        sampler(**change)


def crops(length, size, far, count=2000):
    random = np.random.default_rng(0)
    return [crop(length, size, far, random) for _ in range(count)]


def test_short_chains_are_shown_whole():
    assert crop(9, 10, 1.0, np.random.default_rng(0)).tolist() == list(range(9))
    assert crop(10, 10, 1.0, np.random.default_rng(0)).tolist() == list(range(10))


def test_windows_are_contiguous_and_reach_every_residue():
    chosen = crops(30, 10, 0.0)
    assert all((np.diff(index) == 1).all() and len(index) == 10 for index in chosen)
    assert {index[0] for index in chosen} == set(range(21))


@pytest.mark.parametrize(("length", "size"), [(30, 10), (30, 11), (11, 10), (3, 2)])
def test_two_windows_never_overlap_and_reach_both_ends(length, size):
    chosen = crops(length, size, 1.0)
    half = size // 2
    for index in chosen:
        assert len(index) == 2 * half
        assert (np.diff(index) >= 1).all()
        assert (np.diff(index[:half]) == 1).all()
        assert (np.diff(index[half:]) == 1).all()
        assert index[0] >= 0
        assert index[-1] < length
    assert min(index[0] for index in chosen) == 0
    assert max(index[-1] for index in chosen) == length - 1
    assert max(index[half] - index[half - 1] for index in chosen) == length - 2 * half + 1


def test_far_crops_hold_pairs_that_no_window_holds():
    farthest = max(index[-1] - index[0] for index in crops(300, 50, 1.0))
    assert farthest > 250


def test_share_of_far_crops():
    far = np.mean([(np.diff(index) > 1).any() for index in crops(1000, 50, 0.3)])
    assert abs(far - 0.3) < 0.05
