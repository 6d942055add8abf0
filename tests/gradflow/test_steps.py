"""Steps of torch's optimizers against closed forms."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from protcontact.gradflow.steps import displacement, trained

GRADIENT = torch.tensor([1e-6, -1e-3, 0.0, 2.0, -1e6], dtype=torch.float64)


def test_adam_does_not_see_the_scale():
    """GRADFLOW's row: -n lr sign(g), to 1e-15."""
    moved = displacement(partial(Adam, lr=1e-3, eps=0.0), GRADIENT[GRADIENT != 0], 100)
    assert moved.tolist() == pytest.approx([-0.1, 0.1, -0.1, 0.1], rel=1e-15)


@pytest.mark.parametrize("steps", [1, 5])
def test_sgd_is_linear(steps):
    moved = displacement(partial(SGD, lr=0.01), GRADIENT, steps)
    assert moved.tolist() == pytest.approx((-0.01 * steps * GRADIENT).tolist(), rel=1e-15)
    scaled = displacement(partial(SGD, lr=0.01), 2**20 * GRADIENT, steps)
    assert scaled.tolist() == (2**20 * moved).tolist()


def test_momentum_ends_at_a_constant_multiple():
    make = partial(SGD, lr=0.01, momentum=0.5)
    late = displacement(make, GRADIENT, 61) - displacement(make, GRADIENT, 60)
    assert late.tolist() == pytest.approx((-0.02 * GRADIENT).tolist(), rel=1e-12)


def test_no_steps():
    with pytest.raises(ValueError, match="steps must be >= 1"):
        displacement(partial(SGD, lr=0.01), GRADIENT, 0)


def test_the_loss_after_training():
    """A parabola under SGD: the distance to its minimum is multiplied by 1 - 2 lr."""
    network = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(network.weight)

    def loss(model):
        return model.weight.square().sum()

    assert trained(network, loss, partial(SGD, lr=0.1), 3) == pytest.approx(0.8**6, rel=1e-14)
    assert trained(network, loss, partial(SGD, lr=1e9), 60) == math.inf
