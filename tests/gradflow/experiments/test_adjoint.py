"""Costates, an optimal control and exponents: readings against slow twins."""

import math

import pytest
import torch

from protcontact.gradflow.experiments.adjoint import TRANSIENT, AdjointExperiment

SMALL = {"length": 30, "hidden": 6, "controls": 24, "orbit": 1000, "gains": (0.5, 2.0)}


@pytest.fixture(scope="module")
def result():
    return AdjointExperiment(**SMALL | {"length": 60}).run()


def values(result, probe, where):
    return [r.value for r in result.readings if (r.probe, r.where) == (probe, where)]


@pytest.mark.parametrize("where", ["nn.RNN", "nn.LSTM"])
def test_costates_are_torchs_gradients(result, where):
    found, true = (values(result, f"log10_{p}", where) for p in ("costate", "backpropagated"))
    assert len(found) == 61
    assert found[0] == 0
    assert found == pytest.approx(true, abs=1e-12)
    assert found[-1] < -5  # untrained, both forget


def test_differences_fall_as_squares(result):
    for where in ("first state", "torques"):
        gaps = values(result, "difference_error", where)
        assert gaps[0] / gaps[4] == pytest.approx(1e4, rel=0.1)  # h = 0.1 and 0.001


def test_the_pendulum_swings_back_first_and_ends_upright(result):
    angle = values(result, "swing", "angle / pi")
    assert angle[0] == 0
    assert angle[-1] == pytest.approx(1, abs=0.01)
    assert min(angle) < -0.1
    assert max(map(abs, values(result, "swing", "torque u"))) < 1  # too weak to lift it at once


def test_the_torque_is_minus_the_costate_up_to_the_step(result):
    torque, pull = values(result, "swing", "torque u"), values(result, "swing_costate", "-lambda_2")
    dt = 8 / 24
    assert torque == pytest.approx(pull, abs=dt**2)


def test_exponents_are_the_rates_of_the_gradient(result):
    [low, high], slopes = (
        [r.value for r in result.readings if r.probe == probe]
        for probe in ("largest_exponent", "gradient_slope")
    )
    assert low < high
    assert [low, high] == pytest.approx(slopes, abs=10 / (400 - TRANSIENT))
    found = values(result, "exponent", "gain 0.5")
    assert len(found) == 6
    assert found[0] == low
    assert math.isclose(max(found), low)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"length": 0}, r"length must be 1 \.\.\. 1000"),
        ({"length": 1001}, "leave the range of floats"),
        ({"hidden": 0}, "hidden must be >= 1"),
        ({"controls": 15}, "controls must be >= 16"),
        ({"orbit": 10 * TRANSIENT - 1}, "orbit must be >= 1000"),
        ({"gains": ()}, "gains must be one number or more"),
        ({"gains": (1.0, -1.0)}, "gains must be 0.01 ... 4, not"),
        ({"gains": (1.0, 4.1)}, "tanh saturates"),
        ({"gains": (float("nan"),)}, "gains must be 0.01 ... 4, not"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        AdjointExperiment(**sizes)


def test_holds_for_other_random_numbers():
    result = AdjointExperiment(**SMALL, seed=1).run()
    assert [check for check in result.checks if not check.holds] == []
    assert torch.tensor([r.value for r in result.readings]).isfinite().all()


def test_one_unit_and_one_residue():
    result = AdjointExperiment(**SMALL | {"hidden": 1, "length": 1}).run()
    assert [check for check in result.checks if not check.holds] == []


def test_the_longest_chain_leaves_more_than_the_square_root_of_the_smallest_float():
    """Norms were compared there, and the squares of their elements are 0."""
    result = AdjointExperiment(**SMALL | {"length": 1000, "hidden": 16, "gains": (1.0,)}).run()
    assert values(result, "log10_costate", "nn.RNN")[-1] < -170
    assert [check for check in result.checks if not check.holds] == []


def test_steep_gains_alone_hold_as_far_as_their_conditioning_allows():
    result = AdjointExperiment(**SMALL | {"gains": (4.0,), "hidden": 16}).run()
    assert [check for check in result.checks if not check.holds] == []
