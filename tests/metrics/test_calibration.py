"""Reliability, scores of probabilities and the temperature, against sums over the pairs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing

from protcontact.metrics.calibration import (
    BARS,
    COOLEST,
    FARTHEST,
    HOTTEST,
    LIMIT,
    LogitCounts,
    Reliability,
    fit_temperature,
)
from protcontact.metrics.precision import score_batch
from tests.metrics.chains import compact_chain, make_batch

SPANS = {"short": (6, 11), "medium": (12, 23), "long": (24, 10**9), "all": (6, 10**9)}


def batch_and_logits(seeds=(0, 1, 2), sharpness=2.0):
    """Chains with logits that know something of the truth and are too sure of it."""
    chains = [compact_chain(50 + 7 * seed, seed, unresolved=0.1) for seed in seeds]
    batch = make_batch(chains, ids=[f"c{seed}" for seed in seeds], padding=3)
    logits = torch.full(batch.known().shape, math.nan)
    for row, chain, seed in zip(logits, chains, seeds, strict=True):
        n = len(chain)
        noise = torch.randn(n, n, generator=torch.Generator().manual_seed(seed))
        near = make_batch([chain]).contact()[0]
        row[:n, :n] = sharpness * (noise + 2.5 * near - 2.5)
    return batch, logits


def slow_pairs(batch, logits, span):
    """Logit and truth of each known pair of a range, one after the other."""
    low, high = SPANS[span]
    known, contact, place = batch.known(), batch.contact(), batch.index
    B, L = batch.tokens.shape
    found = []
    for b in range(B):
        for i in range(L):
            for j in range(i + 1, L):
                if known[b, i, j] and low <= int(place[b, j] - place[b, i]) <= high:
                    found.append((float(logits[b, i, j]), bool(contact[b, i, j])))
    return found


def counted(*batches):
    held = Reliability()
    for batch, logits in batches:
        held.update(logits, batch)
    return held


def p(x):
    return 1 / (1 + math.exp(-x))


@pytest.fixture(scope="module")
def example():
    batch, logits = batch_and_logits()
    pairs = {span: slow_pairs(batch, logits, span) for span in SPANS}
    return batch, logits, pairs


@pytest.mark.parametrize("span", SPANS)
def test_scores_are_those_of_going_pair_by_pair(example, span):
    batch, logits, pairs = example
    found, N = counted((batch, logits)).summary(), len(pairs[span])
    assert found[f"{span}/pairs"] == N
    assert found[f"{span}/contacts"] == sum(y for _, y in pairs[span]) > 0
    brier = sum((p(x) - y) ** 2 for x, y in pairs[span]) / N
    loss = -sum(math.log(p(x) if y else p(-x)) for x, y in pairs[span]) / N
    assert found[f"{span}/Brier"] == pytest.approx(brier, abs=1e-5)
    assert found[f"{span}/log-loss"] == pytest.approx(loss, abs=1e-5)
    bars = [[] for _ in range(BARS)]
    for x, y in pairs[span]:
        bars[int(p(x) * BARS)].append((p(x), y))
    error = sum(abs(sum(y for _, y in bar) - sum(q for q, _ in bar)) for bar in bars) / N
    assert found[f"{span}/ECE"] == pytest.approx(error, abs=1e-5)
    assert error > 0.01


@pytest.mark.parametrize("span", SPANS)
def test_the_curve_is_that_of_going_pair_by_pair(example, span):
    batch, logits, pairs = example
    curve = counted((batch, logits)).counts(span).curve()
    assert sum(each.pairs for each in curve) == len(pairs[span])
    assert len(curve) > 10
    for each in curve:
        inside = [(x, y) for x, y in pairs[span] if each.low <= x < each.high]
        assert each.pairs == len(inside) > 0
        assert each.observed == pytest.approx(sum(y for _, y in inside) / len(inside), abs=1e-12)
        mean = sum(p(x) for x, _ in inside) / len(inside)
        assert each.predicted == pytest.approx(mean, rel=1e-4)


def test_numbers_by_hand():
    """Three pairs at log odds of log 3, p = 3/4, two in contact; one at 0 that is none."""
    quarter = math.log(3)
    held = LogitCounts(np.array([[1, 1], [2, 0]]), np.array([[quarter, 0.0], [quarter, 0.0]]))
    assert (held.pairs, held.contacts) == (4, 2)
    assert held.brier() == pytest.approx((2 / 16 + 9 / 16 + 1 / 4) / 4)
    loss = (2 * math.log(4 / 3) + math.log(4) + math.log(2)) / 4
    assert held.log_loss() == pytest.approx(loss)
    # bars 11/15 ... 12/15 and 7/15 ... 8/15: |2 - 9/4| and |0 - 1/2|
    assert held.calibration_error() == pytest.approx((0.25 + 0.5) / 4)
    first, second = held.curve()
    assert second == (1.0, 2.0, 3, pytest.approx(0.75), pytest.approx(2 / 3))
    assert first == (0.0, 1.0, 1, 0.5, 0.0)


def test_the_ends_of_the_curve_are_open():
    held = LogitCounts(np.array([[3, 0, 0], [0, 0, 1]]), np.array([[-30.0, 0.0, 30.0]] * 2))
    first, last = held.curve()
    assert (first.low, first.high, first.pairs) == (-math.inf, -FARTHEST, 3)
    assert (last.low, last.high, last.observed) == (FARTHEST, math.inf, 1.0)


def test_logits_beyond_the_limit_count_as_the_limit_and_none_is_an_error():
    batch = make_batch([torch.tensor([[0.0, 0, 0]] * 7)])  # one pair at a separation of 6
    for value in (1e6, math.inf):
        held = counted((batch, torch.full((1, 7, 7), -value))).counts()
        assert (held.pairs, held.contacts) == (1, 1)
        assert held.log_loss() == pytest.approx(LIMIT, abs=1e-5)
    nothing = counted((make_batch([compact_chain(6, 0)]), torch.zeros(1, 6, 6)))
    found = nothing.summary()
    assert found["all/pairs"] == 0 and nothing.counts().curve() == []
    assert all(math.isnan(found[f"long/{name}"]) for name in ("ECE", "Brier", "log-loss"))


def test_only_known_pairs_above_the_diagonal_are_read(example):
    batch, logits, _ = example
    changed = logits.clone()
    changed[~batch.known() | (batch.separation() < 6)] = math.nan
    changed = changed.triu(diagonal=1)
    assert counted((batch, changed)).summary() == counted((batch, logits)).summary()


def test_refuses_what_cannot_be_counted(example):
    batch, logits, _ = example
    held = Reliability()
    with pytest.raises(ValueError, match=r"logits must be \(3, 67, 67\)"):
        held.update(logits[:2], batch)
    spoiled = logits.clone()
    i, j = (batch.known()[1] & (batch.separation()[1] > 30)).triu().nonzero()[0].tolist()
    spoiled[1, i, j] = math.nan
    with pytest.raises(ValueError, match="chain 'c1' are NaN"):
        held.update(spoiled, batch)
    assert len(held) == 0
    with pytest.raises(ValueError, match="span must be one of"):
        held.counts("longest")
    with pytest.raises(ValueError, match="above 0"):
        held.summary(temperature=0.0)


def test_a_repeated_chain_counts_once_and_two_of_one_name_are_refused(example):
    batch, logits, _ = example
    held = counted((batch, logits), (batch, logits))
    assert len(held) == 3
    assert held.summary() == counted((batch, logits)).summary()
    with pytest.raises(ValueError, match="'c1'"):
        other, more = batch_and_logits(seeds=(5,))
        held.update(more, replace(other, ids=("c1",)))
    held.reset()
    assert len(held) == 0 and held.summary()["all/pairs"] == 0


def test_order_batches_and_merging_change_no_digit():
    whole = counted(batch_and_logits((0, 1, 2, 3)))
    pieces = counted(batch_and_logits((3,)), batch_and_logits((1, 0)))
    pieces.merge(counted(batch_and_logits((2, 0))))
    assert pieces.summary() == whole.summary()
    assert pieces.counts("long").curve() == whole.counts("long").curve()
    assert fit_temperature(pieces.counts()) == fit_temperature(whole.counts())
    alone = whole.gather()
    assert alone is not whole and alone.summary() == whole.summary()


def _worker(rank, folder):
    """Chains 0 and 2 stand on both, as where a sampler fills its last step."""
    torch.set_num_threads(rank + 1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    try:
        held = counted(batch_and_logits([(0, 1, 2), (2, 3, 0)][rank])).gather()
        with open(f"{folder}/rank{rank}.txt", "w") as file:
            file.write(repr((held.summary(), fit_temperature(held.counts()))))
    finally:
        torch.distributed.destroy_process_group()


def test_two_processes_give_the_same_digits_as_one(tmp_path):
    torch.multiprocessing.spawn(_worker, args=(str(tmp_path),), nprocs=2)
    alone = counted(batch_and_logits((0, 1, 2, 3)))
    expected = repr((alone.summary(), fit_temperature(alone.counts())))
    for rank in (0, 1):
        assert (tmp_path / f"rank{rank}.txt").read_text() == expected


def slow_temperature(pairs):
    """Bisection in 1/T for a slope of 0, over the logits of the pairs themselves."""
    away = np.array([-x if y else x for x, y in pairs])
    low, high = 1e-3, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        slope = (away * (1 + np.tanh(middle * away / 2))).sum()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 1 / low, np.logaddexp(0, low * away).mean()


@pytest.mark.parametrize("sharpness", [0.4, 2.0, 5.0])
def test_the_temperature_is_that_of_the_pairs_themselves(sharpness):
    batch, logits = batch_and_logits(sharpness=sharpness)
    value, loss = slow_temperature(slow_pairs(batch, logits, "all"))
    held = counted((batch, logits))
    found = fit_temperature(held.counts())
    assert found.value == pytest.approx(value, rel=2e-5 / value**2)
    assert found.after == pytest.approx(loss, abs=1e-5 / value**2)
    assert found.before == held.summary()["all/log-loss"] > found.after
    assert (found.pairs, found.contacts) == (held.counts().pairs, held.counts().contacts)
    assert not found.bounded
    assert (found.value > 1) == (sharpness > 1)
    assert held.summary(found.value)["all/log-loss"] == found.after


def test_the_counted_minimum_is_exact():
    held = counted(batch_and_logits()).counts()
    found = fit_temperature(held)
    for factor in (1 - 1e-5, 1 + 1e-5):
        assert held.scaled(found.value * factor).log_loss() > found.after
    assert abs(held.slope(1 / found.value)) < 1e-10


def test_calibrated_logits_keep_a_temperature_of_one():
    """Drawn as their probabilities say, of 400,000 pairs."""
    random = np.random.default_rng(0)
    x = np.repeat(np.linspace(-6, 2, 40), 10_000)
    y = random.random(len(x)) < 1 / (1 + np.exp(-x))
    contacts = np.bincount(np.repeat(np.arange(40), 10_000), y).astype(np.int64)
    logits = np.linspace(-6, 2, 40)
    held = LogitCounts(np.stack([10_000 - contacts, contacts]), np.stack([logits, logits]))
    assert fit_temperature(held).value == pytest.approx(1, abs=0.02)
    assert held.calibration_error() < 0.01
    over = fit_temperature(held.scaled(1 / 3))  # three times too sure
    assert over.value == pytest.approx(3 * fit_temperature(held).value, rel=1e-9)
    assert held.scaled(1 / 3).calibration_error() > 5 * held.calibration_error()


def test_a_temperature_changes_no_ranking():
    """Neighbours in float32 and equal ones, of which float32 itself would make ties."""
    chain = compact_chain(60, 3)
    batch = make_batch([chain])
    steps = torch.arange(3600, dtype=torch.int32).reshape(60, 60) // 2
    base = torch.tensor(-3.9).view(torch.int32) + steps
    order = torch.randperm(3600, generator=torch.Generator().manual_seed(0))
    logits = base.flatten()[order].reshape(1, 60, 60).view(torch.float32)
    found = replace(fit_temperature(counted(batch_and_logits()).counts()), value=1.8)
    assert score_batch(found.apply(logits), batch) == score_batch(logits, batch)
    before, after = logits.flatten(), found.apply(logits).flatten()
    assert torch.equal(before.argsort(stable=True), after.argsort(stable=True))
    assert len((logits / 1.8).unique()) < len(logits.unique()) == len(after.unique())


def test_perfectly_separated_pairs_have_the_coldest_temperature():
    apart = LogitCounts(np.array([[5, 0], [0, 2]]), np.array([[-3.0, 1.0]] * 2))
    found = fit_temperature(apart)
    assert (found.value, found.bounded) == (COOLEST, True)
    assert found.after < found.before
    wrong = fit_temperature(LogitCounts(apart.counts, -apart.logits))
    assert (wrong.value, wrong.bounded) == (HOTTEST, True)
    assert wrong.after == pytest.approx(math.log(2), abs=0.02)


def test_logits_of_zero_keep_their_temperature():
    found = fit_temperature(LogitCounts(np.array([[3], [1]]), np.zeros((2, 1))))
    assert (found.value, found.bounded) == (1.0, False)
    assert found.before == found.after == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("counts", "message"),
    [([[3], [0]], "in contact"), ([[0], [3]], "without contact"), ([[0], [0]], "without contact")],
)
def test_refuses_a_temperature_for_one_kind_of_pair(counts, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(LogitCounts(np.array(counts), np.ones((2, 1))))
