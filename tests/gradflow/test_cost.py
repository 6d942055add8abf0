"""Counts against counts by hand."""

import torch
from torch import nn

from protcontact.gradflow.cost import LiveTensors, floating_operations, polynomial, saved_bytes


def test_operations_of_a_product():
    linear, x = nn.Linear(3, 5), torch.zeros(7, 3)
    assert floating_operations(lambda: linear(x)) == 2 * 7 * 3 * 5


def test_bytes_are_those_that_the_backward_pass_needs():
    x = torch.zeros(100, dtype=torch.float64, requires_grad=True)
    assert saved_bytes(lambda: x * 2) == 0
    assert saved_bytes(lambda: x.exp()) == 800  # its own output
    assert saved_bytes(lambda: x.exp().tanh()) == 1600
    assert saved_bytes(lambda: (y := x.exp()) * y) == 800  # once, although kept twice
    assert saved_bytes(lambda: x.exp()[:10].tanh()) == 880  # the whole of what a view is a part of


def test_weights_are_not_counted():
    linear, x = nn.Linear(50, 20).double(), torch.zeros(3, 50).double()
    assert saved_bytes(lambda: linear(x)) == 3 * 50 * 8  # x alone: the gradient of W needs it
    assert saved_bytes(lambda: linear(x.requires_grad_())) == 0  # now x is as good as a weight


def test_it_does_not_matter_whether_gradients_are_on():
    x = torch.zeros(100, requires_grad=True)
    with torch.no_grad():
        assert saved_bytes(lambda: x.exp()) == 400


def test_a_polynomial_goes_through_its_points():
    found = polynomial((8, 16, 32), tuple(5 + 3 * L + 7 * L**2 for L in (8, 16, 32)))
    assert found(1024) == 5 + 3 * 1024 + 7 * 1024**2
    assert found(8) == 5 + 24 + 448


def test_live_tensors_are_those_that_exist_at_once():
    with LiveTensors(torch.Size([7])) as live:
        kept = [torch.zeros(7) for _ in range(3)]
        for _ in range(5):
            torch.zeros(7)  # gone at once
        torch.zeros(8)
        assert live.most == 4
        kept.pop()
        kept += [torch.ones(7), torch.ones(7)]
    assert live.most == len(kept) == 4
