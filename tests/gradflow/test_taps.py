"""Costates of activations against autograd on the activations themselves."""

import math

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from protcontact.gradflow.layers import trainable
from protcontact.gradflow.probe import Step
from protcontact.gradflow.taps import Costates, IdentityShare, blocks, first_tensor
from protcontact.gradflow.transfer import ship
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.resnet import ResNet


def measure(probe, model, run, **scales):
    """What the probe finds in forward and backward passes, as name -> value."""
    with probe.attach(model):
        run()
        pending = probe.before_update(Step(model, None, trainable(model), **scales))
    return {k: v for one in ship(pending).read() for k, v in one.scalars.items()}


def stack():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Linear(4, 2)).double()


def inputs(rows=6):
    torch.manual_seed(1)
    return torch.randn(rows, 3).double()


def test_costates_are_the_gradients_of_the_activations():
    model, x = stack(), inputs()
    found = measure(Costates(), model, lambda: model(x).square().mean().backward())
    kept, h = {}, x
    for name, module in model.named_children():
        h = module(h)
        h.retain_grad()
        kept[name] = h
    h.square().mean().backward()
    for name in ("0", "2", "3"):
        grad = kept[name].grad
        assert found[f"costate/{name}/norm"] == pytest.approx(float(grad.norm()), rel=1e-12)
        rms = float(grad.square().mean().sqrt())
        assert found[f"costate/{name}/rms"] == pytest.approx(rms, rel=1e-12)
    assert "costate/1/norm" not in found  # no parameters, no block


def test_accumulated_batches_are_one_batch():
    model, x = stack(), inputs(8)

    def in_parts():
        for part in x.split(2):
            (model(part).square().mean() / 4).backward()

    whole = measure(Costates(), model, lambda: model(x).square().mean().backward())
    parts = measure(Costates(), model, in_parts)
    assert parts == pytest.approx(whole, rel=1e-12)


def test_the_loss_scale_is_taken_off():
    model, x = stack(), inputs()
    plain = measure(Costates(), model, lambda: model(x).square().mean().backward())
    scaled = measure(
        Costates(),
        model,
        lambda: (512 * model(x).square().mean()).backward(),
        loss_scale=torch.tensor(512.0),
    )
    assert scaled == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_activations_are_seen_once(reentrant):
    model, x = stack(), inputs().requires_grad_()

    def run():
        h = checkpoint(model[:3], x, use_reentrant=reentrant)
        model[3](h).square().mean().backward()

    plain = measure(Costates(), model, lambda: model(x).square().mean().backward())
    assert measure(Costates(), model, run) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("probe", [Costates(), IdentityShare()])
def test_hooks_are_gone_even_after_an_error(probe):
    model = ContactModel(Transformer(8, layers=1, heads=2), ResNet(8))
    with pytest.raises(KeyError), probe.attach(model):
        assert any(m._forward_hooks for m in model.modules())
        raise KeyError
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert probe.before_update(Step(model, None, trainable(model))) == []


def test_gradients_are_those_of_an_unwatched_model():
    model, x = stack(), inputs()
    model(x).square().mean().backward()
    plain = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    for probe in (Costates(), IdentityShare()):
        measure(probe, model, lambda: model(x).square().mean().backward())
        for p, grad in zip(model.parameters(), plain, strict=True):
            assert torch.equal(p.grad, grad)
        model.zero_grad()


def test_blocks_of_the_models_of_this_package():
    model = ContactModel(BiLSTM(4, layers=2), ResNet(8, blocks=2))
    names = list(blocks(model))
    assert names[0] == "encoder.embedding" or names[0].startswith("encoder.embedding.")
    assert "encoder.forward_lstms.1" in names
    assert "head.blocks.1" in names
    assert list(blocks(nn.LSTM(2, 3))) == []  # no name of its own


def test_the_first_tensor_of_what_a_module_returns():
    tensor = torch.ones(1)
    assert first_tensor(((None, tensor), 3)) is tensor
    assert first_tensor({"a": None, "b": [tensor]}) is tensor
    assert first_tensor("nothing") is None


class Residual(nn.Module):
    """``x + a W x``: both paths are known."""

    residual = True

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.inner = nn.Linear(4, 4, bias=False)
        nn.init.eye_(self.inner.weight)

    def forward(self, x):
        return x + self.factor * self.inner(x)


@pytest.mark.parametrize("factor", [0.0, 1.0, 0.25])
def test_identity_share_of_scaled_identities(factor):
    """|lambda| / (|lambda| + a |lambda|), also where others read the block's input."""
    model = nn.ModuleList([nn.Linear(4, 4), Residual(factor), Residual(factor)]).double()
    x = torch.randn(3, 4).double()

    def run():
        h = model[0](x)
        (model[2](model[1](h)).square().sum() + 7 * h.sum()).backward()

    found = measure(IdentityShare(), model, run)
    expected = 1 / (1 + factor)
    assert found == pytest.approx(
        {f"resnet/{n}/identity_share": expected for n in (1, 2)}, rel=1e-12
    )


def test_identity_share_of_a_transformer_block_by_hand():
    torch.manual_seed(0)
    encoder = Transformer(8, layers=2, heads=2).double()
    tokens, mask = torch.randint(0, 20, (2, 9)), torch.ones(2, 9, dtype=torch.bool)
    weight = torch.randn(2, 9, 8).double()
    found = measure(
        IdentityShare(), encoder, lambda: (encoder(tokens, mask) * weight).sum().backward()
    )
    kept = []
    hook = encoder.blocks[1].register_forward_hook(lambda m, i, o: kept.extend([i[0], o[0]]))
    out = (encoder(tokens, mask) * weight).sum()
    hook.remove()
    before, after = torch.autograd.grad(out, kept)
    share = float(after.norm() / (after.norm() + (before - after).norm()))
    assert found["resnet/blocks.1/identity_share"] == pytest.approx(share, rel=1e-12)


def test_blocks_that_do_not_say_so_are_left_alone():
    model = stack()
    found = measure(IdentityShare(), model, lambda: model(inputs()).sum().backward())
    assert found == {}


def test_vanished_costates_are_not_zero():
    """In float32 the square of 1e-30 is 0."""
    model, x = stack().float(), inputs().float()
    found = measure(Costates(), model, lambda: (1e-30 * model(x).sum()).backward())
    assert 1e-31 < found["costate/3/rms"] < 1e-29
    assert math.isfinite(found["costate/0/norm"])


class Odd(nn.Module):
    """A residual block in the ways that other people write it."""

    residual = True

    def __init__(self, kind):
        super().__init__()
        self.kind, self.inner = kind, nn.Linear(4, 4)

    def forward(self, x):
        if self.kind == "in place":
            x += self.inner(x.clone())
            return x
        y = x + self.inner(x)
        return (y, x.square().sum()) if self.kind == "two outputs" else y


@pytest.mark.parametrize("kind", ["in place", "two outputs", "keyword"])
def test_residual_blocks_that_cannot_be_measured_are_left_alone(kind):
    """The gradient is that of an unwatched model, and nothing is said of the block."""
    model = nn.ModuleList([nn.Linear(4, 4), Odd(kind)]).double()

    def run():
        h = model[0](torch.ones(3, 4).double())
        if kind == "keyword":
            model[1](x=h).sum().backward()
        elif kind == "two outputs":
            model[1](h)[1].backward()  # only the other one is used
        else:
            model[1](h).sum().backward()

    run()
    plain = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    assert measure(IdentityShare(), model, run) == {}
    now = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(plain, now, strict=True))


def test_ranks_that_saw_nothing_send_as_many_numbers_as_the_others():
    """Or the gather of all ranks would hang."""
    model, x = stack(), inputs()
    model(x).sum().backward()
    sizes = []
    for run in (lambda: model(x).sum().backward(), lambda: None):
        probe = Costates()
        with probe.attach(model):
            run()
            [pending] = probe.before_update(Step(model, None, trainable(model), ranks=2))
        sizes.append(pending.values.numel())
        assert pending.joined
    assert sizes[0] == sizes[1] == 6
