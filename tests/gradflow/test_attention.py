"""Shares of attention against loops over pairs, and where attention is known beforehand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from protcontact.gradflow.attention import DirectAttention, direct_costate
from protcontact.metrics.loss import masked_contact_loss
from protcontact.metrics.ranges import SeparationRange
from protcontact.models.encoders.hybrid import RecurrentAttention
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.bilinear import Bilinear
from tests.gradflow.test_untouched import (
    Gram,
    assert_no_trace,
    contact_model,
    never_waits,
    random_batch,
    step_of,
)


class Dropping(Gram):
    """A head with dropout."""

    def forward(self, x, mask, index=None):
        return super().forward(nn.functional.dropout(x, 0.5, self.training), mask, index)


def transformer_model(head=Bilinear, **options):
    return contact_model(Transformer, head, channels=8, heads=2, **options)


def loops(model, batch, layer, far=24, **objective):
    """Maps as the visitor sees them, costates by way of the output of ``out``: sums over pairs.

    With ``o = W y + b`` the costate of y is ``W^T lambda_o``: no hook in front of ``out``.
    """
    maps, outputs = {}, {}
    block = model.encoder.blocks[layer]
    handle = block.out.register_forward_hook(lambda *a: outputs.update(o=a[2]))
    x = model.encoder(batch.tokens, batch.mask, batch.index, maps.__setitem__)
    handle.remove()
    logits = model.head(x, batch.mask, batch.index)
    loss = masked_contact_loss(logits, batch, **objective)
    (costate,) = torch.autograd.grad(loss, outputs["o"])
    maps = maps[layer].detach()
    B, L, _ = x.shape
    by_head = (costate @ block.out.weight.detach()).view(B, L, block.heads, -1)
    part = whole = 0.0
    for b in range(B):
        for i in range(L):
            for k in range(block.heads):
                length = float(by_head[b, i, k].norm())
                for j in range(L):
                    flow = float(maps[b, k, i, j]) * length
                    whole += flow
                    part += flow * (abs(int(batch.index[b, i] - batch.index[b, j])) >= far)
    return part, whole


def read(probe, model, batch):
    (pending,) = probe.after_update(step_of(model, batch))
    assert not pending.joined
    return pending.read(pending.values.flatten()[None])


@pytest.mark.parametrize("objective", [{}, {"min_separation": 12, "positive_weight": 5.0}])
def test_shares_are_those_of_loops_over_pairs(objective):
    batch = random_batch([34, 29, 12], padding=2)
    model = transformer_model(layers=3).eval()
    sums = direct_costate(model.encoder, model.head, batch, **objective)
    found = read(DirectAttention(**objective), model, batch).scalars
    assert list(found) == [f"attn/{layer}/direct_share" for layer in range(3)]
    for layer in range(3):
        part, whole = loops(model, batch, layer, **objective)
        assert sums[:, layer].tolist() == pytest.approx([part, whole], rel=1e-10)
        assert found[f"attn/{layer}/direct_share"] == pytest.approx(part / whole, rel=1e-10)
        assert 0.001 < part / whole < 0.999


def test_attention_behind_a_recurrence_has_shares_too():
    batch = random_batch([40])
    model = contact_model(RecurrentAttention)
    found = read(DirectAttention(), model, batch).scalars
    assert list(found) == ["attn/0/direct_share", "attn/1/direct_share"]
    for layer in (0, 1):
        part, whole = loops(model.eval(), batch, layer)
        assert found[f"attn/{layer}/direct_share"] == pytest.approx(part / whole, rel=1e-10)


def test_uniform_attention_has_the_share_of_far_residues():
    """W_q = W_k = 0: ``A_ij = 1/L``, so ``sum |lambda_i| n_far(i)/L / sum |lambda_i|``.

    Of the chain of 26 the first two and the last two residues have 2, 1, 1 and 2 far ones.
    """
    batch = random_batch([40, 26], padding=3)
    model = transformer_model().eval()
    costates = {}
    with torch.no_grad():
        for block in model.encoder.blocks:
            block.qkv.weight[:16].zero_()
            block.qkv.bias[:16].zero_()
    hooks = [
        block.out.register_forward_pre_hook(
            lambda m, inputs, n=layer: (
                inputs[0].register_hook(lambda g: costates.update({n: g})) and None
            )
        )
        for layer, block in enumerate(model.encoder.blocks)
    ]
    masked_contact_loss(model(batch), batch).backward()
    for hook in hooks:
        hook.remove()
    found = read(DirectAttention(), model, batch).scalars
    for layer, costate in costates.items():
        part = whole = 0.0
        for b, L in enumerate([40, 26]):
            for i in range(L):
                n_far = max(0, i - 23) + max(0, L - i - 24)
                length = float(costate[b, i].view(2, 4).norm(dim=1).sum())
                part += length * n_far / L
                whole += length
        assert found[f"attn/{layer}/direct_share"] == pytest.approx(part / whole, rel=1e-10)


def test_separation_is_counted_along_the_sequence():
    """Twelve residues are all near, and all but each itself are far if they stand 24 apart."""
    batch = random_batch([12], unresolved=0.0)
    model = transformer_model().eval()
    assert set(read(DirectAttention(), model, batch).scalars.values()) == {0.0}
    spread = replace(batch, index=24 * batch.index, lengths=24 * batch.lengths)
    maps = {}
    model.encoder(spread.tokens, spread.mask, spread.index, maps.__setitem__)
    found = read(DirectAttention(), model, spread).scalars
    for layer, shown in maps.items():
        to_itself = shown.detach().diagonal(dim1=2, dim2=3)
        share = found[f"attn/{layer}/direct_share"]
        assert 1 - float(to_itself.max()) < share < 1 - float(to_itself.min())
    sums = direct_costate(model.encoder, model.head, spread, far=SeparationRange("", 25))
    assert (sums[0] < found["attn/0/direct_share"] * sums[1]).all()


def test_padding_has_no_part():
    model = transformer_model().eval()
    narrow, wide = (
        direct_costate(model.encoder, model.head, random_batch([34, 29], padding=padding))
        for padding in (0, 7)
    )
    torch.testing.assert_close(narrow, wide, rtol=1e-9, atol=0)


def test_other_encoders_have_nothing_to_say():
    model = contact_model(BiLSTM)
    assert DirectAttention().after_update(step_of(model, random_batch([30]))) == []


def test_without_a_pair_nothing_is_logged():
    """No gradient, no share; and not 0, which would mean that nothing goes far."""
    found = read(DirectAttention(), transformer_model(), random_batch([5]))
    assert found.scalars == {}


def test_not_finite_is_left_out():
    model, batch = transformer_model(), random_batch([30])
    (pending,) = DirectAttention().after_update(step_of(model, batch))
    found = pending.read(torch.tensor([[1.0, math.nan, 4.0, math.nan]]))
    assert found.scalars == {"attn/0/direct_share": 0.25}
    found = pending.read(torch.tensor([[1.0, 0.0, math.inf, 0.0]]))
    assert found.scalars == {}


def test_frozen_encoders_have_a_share():
    model, batch = transformer_model(), random_batch([34])
    expected = read(DirectAttention(), model, batch)
    model.encoder.requires_grad_(False)
    assert read(DirectAttention(), model, batch) == expected


def test_dropout_and_mutations_have_no_part():
    batch = random_batch([34])
    noisy = transformer_model(Dropping, dropout=0.9, corruption=0.9).train()
    plain = transformer_model(Gram)
    assert read(DirectAttention(), noisy, batch) == read(DirectAttention(), plain, batch)


def test_says_that_it_runs_the_model():
    assert DirectAttention.runs_model


@pytest.mark.parametrize("place", ["head", "encoder"])
def test_measuring_leaves_no_trace(place):
    model = transformer_model(dropout=0.5, corruption=0.3)
    breaking = model.head if place == "head" else model.encoder.blocks[1].mlp
    assert_no_trace(DirectAttention(), model, random_batch([33, 20]), breaking=breaking)


def test_the_device_never_waits(monkeypatch):
    model, batch = transformer_model(Gram, dtype=torch.float32), random_batch([33, 20])
    with never_waits(monkeypatch):
        pending = DirectAttention().after_update(step_of(model, batch))
    assert len(pending) == 1


def test_refuses():
    with pytest.raises(ValueError, match="DirectAttention needs a model that holds a ContactModel"):
        DirectAttention().after_update(step_of(nn.Linear(1, 1), random_batch([9])))
    with pytest.raises(ValueError, match="DirectAttention needs batches that are a ContactBatch"):
        DirectAttention().after_update(step_of(transformer_model(), None))
