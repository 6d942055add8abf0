"""Stacks of layers: initialisation and the identity."""

import math

import pytest
import torch

from protcontact.gradflow.stacks import StackLayer, stack


def test_a_layer_is_what_it_says():
    torch.manual_seed(0)
    x = torch.randn(5, 8).double()
    plain = StackLayer(8, torch.tanh)
    assert torch.equal(plain(x), torch.tanh(x @ plain.linear.weight.mT))  # bias 0
    residual = StackLayer(8, torch.tanh, identity=True, scale=0.5)
    residual.load_state_dict(plain.state_dict())
    assert torch.equal(residual(x), x + 0.5 * plain(x))
    assert (plain.residual, residual.residual) == (False, True)


@pytest.mark.parametrize("gain", [1.0, math.sqrt(2)])
def test_gain(gain):
    torch.manual_seed(0)
    layers = stack(20, 64, torch.tanh, gain=gain)
    weights = torch.stack([layer.linear.weight for layer in layers])
    assert len(layers) == 20
    assert float(weights.detach().std()) == pytest.approx(
        gain / 8, rel=0.02
    )  # 82,000 numbers: 0.25 %
