"""Ill networks are named, healthy ones are not."""

import pytest
import torch
from torch import nn

from protcontact.gradflow.alarm import dead_units, diagnose
from protcontact.gradflow.layers import gradient_table, summarize, trainable


def summary(model, inputs):
    torch.manual_seed(1)
    model(inputs).square().sum().backward()
    parameters = trainable(model)
    return summarize(gradient_table(parameters.tensors), parameters.names, parameters.sizes)


def stack(depth, activation):
    torch.manual_seed(0)
    layers = [part for _ in range(depth) for part in (nn.Linear(16, 16), activation())]
    return nn.Sequential(*layers, nn.Linear(16, 1))


def test_a_deep_sigmoid_stack_vanishes():
    """A sigmoid passes at most a quarter: thirty of them leave less than 1e-18."""
    found = diagnose(summary(stack(30, nn.Sigmoid), torch.randn(8, 16)))
    assert found.title == "vanishing gradient"
    assert "the rms in 0 is" in found.text
    assert "residual" in found.text


def test_a_recurrence_with_large_weights_explodes():
    class Recurrence(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.inner = nn.Linear(16, 16)
            self.outer = nn.Linear(16, 1)
            nn.init.normal_(self.inner.weight, std=0.8)

        def forward(self, x):
            for _ in range(40):
                x = torch.relu(self.inner(x))
            return 1e-6 * self.outer(x)

    found = diagnose(summary(Recurrence(), torch.randn(8, 16)))
    assert found.title == "exploding gradient"
    assert "gradient_clip_val" in found.text


def test_a_planted_nan_is_named():
    model = stack(3, nn.ReLU)
    with torch.no_grad():
        model[6].weight[0, 0] = float("nan")
    found = diagnose(summary(model, torch.randn(8, 16)))
    assert found.title == "non-finite gradient"
    assert "the first is 0.weight" in found.text  # what it poisons on its way back


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
def test_a_shallow_stack_is_healthy(activation):
    assert diagnose(summary(stack(3, activation), torch.randn(8, 16))) is None


def test_dead_units_are_named_but_one_reading_is_not_enough():
    found = dead_units({"a": 0.1, "b": 0.75}, 0.5)
    assert "75% of the units in b" in found.text
    assert not found.sure
    assert dead_units({"a": 0.5}, 0.5) is None
    assert dead_units({}) is None


def test_a_layer_that_starts_at_zero_is_not_ill_at_once():
    """It lets nothing through until it has moved."""
    model = stack(2, nn.ReLU)
    nn.init.zeros_(model[4].weight)
    found = diagnose(summary(model, torch.randn(8, 16)))
    assert found.title == "vanishing gradient"
    assert not found.sure
    assert diagnose(summary(stack(30, nn.Sigmoid), torch.randn(8, 16))).sure
