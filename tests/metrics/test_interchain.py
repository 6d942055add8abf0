"""Pairs between chains against loops; pairs within them against the chain alone."""

import math

import pytest
import torch

from protcontact.metrics.interchain import score_interchain
from protcontact.metrics.precision import score_chain


def problem(lengths, seed=0, unknown=0.2, contacts=0.1, levels=None):
    generator = torch.Generator().manual_seed(seed)
    L = sum(lengths)
    scores = torch.rand(L, L, generator=generator, dtype=torch.float64)
    scores = scores + scores.T
    if levels:
        scores = (scores * levels).round()
    contact = torch.rand(L, L, generator=generator) < contacts
    resolved = torch.rand(L, generator=generator) >= unknown
    chain_of = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return scores, contact | contact.T, resolved[:, None] & resolved[None, :], chain_of


def slow_inter(scores, contact, known, chain_of):
    """Name -> number, read aloud from the definition."""
    L = len(scores)
    pairs = []
    for i in range(L):
        for j in range(i + 1, L):
            if chain_of[i] != chain_of[j] and known[i, j]:
                pairs.append((-float(scores[i, j]), i, j, bool(contact[i, j])))
    pairs.sort(key=lambda pair: pair[:3])
    truth = [pair[3] for pair in pairs]
    positives = sum(truth)
    shortest = min(int((chain_of == c).sum()) for c in range(int(chain_of.max()) + 1))
    result = {"candidates": len(truth), "positives": positives}
    cuts = {"10": 10, "l10": shortest // 10, "l5": shortest // 5, "l": shortest}
    for name, wanted in cuts.items():
        K = min(max(wanted, 1), len(truth))
        result[f"precision_{name}"] = sum(truth[:K]) / K if positives else math.nan
        result[f"ceiling_{name}"] = min(K, positives) / K if positives else math.nan
    found, total = 0, 0.0
    for rank, hit in enumerate(truth, 1):
        if hit:
            found += 1
            total += found / rank
    result["auprc"] = total / positives if positives else math.nan
    return result


@pytest.mark.parametrize("lengths", [(30, 30), (52, 13), (1, 1), (3, 40), (20, 31, 12)])
@pytest.mark.parametrize("levels", [None, 3])
def test_between_chains_as_the_slow_twin(lengths, levels):
    given = problem(lengths, seed=sum(lengths), unknown=0.1, levels=levels)
    inter = score_interchain(*given).inter
    slow = slow_inter(*given)
    assert vars(inter).keys() == slow.keys()
    for name, value in slow.items():
        assert getattr(inter, name) == pytest.approx(value, abs=1e-13, nan_ok=True), name


def test_cuts_differ():
    """None of the names means the same number."""
    inter = score_interchain(*problem((60, 70), seed=4, unknown=0, contacts=0.3)).inter
    found = (inter.precision_10, inter.precision_l10, inter.precision_l5, inter.precision_l)
    slow = slow_inter(*problem((60, 70), seed=4, unknown=0, contacts=0.3))
    assert found == tuple(slow[f"precision_{name}"] for name in ("10", "l10", "l5", "l"))
    assert len(set(found)) == 4


def test_within_chains_each_as_if_alone():
    scores, contact, known, chain_of = problem((40, 25, 33))
    intra = score_interchain(scores, contact, known, chain_of).intra
    for number, (start, stop) in enumerate([(0, 40), (40, 65), (65, 98)]):
        part = slice(start, stop)
        alone = score_chain(scores[part, part], contact[part, part], known[part, part])
        assert repr(intra[number]) == repr(alone)
    assert intra[0]["long"].positives > 0


def test_a_perfect_ranking_reaches_the_ceiling():
    _, contact, known, chain_of = problem((50, 50), contacts=0.002)
    inter = score_interchain(contact.double(), contact, known, chain_of).inter
    assert 0 < inter.positives < 10
    assert inter.precision_10 == inter.ceiling_10 < 1
    assert inter.precision_l == inter.ceiling_l
    assert inter.auprc == 1.0


def test_nothing_in_contact_is_undefined():
    scores, contact, known, chain_of = problem((12, 9), contacts=0.0)
    inter = score_interchain(scores, contact, known, chain_of).inter
    assert inter.positives == 0
    assert inter.candidates > 0
    assert math.isnan(inter.precision_10)
    assert math.isnan(inter.auprc)


def test_a_nan_within_unknown_pairs_does_not_matter_and_a_known_one_does():
    scores, contact, known, chain_of = problem((30, 30), seed=1)
    clean = score_interchain(scores, contact, known, chain_of)
    scores = torch.where(known, scores, math.nan)
    assert repr(score_interchain(scores, contact, known, chain_of)) == repr(clean)
    known = torch.ones_like(known)
    scores = torch.nan_to_num(scores, nan=0.0)
    scores[2, 40] = math.nan
    with pytest.raises(ValueError, match="NaN at 1 known pairs between chains"):
        score_interchain(scores, contact, known, chain_of)


@pytest.mark.parametrize(
    ("chain_of", "message"),
    [
        ([0] * 10, "at least two chains"),
        ([1] * 5 + [2] * 5, "must read"),
        ([0] * 5 + [2] * 5, "must read"),
        ([0] * 4 + [1] * 2 + [0] * 4, "must read"),
        ([0] * 4 + [1] * 4, "as chain_of"),
        ([0.0] * 5 + [1.0] * 5, "int64"),
    ],
)
def test_chains_must_be_numbered_in_order(chain_of, message):
    scores, contact, known, _ = problem((5, 5))
    with pytest.raises(ValueError, match=message):
        score_interchain(scores, contact, known, torch.tensor(chain_of))


def test_labels_must_be_bool():
    scores, contact, known, chain_of = problem((5, 5))
    with pytest.raises(ValueError, match="bool"):
        score_interchain(scores, contact.long(), known, chain_of)
