"""Costates of a stack against autograd's, and against a product of matrices out of range."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.depth import depth_curve
from protcontact.gradflow.stacks import stack


def test_the_costates_are_those_of_autograd():
    torch.manual_seed(0)
    layers = stack(5, 8, torch.tanh, gain=1.5)
    x, cotangent = torch.randn(3, 8).double(), torch.randn(3, 8).double()
    states = [x.requires_grad_()]
    for layer in layers:
        states.append(layer(states[-1]))
    true = torch.autograd.grad((states[-1] * cotangent).sum(), states)
    found = depth_curve(list(layers), x, cotangent)
    wanted = [float(costate.norm().log10()) for costate in reversed(true)]
    assert found.tolist() == pytest.approx(wanted, abs=1e-13)
    assert all(p.grad is None for p in layers.parameters())
    assert x.grad is None


def test_far_below_the_smallest_float():
    halve = nn.Linear(2, 2, bias=False)
    nn.init.eye_(halve.weight)
    halve.weight.data *= 1e-3
    found = depth_curve([halve] * 500, torch.ones(2), torch.ones(2))
    assert float(found[-1]) == pytest.approx(math.log10(math.sqrt(2)) - 1500, rel=1e-6)


def test_a_layer_that_the_gradient_does_not_pass():
    found = depth_curve([torch.sign, torch.zeros_like], torch.ones(2), torch.ones(2))
    assert found.tolist()[1:] == [-math.inf, -math.inf]


def test_layers_must_keep_the_shape():
    with pytest.raises(ValueError, match=r"\(3,\) of \(2,\)"):
        depth_curve([nn.Linear(2, 3)], torch.ones(2), torch.ones(2))
