"""Bins, and scores in them against loops over pairs."""

import math

import pytest
import torch

from protcontact.metrics.precision import score_chain
from protcontact.metrics.ranges import SeparationRange
from protcontact.metrics.separation_bins import chance, doubling_bins
from tests.metrics.chains import compact_chain, make_batch, random_scores


def chain(length, unresolved=0.2, seed=0):
    batch = make_batch([compact_chain(length, seed, unresolved)])
    return batch.contact()[0], batch.known()[0]


def test_bins_double_and_leave_no_separation_out():
    assert [span.name for span in doubling_bins(100)] == [
        "6-11",
        "12-23",
        "24-47",
        "48-95",
        "96-191",
    ]
    assert [span.name for span in doubling_bins(96)] == ["6-11", "12-23", "24-47", "48-95"]
    for length in (7, 24, 25, 193):
        separation = torch.arange(length)
        inside = sum(span.contains(separation).long() for span in doubling_bins(length))
        assert inside.tolist() == [int(s >= 6) for s in range(length)]


@pytest.mark.parametrize("length", [0, 1, 6])
def test_a_chain_too_short_for_any_bin(length):
    with pytest.raises(ValueError, match=f"a chain of {length} residues has no pair"):
        doubling_bins(length)


def test_a_bin_is_a_loop_over_its_pairs():
    L = 60
    contact, known = chain(L, seed=3)
    scores, scored = random_scores(L, L, seed=3), []
    for span in doubling_bins(L):
        pairs = [
            (-float(scores[i, j]), i, j, bool(contact[i, j]))
            for i in range(L)
            for j in range(i + 1, L)
            if known[i, j] and span.low <= j - i <= span.high
        ]
        best = [hit for *_, hit in sorted(pairs)[:L]]
        score = score_chain(scores, contact, known, ranges=[span])[span.name]
        assert score.candidates == len(pairs)
        if not score.defined:
            assert sum(best) == 0
            continue
        scored.append(span.name)
        assert score.precision_l == sum(best) / len(best)
        assert chance(score) == sum(hit for *_, hit in pairs) / len(pairs)
    assert scored == ["6-11", "12-23", "24-47"]


def test_chance_is_what_random_orders_score():
    contact, known = chain(60, seed=1)
    span = SeparationRange("24-47", 24, 47)
    draws = [
        score_chain(random_scores(60, 60, seed=seed), contact, known, ranges=[span])[span.name]
        for seed in range(300)
    ]
    values = torch.tensor([draw.precision_l for draw in draws]).double()
    error = float(values.std()) / math.sqrt(len(draws))
    assert float(values.mean()) == pytest.approx(chance(draws[0]), abs=4 * error)
    assert error < 0.1 * chance(draws[0])


def test_a_bin_without_contacts_or_without_pairs_is_undefined():
    L = 30
    known = torch.ones(L, L, dtype=torch.bool)
    near = SeparationRange("6-11", 6, 11)
    far = SeparationRange("48-95", 48, 95)
    found = score_chain(torch.zeros(L, L), torch.zeros_like(known), known, ranges=[near, far])
    for name, candidates in (("6-11", near.pairs(L)), ("48-95", 0)):
        score = found[name]
        assert (score.candidates, score.positives) == (candidates, 0)
        assert math.isnan(score.precision_l) and math.isnan(chance(score))
