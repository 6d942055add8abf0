"""Activations: the measured decay against the closed forms."""

import math

import pytest
import torch

from protcontact.gradflow.experiments.activation import KINDS, ActivationExperiment
from protcontact.gradflow.stacks import stack

SMALL = {"depth": 10, "width": 16}


def last(result, name):
    return [r.value for r in result.readings if r.where == name][-1]


def test_a_sigmoid_loses_at_least_three_quarters_and_he_keeps_the_norm():
    result = ActivationExperiment(depth=20, width=64).run()
    assert {r.where for r in result.readings} == set(KINDS)
    assert last(result, "sigmoid, Xavier") < 20 * math.log10(0.25) + 2  # s_max of W is about 2
    assert last(result, "ReLU, He") == pytest.approx(0, abs=1.5)
    assert last(result, "ReLU, Xavier") == pytest.approx(20 * math.log10(0.5) / 2, abs=1.5)


@pytest.mark.parametrize("depth", [1, 3])
def test_readings_go_from_the_output_to_the_input(depth):
    result = ActivationExperiment(depth=depth, width=8).run()
    assert [r.index for r in result.readings if r.where == "ReLU, He"] == list(range(depth + 1))
    assert all(r.value == 0 for r in result.readings if r.index == 0)


@pytest.mark.parametrize("depth", [1, 7, 60])
def test_a_chain_of_sigmoids_at_zero_is_exactly_a_quarter_to_the_depth(depth):
    layers = stack(depth, 1, torch.sigmoid)
    for layer in layers:
        torch.nn.init.ones_(layer.linear.weight)
        torch.nn.init.constant_(layer.linear.bias, -0.5)  # so that each pre-activation is 0
    x = torch.full((1,), 0.5, dtype=torch.float64).requires_grad_()
    layers(x).backward()
    assert float(x.grad) == 0.25**depth


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_a_chain_of_relus_lets_all_through_or_nothing(weight):
    layers = stack(60, 1, torch.relu)
    for layer in layers:
        torch.nn.init.constant_(layer.linear.weight, weight)
    x = torch.ones(1, dtype=torch.float64).requires_grad_()
    layers(x).backward()
    assert float(x.grad) == (1.0 if weight > 0 else 0.0)
