"""Aligned rows read to places, packed and unpacked."""

import numpy as np
import pytest

from protcontact.data.alignment import aligned_pairs, pairs_of, runs_of


def slow_pairs(query, target, i, j):
    pairs = []
    for one, other in zip(query, target, strict=True):
        if one != "-" and other != "-":
            pairs.append((i, j))
        i += one != "-"
        j += other != "-"
    return pairs


def test_rows_written_by_hand():
    one, other = aligned_pairs("AC-DEF", "ACGD-F", query_start=3, target_start=10)
    assert one.tolist() == [3, 4, 5, 7]
    assert other.tolist() == [10, 11, 13, 14]


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_walking_along_the_columns_and_survives_packing(seed):
    source = np.random.default_rng(seed)
    query, target = ("".join(source.choice(list("AC-"), 80)) for _ in range(2))
    one, other = aligned_pairs(query, target, 7, 2)
    assert list(zip(one.tolist(), other.tolist(), strict=True)) == slow_pairs(query, target, 7, 2)
    again = pairs_of(runs_of(one, other))
    assert np.array_equal(again[0], one) and np.array_equal(again[1], other)


def test_a_run_ends_at_a_gap_on_either_side():
    runs = runs_of(*aligned_pairs("ACD-EFGH", "ACDWEF-H"))
    assert runs.tolist() == [[0, 0, 3], [3, 4, 2], [6, 6, 1]]


def test_nothing_aligned():
    one, other = aligned_pairs("A-", "-A")
    assert len(one) == len(other) == len(runs_of(one, other)) == 0
    assert [len(places) for places in pairs_of(runs_of(one, other))] == [0, 0]


def test_refuses_rows_of_two_lengths():
    with pytest.raises(ValueError, match="have 2 and 1 columns"):
        aligned_pairs("AC", "A")
