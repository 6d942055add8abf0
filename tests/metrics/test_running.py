"""Means over a data set: over chains, the same digits on any number of processes."""

import csv
import json
import math

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from hypothesis import given, settings
from hypothesis import strategies as st

from protcontact.metrics.loss import ChainLosses
from protcontact.metrics.precision import METRIC_NAMES, score_batch
from protcontact.metrics.ranges import RANGES
from protcontact.metrics.running import ContactScores, RunningLosses
from tests.metrics.chains import compact_chain, make_batch, random_scores

# The last two chains are undefined: too short, and without any known pair.
LENGTHS = (40, 57, 33, 80, 64, 51, 45, 5, 36)


def chain_and_scores(k):
    """The k-th chain of the data set and its scores, the same in every process."""
    n = LENGTHS[k]
    unresolved = 1.0 if k == len(LENGTHS) - 1 else 0.1
    return compact_chain(n, seed=k, unresolved=unresolved), random_scores(n, n, seed=100 + k)


def update(total, members):
    """One batch of the chains numbered `members`."""
    pairs = [chain_and_scores(k) for k in members]
    batch = make_batch([chain for chain, _ in pairs], ids=[f"p{k}" for k in members])
    L = batch.tokens.shape[1]
    scores = torch.zeros(len(members), L, L, dtype=torch.float64)
    for row, (_, own) in zip(scores, pairs, strict=True):
        row[: len(own), : len(own)] = own
    total.update(scores, batch)


def totals(*batches):
    total = ContactScores()
    for members in batches:
        update(total, members)
    return total


def digits(total):
    """Every digit of the summary as text; NaN equals NaN."""
    return json.dumps(total.summary())


def test_mean_is_over_chains_and_not_over_batches():
    total = totals([0, 1, 3], [4])
    rows = total.rows()
    for span in RANGES:
        for metric, field in METRIC_NAMES.items():
            values = [getattr(row.ranges[span.name], field) for row in rows]
            expected = sum(values) / 4
            assert total.summary()[f"{span.name}/{metric}"] == pytest.approx(expected, abs=1e-15)


def test_undefined_chains_are_counted_and_left_out():
    summary = totals([0, 7, 8]).summary()
    alone = totals([0]).summary()
    assert summary["chains"] == 3
    for span in RANGES:
        assert summary[f"{span.name}/undefined"] == 2
        for metric in METRIC_NAMES:
            assert summary[f"{span.name}/{metric}"] == alone[f"{span.name}/{metric}"]


def test_names_of_the_summary():
    expected = {"chains"}
    for span in ("short", "medium", "long"):
        for metric in ("P@L", "P@L/2", "P@L/5", "R-precision", "AUPRC", "undefined"):
            expected.add(f"{span}/{metric}")
        expected |= {f"{span}/ceiling{k}" for k in ("", "/2", "/5")}
    assert set(ContactScores().summary()) == expected


def test_nothing_scored_is_nan_and_reset_forgets():
    total = totals([0, 1])
    assert len(total) == 2
    total.reset()
    assert len(total) == 0
    assert math.isnan(total.summary()["long/P@L"])
    assert total.summary()["long/undefined"] == 0
    assert total.rows() == []


def test_repeated_chain_counts_once():
    once, twice = totals([0, 1, 2]), totals([0, 1], [2, 0])
    assert digits(once) == digits(twice)


def test_refuses_two_chains_of_one_name():
    total = totals([0])
    with pytest.raises(ValueError, match="'p0'"):
        total.update(torch.zeros(1, 41, 41), make_batch([compact_chain(41, 0)], ids=["p0"]))
    with pytest.raises(ValueError, match="'p0'"):  # the same length, another fold
        total.update(torch.zeros(1, 40, 40), make_batch([compact_chain(40, 9)], ids=["p0"]))


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(len(LENGTHS))), st.integers(1, len(LENGTHS)))
def test_property_order_and_batching_change_no_digit(order, size):
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    assert digits(totals(*batches)) == digits(totals(range(len(LENGTHS))))


def test_gather_on_one_process_is_the_same():
    total = totals([0, 3, 7])
    assert digits(total.gather()) == digits(total)
    assert total.gather() is not total


def losses_of(*batches):
    """Of the same chains; the last two have no pair."""
    held = RunningLosses()
    for members in batches:
        chains = [chain_and_scores(k)[0] for k in members]
        batch = make_batch(chains, ids=[f"p{k}" for k in members])
        pairs = torch.tensor([0 if k > 6 else LENGTHS[k] for k in members])
        total = torch.tensor([1.0 / (k + 3) for k in members]) * (pairs > 0)
        held.update(batch, {"loss": ChainLosses(total, pairs)})
    return held


def test_a_loss_is_a_mean_over_chains_that_have_pairs():
    means = [1 / (k + 3) / LENGTHS[k] for k in range(7)]
    expected = pytest.approx(sum(means) / 7, rel=1e-6)
    for batches in ([range(9)], [[0, 1], [2, 3, 4, 5], [6, 7, 8], [0]]):
        held = losses_of(*batches)
        assert held.means() == {"loss": expected}
        assert held.gather().means() == held.means()
    assert math.isnan(losses_of([7, 8]).means()["loss"])
    held.reset()
    assert held.means() == {}


def _worker(rank, folder, shares):
    """One of several processes: its own share of chains, its own number of threads."""
    torch.set_num_threads(rank + 1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=len(shares)
    )
    try:
        total = totals(*shares[rank])
        gathered = total.gather()
        gathered.write_table(f"{folder}/rank{rank}.tsv")
        with open(f"{folder}/rank{rank}.json", "w") as file:
            file.write(digits(gathered) + str(losses_of(*shares[rank]).gather().means()))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    "shares",
    [
        # Uneven shares; chain 0 stands on both, as where a sampler fills its last step.
        ([[0, 2, 4], [6, 8]], [[1, 3], [5], [7, 0]]),
        # One process saw nothing.
        ([], [[8, 7, 6, 5], [4, 3, 2, 1, 0]]),
    ],
)
def test_two_processes_give_the_same_digits_as_one(tmp_path, shares):
    torch.multiprocessing.spawn(_worker, args=(str(tmp_path), shares), nprocs=2)
    alone = totals(range(len(LENGTHS)))
    alone.write_table(tmp_path / "alone.tsv")
    losses = losses_of(range(len(LENGTHS))).means()
    for rank in (0, 1):
        assert (tmp_path / f"rank{rank}.json").read_text() == digits(alone) + str(losses)
        assert (tmp_path / f"rank{rank}.tsv").read_bytes() == (tmp_path / "alone.tsv").read_bytes()


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def test_table_holds_every_digit_and_means_to_the_summary(tmp_path):
    total = totals([3, 1, 0, 7])
    total.write_table(tmp_path / "scores.tsv")
    lines = read(tmp_path / "scores.tsv")
    assert [line["id"] for line in lines] == ["p0", "p1", "p3", "p7"]
    assert [line["length"] for line in lines] == ["40", "57", "80", "5"]
    for line, row in zip(lines, total.rows(), strict=True):
        for column, value in row.columns().items():
            assert line[column] == repr(value)
    values = [float(line["long/AUPRC"]) for line in lines]
    defined = [value for value in values if not math.isnan(value)]
    assert math.fsum(defined) / len(defined) == total.summary()["long/AUPRC"]
    assert math.isnan(values[-1])


def test_table_with_a_null(tmp_path):
    total, null = totals([0, 1]), ContactScores()
    chains = [chain_and_scores(k)[0] for k in (0, 1)]
    null.update(torch.zeros(2, 57, 57), make_batch(chains, ids=["p0", "p1"]))
    total.write_table(tmp_path / "scores.tsv", nulls={"separation": null})
    for line, row in zip(read(tmp_path / "scores.tsv"), null.rows(), strict=True):
        assert line["separation:long/P@L"] == repr(row.ranges["long"].precision_l)
        assert line["separation:long/P@L"] != line["long/P@L"]
        assert "separation:long/positives" not in line


def test_table_refuses_a_null_on_other_chains(tmp_path):
    with pytest.raises(ValueError, match="null 'separation'"):
        totals([0]).write_table(tmp_path / "scores.tsv", nulls={"separation": totals([1])})
    assert list(tmp_path.iterdir()) == []


def test_table_of_nothing_is_a_header(tmp_path):
    ContactScores().write_table(tmp_path / "scores.tsv")
    assert (tmp_path / "scores.tsv").read_text() == "id\tlength\n"


def test_failed_write_keeps_the_old_table_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "scores.tsv"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(csv.DictWriter, "writerows", fail)
    with pytest.raises(OSError, match="disk full"):
        totals([0]).write_table(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_are_those_of_score_batch():
    chain, scores = chain_and_scores(0)
    batch = make_batch([chain], ids=["p0"])
    assert totals([0]).rows() == score_batch(scores[None], batch)
