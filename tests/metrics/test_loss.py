"""The training loss against a double loop, and what must never leak into it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protcontact.metrics.loss import chain_losses, masked_contact_loss
from tests.metrics.chains import compact_chain, make_batch, random_scores


def slow_terms(logits, batch, min_separation, positive_weight):
    """Cross-entropy of each counted pair, chain by chain."""
    contact, known = batch.contact(), batch.known()
    terms = []
    for b in range(len(batch)):
        own = []
        place = batch.index[b].tolist()
        for i in range(len(place)):
            for j in range(i + 1, len(place)):
                if place[j] - place[i] < min_separation or not known[b, i, j]:
                    continue
                x = float(logits[b, i, j])
                p = 1 / (1 + math.exp(-x))
                own.append(-positive_weight * math.log(p) if contact[b, i, j] else -math.log(1 - p))
        terms.append(own)
    return terms


def slow_loss(logits, batch, min_separation=6, positive_weight=1.0):
    terms = slow_terms(logits, batch, min_separation, positive_weight)
    means = [sum(own) / len(own) for own in terms if own]
    return sum(means) / len(means) if means else 0.0


def some_batch():
    """Three lengths, unresolved residues, padding; the last chain has no pair that counts."""
    chains = [compact_chain(30, 1, 0.2), compact_chain(18, 2), compact_chain(5, 3)]
    return make_batch(chains, padding=2)


@pytest.mark.parametrize("min_separation", [1, 6, 12])
@pytest.mark.parametrize("positive_weight", [1.0, 5.0])
def test_agrees_with_double_loop(min_separation, positive_weight):
    batch, logits = some_batch(), random_scores(3, 32, 32)
    options = {"min_separation": min_separation, "positive_weight": positive_weight}
    loss = masked_contact_loss(logits, batch, **options)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(slow_loss(logits, batch, **options), rel=1e-12)


def test_separation_is_counted_along_the_full_sequence():
    batch, logits = make_batch([compact_chain(10, 1)]), random_scores(1, 10, 10)
    batch.index[0, 5:] += 50
    batch.lengths[0] = 100
    losses = chain_losses(logits, batch)
    assert losses.pairs.tolist() == [25]
    assert losses.total.item() / 25 == pytest.approx(slow_loss(logits, batch), rel=1e-12)


def test_chains_have_the_same_say_whatever_their_length():
    chains = [compact_chain(30, 1), compact_chain(12, 2)]
    logits = random_scores(2, 30, 30)
    both = masked_contact_loss(logits, make_batch(chains)).item()
    long = masked_contact_loss(logits[:1], make_batch(chains[:1])).item()
    short = masked_contact_loss(logits[1:, :12, :12], make_batch(chains[1:])).item()
    assert both == pytest.approx((long + short) / 2, rel=1e-12)


def test_chain_losses_give_the_mean_over_pairs():
    batch, logits = some_batch(), random_scores(3, 32, 32)
    losses = chain_losses(logits, batch)
    terms = slow_terms(logits, batch, 6, 1.0)
    assert losses.pairs.tolist() == [len(own) for own in terms]
    assert losses.total.tolist() == pytest.approx([sum(own) for own in terms], rel=1e-12)


def test_gradient_agrees_with_differences():
    batch = make_batch([compact_chain(9, 1, 0.2), compact_chain(8, 2)])
    logits = random_scores(2, 9, 9).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: masked_contact_loss(x, batch, positive_weight=3.0), (logits,), fast_mode=True
    )


def test_trap_unresolved_pairs_are_not_taken_for_noncontacts():
    """The gradient is exactly zero at unknown pairs, near pairs, padding and below the diagonal."""
    batch = some_batch()
    logits = random_scores(3, 32, 32, dtype=torch.float32).requires_grad_()
    masked_contact_loss(logits, batch).backward()
    counted = (batch.known() & (batch.separation() >= 6)).triu(1)
    assert torch.equal(logits.grad != 0, counted)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf])
def test_junk_outside_the_counted_pairs_changes_nothing(junk):
    batch = some_batch()
    logits = random_scores(3, 32, 32)
    counted = (batch.known() & (batch.separation() >= 6)).triu(1)
    spoilt = torch.where(counted, logits, junk).requires_grad_()
    loss = masked_contact_loss(spoilt, batch)
    loss.backward()
    assert loss.item() == masked_contact_loss(logits, batch).item()
    assert torch.isfinite(spoilt.grad).all()


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_batch_without_known_pair_gives_zero_with_a_graph(value):
    """Without a graph this rank of DDP would skip its backward pass and the others would wait."""
    batch = make_batch([compact_chain(20, 0, unresolved=1.0), compact_chain(3, 1)])
    weight = torch.ones(1, requires_grad=True)
    logits = torch.full((2, 20, 20), value) + weight
    loss = masked_contact_loss(logits, batch)
    loss.backward()
    assert loss.item() == 0.0
    assert weight.grad.tolist() == [0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_float32(dtype):
    """435 terms near 20 overflow nothing, and their mean keeps float32's digits."""
    batch = make_batch([compact_chain(30, 1)])
    logits = random_scores(1, 30, 30).mul(20).to(dtype).requires_grad_()
    loss = masked_contact_loss(logits, batch)
    loss.backward()
    assert loss.dtype == torch.float32
    assert logits.grad.dtype == dtype
    exact = masked_contact_loss(logits.detach().double(), batch).item()
    assert loss.item() == pytest.approx(exact, rel=1e-6)


def test_autocast_changes_no_digit():
    batch, logits = some_batch(), random_scores(3, 32, 32, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = masked_contact_loss(logits, batch)
    assert inside.dtype == torch.float32
    assert inside.item() == masked_contact_loss(logits, batch).item()


def test_large_logits_do_not_overflow():
    batch = make_batch([compact_chain(30, 1)])
    wrong = torch.where(batch.contact(), -1e4, 1e4).requires_grad_()
    loss = masked_contact_loss(wrong, batch)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert torch.isfinite(wrong.grad).all()


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(3)), st.integers(0, 5), st.integers(0, 1000))
def test_property_order_and_padding_of_a_batch_change_nothing(order, padding, seed):
    chains = [compact_chain(n, seed + n, 0.2) for n in (12, 20, 25)]
    logits = random_scores(3, 25, 25, seed=seed)
    padded = torch.nn.functional.pad(logits[list(order)], (0, padding, 0, padding), value=9.0)
    permuted = make_batch([chains[b] for b in order], padding=padding)
    expected = masked_contact_loss(logits, make_batch(chains)).item()
    assert masked_contact_loss(padded, permuted).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_separation": 0}, "min_separation must be at least 1"),
        ({"positive_weight": 0.0}, "positive_weight must be positive"),
        ({"positive_weight": math.nan}, "positive_weight must be positive"),
    ],
)
def test_refuses_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        masked_contact_loss(torch.zeros(3, 32, 32), some_batch(), **options)


def test_refuses_logits_of_another_batch():
    with pytest.raises(ValueError, match=r"logits must be \(3, 32, 32\)"):
        masked_contact_loss(torch.zeros(3, 31, 31), some_batch())
