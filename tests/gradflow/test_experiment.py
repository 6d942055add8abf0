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
    apart,
    curve,
    largest,
    lines,
    ratio_error,
    relative_error,
    size,
    theory,
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
        return ratio_error(
            torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
        )

    assert error([-6000.0], [-6000.0]) == 0
    assert error([math.log10(1.5)], [0.0]) == pytest.approx(0.5, rel=1e-14)
    assert error([-math.inf, 1.0], [-math.inf, 1.0]) == 0
    assert error([-math.inf], [0.0]) == 1
    assert math.isnan(error([math.nan], [0.0]))
    with pytest.raises(ValueError, match="shapes differ"):
        error([1.0], [1.0, 2.0])


def test_the_largest_of_some_gaps():
    assert largest([1.0, -3.0, 2.0]) == 3.0
    assert math.isnan(largest([1.0, math.nan, 2.0]))
    assert math.isnan(largest([]))


def test_apart_by_the_largest_element():
    true = torch.tensor([1e-300, 4.0], dtype=torch.float64)
    assert apart(true + torch.tensor([1.0, 0.0]), true) == 0.25
    assert apart(true, true) == apart(0 * true, 0 * true) == 0
    assert apart(true, 0 * true) == math.inf
    assert math.isnan(apart(true * math.nan, true))


def test_theory_is_named_once():
    found = theory([Line("a", [1], [2]), Line("b", [3], [4])], "closed form")
    assert found == [
        Line("closed form", [1], [2], theory=True),
        Line("", [3], [4], theory=True),
    ]


@dataclass(frozen=True)
class Sized(Draws):
    """With limits of each kind."""

    depth: int = size(5, "of it")
    width: int = size(8, "of it", multiple=8)
    gain: float = size(1.0, "of it", least=0.5, most=2.0, why="it blows up")
    lengths: tuple[int, ...] = size((4, 8), "of it", least=2)
    biases: tuple[float, ...] = size((0.0,), "of it", least=-math.inf)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": 0}, "depth must be >= 1, not 0"),
        ({"width": 12}, "width must be a multiple of 8, not 12"),
        ({"width": 0}, "width must be a multiple of 8, not 0"),
        ({"gain": 2.5}, r"gain must be 0.5 ... 2, not 2.5 \(it blows up\)"),
        ({"gain": math.nan}, "gain must be 0.5 ... 2, not nan"),
        ({"lengths": (4, 1)}, "lengths must be >= 2, not 1"),
        ({"lengths": ()}, "lengths must be one number or more"),
        ({"biases": (-3.0, -math.inf)}, "biases must be finite, not -inf"),
    ],
)
def test_sizes_have_limits(values, message):
    with pytest.raises(ValueError, match=message):
        Sized(**values)


def test_within_the_limits():
    one = Sized(depth=1, width=16, gain=0.5, lengths=(2,), biases=(-3.0, 4.0), seed=3)
    assert (one.depth, one.width, one.seed) == (1, 16, 3)


class Threads(Draws):
    """On how many threads?"""

    def measure(self):
        """Count them."""
        return Result([Reading("", "", 0, torch.get_num_threads())], [], [], "")


def test_one_thread_and_then_as_many_as_before():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert Threads().run().readings[0].value == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
