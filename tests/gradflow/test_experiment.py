"""What an experiment says: readings, checks, errors."""

import math
from dataclasses import dataclass

import pytest
import torch

from protcontact.figures.panels import Line
from protcontact.gradflow.experiment import (
    Check,
    Experiment,
    Reading,
    Result,
    curve,
    lines,
    ratio_error,
    relative_error,
)


@dataclass(frozen=True)
class Draws(Experiment):
    """A random number."""

    def measure(self):
        """Draw."""
        number = float(torch.rand(()))
        return Result([Reading("draw", "", 0, number)], [Check("0 <= x", -number, 0)], [], "A. B.")


def test_the_seed_decides_and_the_random_numbers_stay_as_they_were():
    before = torch.random.get_rng_state()
    one, two, three = (Draws(seed=seed).run().readings for seed in (1, 1, 2))
    assert one == two != three
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_check_that_is_not_a_number_fails():
    assert Check("", 1e-3, 1e-3).holds
    assert not Check("", 1.1e-3, 1e-3).holds
    assert not Check("", math.nan, 1e-3).holds
    holds = [Result([], [Check("", error, 1.0)], [], "").holds for error in (0.5, 2.0)]
    assert holds == [True, False]


def test_curves_become_readings_and_readings_lines():
    readings = curve("p", "a", [5.0, 6.0]) + curve("p", "b", [7.0], [3]) + curve("q", "a", [8.0])
    assert readings[2] == Reading("p", "b", 3.0, 7.0)
    assert lines(readings, "p") == [Line("a", [0.0, 1.0], [5.0, 6.0]), Line("b", [3.0], [7.0])]
    with pytest.raises(ValueError, match="zip"):
        curve("p", "a", [1.0, 2.0], [0])


def test_relative_error():
    def error(a, b):
        return relative_error(torch.tensor(a), torch.tensor(b))

    assert error([1.0, 2.2], [1.0, 2.0]) == pytest.approx(0.1, rel=1e-6)
    assert error([0.5, 1.0], [0.0, 1.0]) == 0.5
    assert error([math.inf], [math.inf]) == 0
    assert error([math.inf], [1.0]) == math.inf
    for nan in ([math.nan], [1.0]), ([1.0], [math.nan]):
        assert math.isnan(error(*nan))
    with pytest.raises(ValueError, match="shapes differ"):
        error([1.0], [1.0, 2.0])


def test_errors_of_logarithms():
    def error(a, b):
        return ratio_error(torch.tensor(a).double(), torch.tensor(b).double())

    assert error([-6000.0], [-6000.0]) == 0
    assert error([math.log10(1.5)], [0.0]) == pytest.approx(0.5, rel=1e-6)
    assert error([-math.inf, 1.0], [-math.inf, 1.0]) == 0
    assert error([-math.inf], [0.0]) == 1
    assert math.isnan(error([math.nan], [0.0]))
