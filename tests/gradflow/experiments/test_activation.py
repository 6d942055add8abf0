"""Activations: the measured decay against the closed forms."""

import math

import pytest

from protcontact.gradflow.experiments.activation import KINDS, ActivationExperiment

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
