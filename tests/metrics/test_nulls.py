"""The nulls: counted and copied pair by pair, smoothed as documented, ranked like any score."""

import math

import pytest
import torch

from protcontact.metrics.nulls import PSEUDO_PAIRS, Copy, SeparationPrior, copied_scores
from protcontact.metrics.precision import score_batch
from tests.metrics.chains import compact_chain, make_batch


def training_batches():
    return [
        make_batch([compact_chain(n, n, 0.1) for n in (30, 50)], padding=4),
        make_batch([compact_chain(20, 1, 0.0)]),
    ]


def slow_counts(batches, size):
    pairs, contacts = [0] * size, [0] * size
    for batch in batches:
        contact, known = batch.contact(), batch.known()
        for b in range(len(batch)):
            place = batch.index[b].tolist()
            for i in range(len(place)):
                for j in range(i + 1, len(place)):
                    if known[b, i, j]:
                        pairs[place[j] - place[i]] += 1
                        contacts[place[j] - place[i]] += int(contact[b, i, j])
    return pairs, contacts


def test_counts_agree_with_counting():
    prior = SeparationPrior.fit(training_batches())
    pairs, contacts = slow_counts(training_batches(), len(prior.pairs))
    assert prior.pairs.tolist() == pairs
    assert prior.contacts.tolist() == contacts
    assert sum(pairs) > 0


def test_counts_use_the_place_in_the_full_sequence():
    """Two windows far apart: the separations between them are long, not 20."""
    batch = make_batch([compact_chain(20, 1)])
    batch.index[0, 10:] += 100
    batch.lengths[0] = 200
    prior = SeparationPrior.fit([batch])
    pairs, contacts = slow_counts([batch], len(prior.pairs))
    assert (prior.pairs.tolist(), prior.contacts.tolist()) == (pairs, contacts)
    assert prior.pairs[101:120].sum() == 100
    assert prior.pairs[10:101].sum() == 0


def test_frequencies_are_those_of_the_formula():
    prior = SeparationPrior.from_state_dict(
        {"contacts": torch.tensor([0, 90, 0, 5]), "pairs": torch.tensor([0, 100, 0, 50])}
    )
    first = (90 + PSEUDO_PAIRS * 95 / 150) / (100 + PSEUDO_PAIRS)
    third = (5 + PSEUDO_PAIRS * first) / (50 + PSEUDO_PAIRS)
    assert prior.frequencies().tolist() == pytest.approx([95 / 150, first, first, third])


def test_smoothing_vanishes_where_there_are_data():
    counts = torch.tensor([0, 10**6, 10**6])
    prior = SeparationPrior.from_state_dict(
        {"contacts": torch.tensor([0, 10**6, 10**4]), "pairs": counts}
    )
    assert prior.frequencies()[2].item() == pytest.approx(0.01, abs=2e-4)


def test_separations_never_seen_inherit_the_last_one():
    prior = SeparationPrior.fit(training_batches())
    scores = prior.scores(torch.tensor([0, 49, 5000]))
    last = prior.frequencies()[-1].item()
    assert scores[0, 2].item() == pytest.approx(last)
    assert scores[0, 1].item() > 0


def test_scores_depend_on_separation_alone():
    prior = SeparationPrior.fit(training_batches())
    index = torch.tensor([[0, 1, 2, 9], [5, 6, 7, 14]])
    scores = prior.scores(index)
    assert scores.shape == (2, 4, 4)
    assert scores.dtype == torch.float32
    assert torch.equal(scores[0], scores[1])
    assert torch.equal(scores, scores.transpose(1, 2))
    table = prior.frequencies()
    assert scores[0, 1, 3].item() == pytest.approx(table[8].item())


def test_update_after_reading_counts_again():
    first, second = training_batches()
    prior = SeparationPrior.fit([first])
    before = prior.frequencies()
    prior.update(second)
    assert not torch.equal(prior.frequencies()[:20], before[:20])
    assert torch.equal(prior.frequencies(), SeparationPrior.fit([second, first]).frequencies())


def test_ranks_near_pairs_first_and_scores_above_a_reversed_order():
    """Free random walks: contacts fall off with separation as s^-1.5, and so must the prior."""
    train = make_batch([compact_chain(120, seed, persistence=1.0) for seed in range(40)])
    test = make_batch([compact_chain(100, seed, persistence=1.0) for seed in range(50, 60)])
    scores = SeparationPrior.fit([train]).scores(test.index)
    forward = [row.ranges["long"] for row in score_batch(scores, test)]
    backward = [row.ranges["long"] for row in score_batch(-scores, test)]
    defined = [(f.auprc, b.auprc) for f, b in zip(forward, backward, strict=True) if f.defined]
    assert len(defined) >= 5
    assert sum(f for f, _ in defined) > 2 * sum(b for _, b in defined)


def test_state_goes_round():
    prior = SeparationPrior.fit(training_batches())
    copy = SeparationPrior.from_state_dict(prior.state_dict())
    assert torch.equal(copy.frequencies(), prior.frequencies())
    copy.update(training_batches()[0])
    assert torch.equal(prior.pairs, SeparationPrior.fit(training_batches()).pairs)


def test_refuses_to_rank_before_it_has_counted():
    with pytest.raises(ValueError, match="no known pair"):
        SeparationPrior().scores(torch.arange(5))
    unknown = make_batch([compact_chain(30, 0, unresolved=1.0)])
    with pytest.raises(ValueError, match="no known pair"):
        SeparationPrior.fit([unknown]).frequencies()


@pytest.mark.parametrize(
    ("contacts", "pairs", "message"),
    [
        (torch.tensor([0, 1]), torch.tensor([0]), "vectors of one length"),
        (torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64), "vectors"),
        (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), "vectors"),
        (torch.tensor([0.0]), torch.tensor([0]), "int64"),
        (torch.tensor([0, 3]), torch.tensor([0, 2]), "between 0 and pairs"),
        (torch.tensor([0, -1]), torch.tensor([0, 2]), "between 0 and pairs"),
    ],
)
def test_refuses_a_state_that_is_none(contacts, pairs, message):
    with pytest.raises(ValueError, match=message):
        SeparationPrior.from_state_dict({"contacts": contacts, "pairs": pairs})


def walk(length, seed):
    source = torch.Generator().manual_seed(seed)
    return torch.cumsum(2.5 * torch.randn(length, 3, generator=source), dim=0)


def slow_copy(copies, prior):
    """Pair by pair, in Python's own numbers."""
    L = len(prior)
    scores = torch.zeros(L, L, dtype=torch.float64)
    for i in range(L):
        for j in range(L):
            votes = weights = 0.0
            for evalue, index, points in copies:
                place = index.tolist()
                if i in place and j in place:
                    a, b = points[place.index(i)].tolist(), points[place.index(j)].tolist()
                    if math.isnan(sum(a) + sum(b)):
                        continue
                    w = 1 / (1 + 10 * evalue)
                    votes += w / (1 + math.exp(math.dist(a, b) - 8))
                    weights += w
            left = max(1 - weights, 0) * float(prior[i, j])
            scores[i, j] = (votes + left) / max(weights, 1)
    return scores


def some_copies():
    first = Copy(1e-9, torch.tensor([0, 1, 2, 5, 6, 9]), walk(6, 0))
    second = Copy(0.5, torch.tensor([1, 2, 3, 4, 5]), walk(5, 1))
    second.coordinates[2] = float("nan")
    return [first, second, Copy(0.0, torch.arange(0), torch.zeros(0, 3))]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_copied_scores_agree_with_going_pair_by_pair(count):
    prior = SeparationPrior.fit(training_batches()).scores(torch.arange(11))
    copies = some_copies()[:count]
    scores = copied_scores(copies, prior)
    assert torch.equal(scores, scores.T)
    assert torch.allclose(scores.double(), slow_copy(copies, prior), atol=1e-6)


def test_without_a_chain_to_copy_it_is_the_prior():
    prior = SeparationPrior.fit(training_batches()).scores(torch.arange(40))
    scores = copied_scores([], prior)
    assert torch.equal(scores, prior)


def test_the_copy_of_itself_finds_all_contacts():
    batch = make_batch([compact_chain(60, 3, 0.1)])
    prior = SeparationPrior.fit(training_batches()).scores(batch.index)[0]
    itself = Copy(0.0, torch.arange(60), batch.coordinates[0])
    (row,) = score_batch(copied_scores([itself], prior)[None], batch)
    for scores in row.ranges.values():
        assert scores.precision_l == pytest.approx(scores.ceiling_l)


def test_a_far_copy_is_no_overflow_and_adds_nothing():
    far = Copy(0.0, torch.tensor([0, 1]), torch.tensor([[0.0, 0, 0], [1e5, 0, 0]]))
    scores = copied_scores([far], torch.zeros(2, 2))
    assert scores[0, 1] == 0.0 and torch.isfinite(scores).all()


def test_a_hit_of_chance_weighs_less():
    index, points = torch.tensor([0, 1]), torch.zeros(2, 3)
    near, far = (
        float(copied_scores([Copy(evalue, index, points)], torch.zeros(2, 2))[0, 1])
        for evalue in (0.0, 10.0)
    )
    assert near == pytest.approx(1, abs=1e-3) and far == pytest.approx(near / 101)
