"""Scores of one chain against the obvious twin, hand-made numbers, and other people's traps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protcontact.metrics.precision import (
    METRIC_NAMES,
    ChainScores,
    range_score,
    score_batch,
    score_chain,
)
from protcontact.metrics.ranges import RANGES
from tests.metrics.chains import compact_chain, make_batch, random_scores, slow_scores

NAMES = [span.name for span in RANGES]


def truth(length, seed=0, unresolved=0.0):
    """``contact`` and ``known`` of one compact chain."""
    batch = make_batch([compact_chain(length, seed, unresolved)])
    return batch.contact()[0], batch.known()[0]


def flat(ranges):
    """Every number as text, so that NaN equals NaN and nothing else is forgiven."""
    return {name: repr(value) for name, value in ChainScores("", 0, ranges).columns().items()}


def assert_as_slow(ranges, slow):
    for name in NAMES:
        row = ChainScores("", 0, {name: ranges[name]}).columns()
        assert row.keys() == {f"{name}/{column}" for column in slow[name]}
        for column, expected in slow[name].items():
            assert row[f"{name}/{column}"] == pytest.approx(expected, abs=1e-13, nan_ok=True)


@pytest.mark.parametrize("length", [1, 2, 5, 7, 24, 25, 30, 61])
@pytest.mark.parametrize("unresolved", [0.0, 0.5, 0.9])
def test_agrees_with_slow_twin(length, unresolved):
    contact, known = truth(length, seed=length, unresolved=unresolved)
    scores = random_scores(length, length, seed=length)
    assert_as_slow(score_chain(scores, contact, known), slow_scores(scores, contact, known))


@pytest.mark.parametrize("levels", [1, 2, 10])
def test_agrees_with_slow_twin_when_tied(levels):
    contact, known = truth(45, unresolved=0.2)
    scores = torch.randint(0, levels, (45, 45), generator=torch.Generator().manual_seed(1))
    for typed in (scores, scores.to(torch.float16), scores - levels // 2, scores > 0):
        assert_as_slow(score_chain(typed, contact, known), slow_scores(typed, contact, known))


def test_agrees_with_slow_twin_on_two_windows_of_a_longer_chain():
    contact, known = truth(40)
    index = torch.cat([torch.arange(10, 30), torch.arange(150, 170)])
    scores = random_scores(40, 40)
    found = score_chain(scores, contact, known, length=200, index=index)
    assert_as_slow(found, slow_scores(scores, contact, known, 200, index))
    assert found["long"].candidates == 20 * 20


def test_numbers_worked_out_by_hand():
    """L = 30: K = 30, 15, 6. Long range has 21 candidates: fewer than L.

    Contacts (0, 24), (0, 29), (5, 29). Scores put (0, 29) first, a non-contact second, (0, 24)
    third, and (5, 29) last. Ranks of the positives: 1, 3, 21.
    """
    contact = torch.zeros(30, 30, dtype=torch.bool)
    scores = torch.zeros(30, 30)
    for (i, j), score in {(0, 24): 7.0, (0, 29): 9.0, (5, 29): -1.0}.items():
        contact[i, j] = contact[j, i] = True
        scores[i, j] = scores[j, i] = score
    scores[1, 25] = scores[25, 1] = 8.0
    found = score_chain(scores, contact, torch.ones_like(contact))["long"]
    assert (found.candidates, found.positives) == (21, 3)
    assert found.precision_l == 3 / 21  # all candidates, as there are fewer than 30
    assert found.precision_l2 == 2 / 15
    assert found.precision_l5 == 2 / 6
    assert (found.ceiling_l, found.ceiling_l2, found.ceiling_l5) == (3 / 21, 3 / 15, 3 / 6)
    assert found.r_precision == 2 / 3
    assert found.auprc == pytest.approx((1 / 1 + 2 / 3 + 3 / 21) / 3, abs=1e-15)


def test_average_precision_agrees_with_scikit_learn_without_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    contact, known = truth(80, unresolved=0.1)
    scores = random_scores(80, 80)
    separation = torch.arange(80)[None, :] - torch.arange(80)[:, None]
    found = score_chain(scores, contact, known)
    for span in RANGES:
        pairs = known & span.contains(separation)
        expected = metrics.average_precision_score(contact[pairs], scores[pairs])
        assert found[span.name].auprc == pytest.approx(expected, abs=1e-12)


def test_ties_are_broken_by_i_then_j():
    """All scores equal: the ranking is (0, 24), (0, 25), ..., (0, 39), (1, 25), ..."""
    contact = torch.zeros(40, 40, dtype=torch.bool)
    contact[0, 25] = contact[1, 25] = True
    found = score_chain(torch.zeros(40, 40), contact, torch.ones_like(contact))["long"]
    assert found.auprc == (1 / 2 + 2 / 17) / 2


def test_positive_and_negative_zero_are_tied():
    contact = torch.zeros(40, 40, dtype=torch.bool)
    contact[0, 25] = True
    scores = torch.zeros(40, 40)
    scores[0, 24] = -0.0
    found = score_chain(scores, contact, torch.ones_like(contact))["long"]
    assert found.auprc == 1 / 2


def test_undefined_without_candidate_or_without_contact():
    known = torch.ones(30, 30, dtype=torch.bool)
    found = score_chain(torch.zeros(30, 30), ~known, known)
    assert (found["long"].candidates, found["long"].positives) == (21, 0)
    found_nothing = score_chain(torch.zeros(30, 30), known, ~known)
    assert found_nothing["long"].candidates == 0
    for score in [*found.values(), *found_nothing.values()]:
        assert not score.defined
        assert all(math.isnan(getattr(score, field)) for field in METRIC_NAMES.values())


@pytest.mark.parametrize("length", [1, 5])
def test_chains_without_any_range_are_undefined(length):
    known = torch.ones(length, length, dtype=torch.bool)
    found = score_chain(torch.zeros(length, length), known, known)
    assert [found[name].candidates for name in NAMES] == [0, 0, 0]
    assert not any(found[name].defined for name in NAMES)


# Traps of METRICS.md


@pytest.mark.parametrize("unresolved", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("length", [60, 120])
def test_trap_unresolved_residues_leave_a_perfect_predictor_perfect(length, unresolved):
    """Public codes give 0.86, 0.43 or -0.64 here: unresolved pairs entered their ranking."""
    contact, known = truth(length, seed=3, unresolved=unresolved)
    defined = 0
    for score in score_chain(contact.float(), contact, known).values():
        if not score.defined:
            continue
        defined += 1
        assert score.r_precision == 1.0
        assert score.auprc == 1.0
        assert score.precision_l == score.ceiling_l
        assert score.precision_l2 == score.ceiling_l2
        assert score.precision_l5 == score.ceiling_l5
    assert defined > 0


def test_trap_oracle_reaches_one_with_half_of_the_residues_unresolved():
    """Enough contacts for a ceiling of 1: three public codes give 0.86, 0.43 and 0.43."""
    known = torch.zeros(100, 100, dtype=torch.bool)
    known[::2, ::2] = True
    separation = (torch.arange(100)[None, :] - torch.arange(100)[:, None]).abs()
    contact = known & (separation >= 24) & (separation <= 30)
    found = score_chain(contact.float(), contact, known)["long"]
    assert found.positives >= 100
    assert (found.precision_l, found.ceiling_l) == (1.0, 1.0)


def test_trap_tape_labels_of_minus_one_are_refused():
    """As bool, -1 is True: unknown pairs would be contacts. As a number they score below 0."""
    contact, known = truth(40, unresolved=0.5)
    labels = torch.where(known, contact.to(torch.int8), -1)
    with pytest.raises(ValueError, match="contact must be bool"):
        score_chain(torch.zeros(40, 40), labels, known)
    with pytest.raises(ValueError, match="known must be bool"):
        score_chain(torch.zeros(40, 40), contact, labels)


def test_trap_peer_every_pair_is_ranked_once():
    """With (i, j) and (j, i) both ranked, the 8 best of L = 40 would be 4 pairs, all hits: 1.0."""
    contact = torch.zeros(40, 40, dtype=torch.bool)
    scores = torch.zeros(40, 40)
    for i, (j, hit) in enumerate([(30, True)] * 4 + [(35, False)] * 4):
        scores[i, j] = scores[j, i] = 10.0 - i
        contact[i, j] = contact[j, i] = hit
    found = score_chain(scores, contact, torch.ones_like(contact))["long"]
    assert found.candidates == 16 * 17 // 2
    assert found.precision_l5 == 4 / 8


def test_trap_saprot_few_contacts_do_not_shorten_the_list():
    """3 contacts, all found first: P@L is 3/50, and the ceiling says that no more was possible."""
    contact = torch.zeros(50, 50, dtype=torch.bool)
    contact[0, 30] = contact[1, 40] = contact[2, 45] = True
    found = score_chain(contact.float(), contact, torch.ones_like(contact))["long"]
    assert (found.precision_l, found.ceiling_l) == (3 / 50, 3 / 50)
    assert found.r_precision == 1.0


def test_trap_esm_notebook_short_chain_with_unresolved_first_residue():
    coordinates = compact_chain(30, seed=2)
    coordinates[0] = math.nan
    row = score_batch(torch.zeros(1, 30, 30), make_batch([coordinates]))[0]
    assert row.length == 30
    assert row.ranges["long"].candidates == 21 - 6  # (0, 24) ... (0, 29) are unknown


@pytest.mark.parametrize("shift", [-100.0, 0.0, 100.0])
def test_trap_torchmetrics_sign_of_a_score_means_nothing(shift):
    contact, known = truth(50)
    scores = random_scores(50, 50).round(decimals=3)
    shifted = score_chain(scores + shift, contact, known)
    assert flat(shifted) == flat(score_chain(scores, contact, known))


def test_trap_fewer_pairs_than_k_rank_nothing_else():
    """L = 30 at long range: 21 pairs for K = 30; pairs of other ranges must not fill up."""
    known = torch.ones(30, 30, dtype=torch.bool)
    separation = (torch.arange(30)[None, :] - torch.arange(30)[:, None]).abs()
    contact = separation < 24
    contact[0, 29] = True
    found = score_chain(random_scores(30, 30), contact, known)["long"]
    assert (found.candidates, found.positives) == (21, 1)
    assert found.precision_l == 1 / 21


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_trap_half_precision_ties_follow_the_definition(dtype):
    """Rounding ties many scores; what remains is decided by (i, j), not by the sort's mood."""
    contact, known = truth(60)
    scores = random_scores(60, 60).mul(0.1).add(8).to(dtype)
    assert len(scores.unique()) < 200  # levels for 1,770 pairs
    found = score_chain(scores, contact, known)
    assert flat(found) == flat(score_chain(scores.double(), contact, known))
    assert_as_slow(found, slow_scores(scores, contact, known))


def test_trap_esm_readme_padding_never_enters():
    """Whatever stands in the padded rows, even NaN, the shorter chain's numbers stay."""
    chains = [compact_chain(40, 1), compact_chain(70, 2)]
    scores = random_scores(2, 75, 75)
    alone = score_chain(scores[0, :40, :40], *truth(40, 1))
    for junk in (math.nan, math.inf, -math.inf):
        scores[0, 40:] = scores[0, :, 40:] = junk
        rows = score_batch(scores, make_batch(chains, padding=5))
        assert flat(rows[0].ranges) == flat(alone)
    assert [row.length for row in rows] == [40, 70]


def test_only_the_upper_triangle_is_read():
    contact, known = truth(40)
    scores = random_scores(40, 40)
    expected = flat(score_chain(scores, contact, known))
    scores[torch.tril(torch.ones(40, 40, dtype=torch.bool))] = math.nan
    assert flat(score_chain(scores, contact, known)) == expected


def test_infinite_scores_rank_and_nan_at_unknown_pairs_is_ignored():
    contact, known = truth(60, seed=3, unresolved=0.3)
    scores = torch.where(contact, math.inf, -math.inf)
    scores[~known] = math.nan
    assert score_chain(scores, contact, known)["long"].auprc == 1.0


def test_refuses_nan_and_names_the_chain():
    batch = make_batch([compact_chain(40, 1), compact_chain(50, 2)], ids=["1abc_A", "2xyz_B"])
    scores = torch.zeros(2, 50, 50)
    scores[1, 3, 40] = math.nan
    with pytest.raises(ValueError, match="'2xyz_B' are NaN at 1 known pair"):
        score_batch(scores, batch)
    scores[1, 3, 40], scores[1, 3, 5] = 0.0, math.nan  # separation 2: no candidate
    assert len(score_batch(scores, batch)) == 2


def test_refuses_a_crop():
    batch = make_batch([compact_chain(40, 1)], ids=["1abc_A"])
    batch.lengths[0] = 41
    with pytest.raises(ValueError, match="'1abc_A' is a crop, 40 of 41 residues"):
        score_batch(torch.zeros(1, 40, 40), batch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": torch.zeros(8, 9)}, "scores must be"),
        ({"scores": torch.zeros(0, 0)}, "scores must be"),
        ({"contact": torch.ones(7, 7, dtype=torch.bool)}, "contact must be"),
        ({"known": torch.ones(1, 8, 8, dtype=torch.bool)}, "known must be"),
        ({"length": 7}, "length must be at least the 8"),
        ({"index": torch.arange(8.0)}, "index must be int64"),
        ({"index": torch.arange(7)}, "index must be int64"),
        ({"index": torch.zeros(8, dtype=torch.int64)}, "index must rise"),
        ({"index": torch.arange(1, 9)}, "index must rise and lie"),
        ({"index": torch.arange(-1, 7)}, "index must rise and lie"),
    ],
)
def test_refuses_wrong_arguments(change, message):
    known = torch.ones(8, 8, dtype=torch.bool)
    arguments = {"scores": torch.zeros(8, 8), "contact": known, "known": known} | change
    with pytest.raises(ValueError, match=message):
        score_chain(**arguments)


def test_refuses_scores_of_another_batch():
    with pytest.raises(ValueError, match=r"scores must be \(1, 8, 8\)"):
        score_batch(torch.zeros(1, 9, 9), make_batch([compact_chain(8, 0)]))


def test_scores_do_not_depend_on_the_number_of_threads():
    contact, known = truth(300)
    scores = random_scores(300, 300, dtype=torch.float32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = flat(score_chain(scores, contact, known))
        torch.set_num_threads(2)
        two = flat(score_chain(scores, contact, known))
    finally:
        torch.set_num_threads(threads)
    assert one == two


def test_leaves_the_graph_and_the_scores_alone():
    contact, known = truth(30)
    scores = random_scores(30, 30).requires_grad_()
    before = scores.detach().clone()
    score_chain(scores, contact, known)
    assert torch.equal(scores.detach(), before)
    assert scores.grad is None


# Properties

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**31)
fractions = st.floats(0, 0.9)
quick = settings(max_examples=40, deadline=None)


@quick
@given(sizes, seeds, fractions, st.integers(1, 50))
def test_property_equals_slow_twin(length, seed, unresolved, levels):
    contact, known = truth(length, seed, unresolved)
    scores = random_scores(length, length, seed=seed).mul(levels).round()
    assert_as_slow(score_chain(scores, contact, known), slow_scores(scores, contact, known))


@quick
@given(sizes, seeds, fractions)
def test_property_monotone_transformations_change_nothing(length, seed, unresolved):
    """Scores are whole numbers of small size: float64 keeps their order and ties under all four."""
    contact, known = truth(length, seed, unresolved)
    scores = random_scores(length, length, seed=seed).mul(4).round()
    expected = flat(score_chain(scores, contact, known))
    for same in (scores * 2 - 1000, scores**3, scores.exp(), scores.sigmoid()):
        assert flat(score_chain(same, contact, known)) == expected


@quick
@given(st.permutations(range(4)), seeds)
def test_property_order_and_padding_of_a_batch_change_nothing(order, seed):
    chains = [compact_chain(n, seed + n, 0.2) for n in (1, 20, 33, 48)]
    scores = random_scores(4, 48, 48, seed=seed)
    rows = score_batch(scores, make_batch(chains))
    names = [f"chain{b}" for b in order]
    permuted = make_batch([chains[b] for b in order], ids=names, padding=3)
    padded = torch.nn.functional.pad(scores[list(order)], (0, 3, 0, 3))
    for row, b in zip(score_batch(padded, permuted), order, strict=True):
        assert flat(row.ranges) == flat(rows[b].ranges)
        assert (row.id, row.length) == (rows[b].id, rows[b].length)


@quick
@given(seeds, st.integers(0, 10), st.integers(0, 10))
def test_property_unresolved_tails_never_count_as_negatives(seed, before, after):
    """Unresolved residues around a chain, scored highest of all, change only K = L.

    With K fixed by `length` nothing changes at all.
    """
    n, wide = 40, 40 + before + after
    contact, known = truth(n, seed, 0.1)
    scores = random_scores(n, n, seed=seed)
    grown = torch.nn.functional.pad(scores, (before, after, before, after), value=1e6)
    shape = (before, after, before, after)
    found = score_chain(
        grown,
        torch.nn.functional.pad(contact, shape),
        torch.nn.functional.pad(known, shape),
    )
    assert flat(found) == flat(score_chain(scores, contact, known, length=wide))
    for name, score in score_chain(scores, contact, known).items():
        assert repr(found[name].auprc) == repr(score.auprc)
        assert repr(found[name].r_precision) == repr(score.r_precision)


@quick
@given(sizes, seeds, fractions)
def test_property_labels_of_unknown_pairs_are_never_read(length, seed, unresolved):
    contact, known = truth(length, seed, unresolved)
    scores = random_scores(length, length, seed=seed)
    expected = flat(score_chain(scores, contact, known))
    assert flat(score_chain(scores, contact | ~known, known)) == expected


@quick
@given(st.sets(st.integers(1, 300), min_size=1), st.integers(0, 50), st.integers(1, 400))
def test_property_no_score_exceeds_its_ceiling(ranks, more, length):
    score = range_score(sorted(ranks), max(ranks) + more, length)
    assert 0 <= score.precision_l <= score.ceiling_l <= 1
    assert 0 <= score.precision_l2 <= score.ceiling_l2 <= 1
    assert 0 <= score.precision_l5 <= score.ceiling_l5 <= 1
    assert 0 <= score.r_precision <= 1
    assert 0 < score.auprc <= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_same_digits():
    batch = make_batch([compact_chain(n, n, 0.2) for n in (30, 200, 300)])
    scores = random_scores(3, 300, 300, dtype=torch.float32).round(decimals=1)
    here = [flat(row.ranges) for row in score_batch(scores, batch)]
    there = [flat(row.ranges) for row in score_batch(scores.cuda(), batch.to("cuda"))]
    assert here == there
