"""The separation prior: counted pair by pair, smoothed as documented, ranked like any score."""

import pytest
import torch

from protcontact.metrics.nulls import PSEUDO_PAIRS, SeparationPrior
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
