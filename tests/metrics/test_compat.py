"""Published definitions, each against its own loop, and what is wrong with each as a number."""

import math

import pytest
import torch

from protcontact.metrics.compat import (
    Hits,
    esm_notebook_precision,
    peer_precision,
    pooled,
    saprot_precision,
    tape_precision,
)
from protcontact.metrics.precision import score_chain
from protcontact.metrics.ranges import LONG, MEDIUM, RANGES, SHORT, SeparationRange
from tests.metrics.chains import compact_chain, make_batch, random_scores

EVERY = SeparationRange("all", 6)


def example(length, seed, unresolved=0.15):
    """Probabilities with ties, contacts and known pairs of a chain whose first residue is known."""
    coordinates = compact_chain(length, seed, unresolved)
    coordinates[0] = 0.0
    batch = make_batch([coordinates])
    contact, known = batch.contact()[0], batch.known()[0]
    scores = random_scores(length, length, seed=seed) + contact
    return scores.sigmoid().round(decimals=2), contact, known


def by_score(pairs, scores):
    """Pairs by falling score, ties by (i, j)."""
    return sorted(pairs, key=lambda pair: (-float(scores[pair]), pair))


def label(contact, known, pair):
    return int(contact[pair]) if known[pair] else -1


def upper(n, low, high=10**9):
    return [(i, j) for i in range(n) for j in range(i + 1, n) if low <= j - i <= high]


def slow_tape(scores, contact, known):
    n = len(known)
    entries = []
    for i in range(n):
        for j in range(n):
            counts = j - i >= 6 and bool(known[i, j])
            shown = int(contact[i, j]) if known[i, j] and abs(j - i) >= 6 else -1
            entries.append((-float(scores[i, j]) if counts else 0.0, i * n + j, shown))
    best = sorted(entries)[: n // 5]
    return sum(entry[2] for entry in best), len(best)


def slow_peer(scores, contact, known, divisor):
    n = len(known)
    places = [(i, j) for i in range(n) for j in range(n) if abs(i - j) >= 6 and known[i, j]]
    K = n // divisor
    if len(places) < K:
        return 0, K
    return sum(bool(contact[pair]) for pair in by_score(places, scores)[:K]), K


def slow_saprot(scores, contact, known, divisor, span):
    n = len(known)
    places = [pair for pair in upper(n, span.low, span.high or n) if known[pair]]
    K = min(math.ceil(n / divisor), sum(bool(contact[pair]) for pair in places))
    return sum(bool(contact[pair]) for pair in by_score(places, scores)[:K]), K


def slow_notebook(scores, contact, known, span):
    """``P@L``, ``P@L2``, ``P@L5`` and ``AUC``, with the notebook's tenths in float32."""
    n = len(known)
    L = sum(bool(known[0, j]) for j in range(n))
    places = upper(n, span.low)
    inside = [pair for pair in upper(n, span.low, span.high or n) if known[pair]]
    excluded = [pair for pair in places if pair not in set(inside)]
    ranked = by_score(inside, scores) + excluded
    precisions = []
    for tenth in torch.arange(0.1, 1.1, 0.1):
        K = int((tenth * L).long())
        precisions.append(sum(label(contact, known, pair) for pair in ranked[:K]) / K)
    return precisions[9], precisions[4], precisions[1], sum(precisions) / 10


CASES = [(40, 0, 0.15), (61, 1, 0.0), (35, 2, 0.4), (50, 3, 0.6), (26, 4, 0.8), (33, 5, 0.9)]


@pytest.mark.parametrize("case", CASES)
def test_tape_and_peer_are_their_loops(case):
    tensors = example(*case)
    tape = tape_precision(*tensors)
    assert (tape.correct, tape.chosen) == slow_tape(*tensors)
    scores, contact, known = tensors
    asymmetric = scores + 0.01 * torch.arange(len(known))
    for divisor in (1, 2, 5):
        for each in (scores, asymmetric):
            peer = peer_precision(each, contact, known, divisor)
            assert (peer.correct, peer.chosen) == slow_peer(each, contact, known, divisor)


@pytest.mark.parametrize("span", RANGES, ids=lambda span: span.name)
@pytest.mark.parametrize("case", CASES)
def test_saprot_is_its_loop(case, span):
    tensors = example(*case)
    for divisor in (1, 2, 5):
        found = saprot_precision(*tensors, divisor, span)
        assert (found.correct, found.chosen) == slow_saprot(*tensors, divisor, span)


@pytest.mark.parametrize("span", RANGES, ids=lambda span: span.name)
@pytest.mark.parametrize("case", CASES[:4])
def test_the_notebook_is_its_loop(case, span):
    tensors = example(*case)
    found = esm_notebook_precision(*tensors, span)
    expected = slow_notebook(*tensors, span)
    shown = (found.precision_l, found.precision_l2, found.precision_l5, found.auc)
    assert shown == pytest.approx(expected, abs=1e-12)


def test_tenths_of_the_notebook_are_whole_numbers():
    """It multiplies in float32, where 0.7 is a little too small."""
    lengths = torch.arange(10, 5000)
    tenths = torch.arange(0.1, 1.1, 0.1)[:, None]
    published = (tenths * lengths).long()
    assert torch.equal(published, torch.arange(1, 11)[:, None] * lengths // 10)


def two_resolved(length):
    """All residues unresolved but two, 10 apart, which are in contact, and a perfect prediction."""
    known = torch.zeros(length, length, dtype=torch.bool)
    ends = torch.tensor([12, 22])
    known[ends[:, None], ends[None, :]] = True
    contact = known & ~torch.eye(length, dtype=torch.bool)
    return contact.float(), contact, known


def test_a_perfect_prediction_scores_below_0_in_tape():
    """K = 5: one contact is right, and four masked pairs fill the rest: (1 - 4) / 5."""
    oracle = two_resolved(25)
    assert tape_precision(*oracle) == Hits(-3, 5)
    assert tape_precision(*oracle).precision == -0.6
    scores = score_chain(*oracle, ranges=[EVERY])["all"]
    assert scores.precision_l5 == scores.ceiling_l5 == 1.0


def test_a_perfect_prediction_of_few_resolved_residues_scores_below_0_in_the_notebook():
    """K = 10, and 7 pairs of long range are known: 1 contact, and 3 unknown pairs are added."""
    known = torch.zeros(60, 60, dtype=torch.bool)
    ends = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 30])
    known[ends[:, None], ends[None, :]] = True
    contact = torch.zeros_like(known)
    contact[[0, 30], [30, 0]] = True
    oracle = contact.float(), contact, known
    assert esm_notebook_precision(*oracle).precision_l == pytest.approx((1 - 3) / 10)
    scores = score_chain(*oracle)["long"]
    assert scores.precision_l == scores.ceiling_l == pytest.approx(1 / 7)


def test_pairs_that_are_excluded_are_ranked_and_counted_by_the_notebook():
    """Medium range is known nowhere, long range is; its contacts score in medium range."""
    length = 60
    place = torch.arange(length)
    known = (place[:, None] - place[None, :]).abs() >= 24
    known[0] = known[:, 0] = True
    known[0, 12:24] = known[12:24, 0] = False
    contact = known & ((place[:, None] - place[None, :]).abs() >= 24)
    scores = torch.zeros(length, length)
    assert score_chain(scores, contact, known)["medium"].candidates == 0
    ranked = [label(contact, known, pair) for pair in upper(length, 12)]
    resolved = int(known[0].sum())
    expected = sum(ranked[:resolved]) / resolved
    found = esm_notebook_precision(scores, contact, known, MEDIUM)
    assert found.precision_l == pytest.approx(expected) and expected != 0


def ranked_map(length, low, hits, positives):
    """Symmetric scores of which the k-th best pair is a contact where `hits` says so.

    Further contacts, up to `positives`, stand last.
    """
    i, j = torch.triu_indices(length, length, low)
    truth = torch.zeros(len(i), dtype=torch.bool)
    truth[: len(hits)] = torch.tensor(hits)
    truth[len(i) - (positives - sum(hits)) :] = True
    scores = torch.zeros(length, length, dtype=torch.float64)
    contact = torch.zeros(length, length, dtype=torch.bool)
    scores[i, j] = torch.linspace(1, 0.1, len(i), dtype=torch.float64)
    contact[i, j] = truth
    return scores + scores.T, contact | contact.T, torch.ones_like(contact)


def test_peer_says_0888_where_0840_is_right():
    """L = 625, K = 125 ordered pairs: 62 pairs twice and half of the 63rd.

    55 of the first 62 are contacts and the 63rd is one, (2 * 55 + 1) / 125; 49 of the next 62 are,
    105 of the best 125.
    """
    hits = [True] * 55 + [False] * 7 + [True] + [True] * 49 + [False] * 13
    tensors = ranked_map(625, 6, hits, 105)
    assert peer_precision(*tensors, divisor=5).precision == 0.888
    assert score_chain(*tensors, ranges=[EVERY])["all"].precision_l5 == 0.840


def test_peer_calls_l_what_its_configs_call_l_over_5():
    """``prec@L5`` has 7 characters, and the divisor is read from the eighth on."""
    assert "prec@L5"[7:] == "" and "prec@L/5"[7:] == "5"
    hits = [True] * 10 + [False] * 40
    tensors = ranked_map(50, 6, hits, 10)
    assert peer_precision(*tensors, divisor=1) == Hits(20, 50)
    assert peer_precision(*tensors, divisor=5) == Hits(10, 10)


def test_peer_gives_0_to_a_chain_with_few_candidates():
    oracle = two_resolved(25)
    assert peer_precision(*oracle, divisor=5) == Hits(0, 5)


def test_saprot_says_0485_where_0190_is_right():
    """L = 100 with 33 contacts: 16 among the best 33 pairs, 19 among the best 100."""
    hits = [True] * 16 + [False] * 17 + [True] * 3 + [False] * 64
    tensors = ranked_map(100, 24, hits, 33)
    found = saprot_precision(*tensors, divisor=1)
    assert found == Hits(16, 33) and round(found.precision, 3) == 0.485
    ours = score_chain(*tensors)["long"]
    assert ours.precision_l == 0.190 and ours.r_precision == found.precision


def test_saprot_rounds_up_and_leaves_out_ranges_without_contact():
    tensors = ranked_map(31, 6, [True] * 40, 40)
    assert saprot_precision(*tensors, divisor=5, span=SHORT).chosen == 7
    nothing = torch.zeros(31, 31, dtype=torch.bool)
    empty = saprot_precision(tensors[0], nothing, ~nothing, divisor=1)
    assert empty == Hits(0, 0) and math.isnan(empty.precision)


@pytest.mark.parametrize(("length", "span"), [(30, LONG), (31, LONG), (16, MEDIUM)])
def test_the_notebook_cannot_score_short_chains(length, span):
    """Of fewer pairs than residues it pads the list, by a module that it does not import."""
    with pytest.raises(ValueError, match=f"{length} residues.*NameError"):
        esm_notebook_precision(*example(length, 0, 0.0), span)
    esm_notebook_precision(*example(32, 0, 0.0), span)


def test_the_notebook_cannot_score_an_unresolved_first_residue():
    scores, contact, known = example(60, 0, 0.0)
    known[0] = known[:, 0] = False
    with pytest.raises(ValueError, match="there are 0.*RuntimeError"):
        esm_notebook_precision(scores, contact, known)


def test_unknown_pairs_and_their_scores_are_not_read():
    scores, contact, known = example(40, 0)
    spoiled, anything = scores.masked_fill(~known, math.nan), contact | ~known
    assert tape_precision(spoiled, anything, known) == tape_precision(scores, contact, known)
    for function in (peer_precision, saprot_precision):
        assert function(spoiled, anything, known, 2) == function(scores, contact, known, 2)
    found = esm_notebook_precision(spoiled, anything, known)
    assert found == esm_notebook_precision(scores, contact, known)


def test_pooling_weighs_pairs_and_not_chains():
    rows = [Hits(1, 1), Hits(0, 9)]
    assert pooled(rows) == 0.1 != sum(row.precision for row in rows) / 2
    assert math.isnan(pooled([]))


FUNCTIONS = [
    tape_precision,
    lambda *tensors: peer_precision(*tensors, 5),
    lambda *tensors: saprot_precision(*tensors, 5),
    esm_notebook_precision,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_refuses_other_tensors(function):
    scores, contact, known = example(40, 0)
    with pytest.raises(ValueError, match=r"contact must be \(L, L\)"):
        function(scores, contact[1:], known)
    with pytest.raises(ValueError, match="known must be bool"):
        function(scores, contact, known.int())
    with pytest.raises(ValueError, match="floating point"):
        function(contact, contact, known)
    spoiled = scores.clone()
    spoiled[0, 0] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        function(spoiled, contact, known)


def test_refuses_other_numbers():
    tensors = example(40, 0)
    with pytest.raises(ValueError, match="sigmoid"):
        tape_precision(tensors[0].logit(), *tensors[1:])
    for function in (peer_precision, saprot_precision):
        with pytest.raises(ValueError, match="divisor must be at least 1"):
            function(*tensors, 0)
