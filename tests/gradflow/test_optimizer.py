"""Update sizes and angles against plain vectors, and what SGD and Adam do to a gradient's scale."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.layers import trainable
from protcontact.gradflow.optimizer import copies, update_table, updates


def stepped(optimizer, scale=1.0):
    """A model after one step, its weights before it, and what was measured."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    (scale * model(torch.randn(6, 5).double()).square().sum()).backward()
    parameters = trainable(model)
    before = copies(parameters.tensors)
    optimizer(model.parameters()).step()
    return model, before, updates(update_table(parameters.tensors, before), parameters.names)


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).double()


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.Adam(p, lr=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.3),
    ],
)
def test_ratio_and_angle_are_those_of_the_vectors(optimizer):
    model, before, found = stepped(optimizer)
    for block, old in (("0", before[:2]), ("2", before[2:])):
        new = [p for p in model[int(block)].parameters()]
        step, gradient = flat(old) - flat(new), flat([p.grad for p in new])
        assert found[block]["ratio"] == pytest.approx(
            float(step.norm() / flat(old).norm()), rel=1e-5
        )
        cosine = float(step @ gradient / step.norm() / gradient.norm())
        assert found[block]["cos_grad"] == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_sgd_follows_the_scale_of_the_gradient_and_adam_does_not(scale):
    sgd, unit = (stepped(lambda p: torch.optim.SGD(p, lr=1e-3), s)[2] for s in (scale, 1.0))
    assert sgd["2"]["ratio"] == pytest.approx(scale * unit["2"]["ratio"], rel=0.02)
    assert sgd["2"]["cos_grad"] == pytest.approx(1.0, abs=2e-3)
    adam, unit = (
        stepped(lambda p: torch.optim.Adam(p, lr=1e-3, eps=0.0), s)[2] for s in (scale, 1.0)
    )
    assert adam["2"]["ratio"] == pytest.approx(unit["2"]["ratio"], rel=1e-4)
    assert 0.2 < adam["2"]["cos_grad"] < 0.999


def test_no_step_is_a_ratio_of_zero_and_weights_of_zero_have_none():
    _, _, found = stepped(lambda p: torch.optim.SGD(p, lr=0.0))
    assert found["0"] == {"ratio": 0.0, "cos_grad": 0.0}
    layer = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(layer.weight)
    layer(torch.ones(1, 2)).sum().backward()
    before = copies([layer.weight])
    torch.optim.SGD(layer.parameters(), lr=1.0).step()
    found = updates(update_table([layer.weight], before), ["weight"])
    assert math.isnan(found["weight"]["ratio"])
    assert found["weight"]["cos_grad"] == pytest.approx(1.0)


def test_measuring_changes_nothing():
    model, before, _ = stepped(lambda p: torch.optim.SGD(p, lr=0.1))
    parameters = trainable(model).tensors
    weights = copies(parameters)
    gradients = [p.grad.clone() for p in parameters]
    old = copies(before)
    update_table(parameters, before)
    for kept, now in (
        (weights, parameters),
        (gradients, [p.grad for p in parameters]),
        (old, before),
    ):
        assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))


def test_a_step_that_diverges_has_a_ratio():
    """The square of 1e200 is not a float."""
    table = torch.tensor([[1e200], [1e-200], [1.0], [1e200]], dtype=torch.float64)
    assert updates(table, ["a.weight"])["a"]["cos_grad"] == pytest.approx(1.0)
    assert updates(table, ["a.weight"])["a"]["ratio"] == math.inf
    table[1] = 1.0
    assert updates(table, ["a.weight"])["a"]["ratio"] == pytest.approx(1e200)
