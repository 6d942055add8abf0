"""The loss of distances against a double loop, and what must never leak into it."""

import math

import pytest
import torch

from protcontact.metrics.distogram_loss import (
    chain_distogram_losses,
    distance_bins,
    masked_distogram_loss,
)
from tests.metrics.chains import compact_chain, make_batch

EDGES = (6.0, 8.0, 12.0)
N = len(EDGES) + 1


def some_batch():
    """Three lengths, unresolved residues, padding; the last chain has no pair that counts."""
    chains = [compact_chain(26, 1, 0.2), compact_chain(14, 2), compact_chain(5, 3)]
    return make_batch(chains, padding=2)


def some_logits(B=3, L=28, dtype=torch.float64):
    return torch.randn(B, L, L, N, generator=torch.Generator().manual_seed(0), dtype=dtype)


def slow_bin(distance):
    """By its definition."""
    bounds = [-math.inf, *EDGES, math.inf]
    (found,) = [n for n in range(N) if bounds[n] <= distance < bounds[n + 1]]
    return found


def slow_terms(logits, batch, min_separation):
    """Cross-entropy of each counted pair, chain by chain."""
    distances, terms = batch.distances(), []
    for b in range(len(batch)):
        own, place = [], batch.index[b].tolist()
        for i in range(len(place)):
            for j in range(i + 1, len(place)):
                distance = float(distances[b, i, j])
                if place[j] - place[i] < min_separation or math.isnan(distance):
                    continue
                scores = logits[b, i, j].tolist()
                total = sum(math.exp(score) for score in scores)
                own.append(math.log(total) - scores[slow_bin(distance)])
        terms.append(own)
    return terms


@pytest.mark.parametrize("min_separation", [1, 6])
def test_agrees_with_double_loop(min_separation):
    batch, logits = some_batch(), some_logits()
    losses = chain_distogram_losses(logits, batch, EDGES, min_separation=min_separation)
    terms = slow_terms(logits, batch, min_separation)
    assert losses.pairs.tolist() == [len(own) for own in terms]
    assert losses.total.tolist() == pytest.approx([sum(own) for own in terms], rel=1e-12)
    loss = masked_distogram_loss(logits, batch, EDGES, min_separation=min_separation)
    means = [sum(own) / len(own) for own in terms if own]
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(sum(means) / len(means), rel=1e-12)


def test_a_distance_on_an_edge_lies_above_it():
    below = math.nextafter(8.0, 0.0)
    distances = torch.tensor([0.0, 5.99, 6.0, below, 8.0, 11.0, 12.0, 500.0], dtype=torch.float64)
    assert distance_bins(distances, EDGES).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert distance_bins(torch.tensor([math.nan]), EDGES).tolist() == [0]


def test_the_bins_below_the_cutoff_are_the_contacts():
    """To the last digit, and at 8 A exactly."""
    below = float(torch.nextafter(torch.tensor(8.0), torch.tensor(0.0)))
    chain = torch.zeros(3, 3)
    chain[1, 0], chain[2, 1] = 8.0, below
    for batch in (some_batch(), make_batch([chain])):
        known, bins = batch.known(), distance_bins(batch.distances(), EDGES)
        assert torch.equal((bins < 2)[known], batch.contact()[known])
    assert bins[0, 0].tolist() == [0, 2, 1]


def test_separation_is_counted_along_the_full_sequence():
    batch, logits = make_batch([compact_chain(10, 1)]), some_logits(1, 10)
    batch.index[0, 5:] += 50
    batch.lengths[0] = 100
    assert chain_distogram_losses(logits, batch, EDGES).pairs.tolist() == [25]


def test_trap_only_counted_pairs_get_a_gradient():
    batch = some_batch()
    logits = some_logits(dtype=torch.float32).requires_grad_()
    masked_distogram_loss(logits, batch, EDGES).backward()
    counted = (batch.known() & (batch.separation() >= 6)).triu(1)
    assert torch.equal((logits.grad != 0).any(dim=-1), counted)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf])
def test_junk_outside_the_counted_pairs_changes_nothing(junk):
    batch, logits = some_batch(), some_logits()
    counted = (batch.known() & (batch.separation() >= 6)).triu(1)
    spoilt = torch.where(counted[..., None], logits, junk).requires_grad_()
    loss = masked_distogram_loss(spoilt, batch, EDGES)
    loss.backward()
    assert loss.item() == masked_distogram_loss(logits, batch, EDGES).item()
    assert torch.isfinite(spoilt.grad).all()


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_batch_without_known_pair_gives_zero_with_a_graph(value):
    batch = make_batch([compact_chain(20, 0, unresolved=1.0), compact_chain(3, 1)])
    weight = torch.ones(1, requires_grad=True)
    loss = masked_distogram_loss(torch.full((2, 20, 20, N), value) + weight, batch, EDGES)
    loss.backward()
    assert loss.item() == 0.0
    assert weight.grad.tolist() == [0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_float32(dtype):
    batch, logits = some_batch(), some_logits().mul(20).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = masked_distogram_loss(logits, batch, EDGES)
    exact = masked_distogram_loss(logits.double(), batch, EDGES).item()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-6)


def test_gradient_agrees_with_differences():
    batch = make_batch([compact_chain(9, 1, 0.2), compact_chain(8, 2)])
    logits = some_logits(2, 9).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: masked_distogram_loss(x, batch, EDGES), (logits,), fast_mode=True
    )


def test_refuses():
    batch = some_batch()
    with pytest.raises(ValueError, match=r"distogram must be \(3, 28, 28, 4\)"):
        masked_distogram_loss(some_logits()[..., :3], batch, EDGES)
    with pytest.raises(ValueError, match="min_separation must be at least 1"):
        masked_distogram_loss(some_logits(), batch, EDGES, min_separation=0)
