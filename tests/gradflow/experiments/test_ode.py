"""Solvers and an RNN: readings against loops, and what the picture must show."""

import math

import pytest
import torch

from protcontact.gradflow.experiments.ode import BACK, ON, PROBLEMS, OdeExperiment
from protcontact.gradflow.ode import METHODS, heun

SMALL = {"steps": 60, "halvings": 1, "grid": 20, "hidden": 8, "residues": 8}


@pytest.fixture(scope="module")
def result():
    return OdeExperiment(**SMALL | {"residues": 20}).run()


def values(result, probe, where):
    return [r.value for r in result.readings if (r.probe, r.where) == (probe, where)]


def test_errors_are_those_of_a_loop(result):
    problem = PROBLEMS[0]
    steps, dt = 120, problem.duration / 120
    solution = problem.solution(steps)
    x = solution[0]
    logs = [-math.inf]
    for k in range(steps):
        x = heun(problem.field, x, dt)
        logs.append(float((x - solution[k + 1]).norm().log10()))
    assert values(result, "log10_error", "van der Pol, Heun") == pytest.approx(logs, abs=1e-9)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_propagated_errors_are_the_errors(result, problem):
    for method in METHODS:
        where = f"{problem.name}, {method.name}"
        assert len(values(result, "largest_error", where)) == 2
        e, added = (values(result, f"log10_{p}", where)[-1] for p in ("error", "propagated"))
        assert e == pytest.approx(added, abs=0.2 if method.order == 1 else 0.01)


def test_implicit_solvers_are_stable_where_explicit_ones_are_not(result):
    left = {m.name: values(result, "amplification_real_axis", m.name)[0] for m in METHODS}
    assert {name for name, size in left.items() if size <= 1} == {
        "implicit Euler",
        "Crank-Nicolson",
    }
    turning = values(result, "amplification_imaginary_axis", "Crank-Nicolson")
    assert turning == pytest.approx([1] * len(turning), abs=1e-15)


def test_gradient_and_error_vanish_alike(result):
    back, on = (values(result, "log10_travel", where) for where in (BACK, ON))
    assert len(back) == 21
    assert len(on) == 20
    assert back == pytest.approx(values(result, "log10_backpropagated", "nn.RNN"), abs=1e-12)
    assert on[-1] / 19 == pytest.approx(back[-1] / 20, abs=0.1)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"steps": 10, "halvings": 3}, r"steps \* 2\^halvings must be >= 100"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"steps": 200, "halvings": 0}, "halvings must be >= 1"),
        ({"grid": 19}, "grid must be >= 20"),
        ({"hidden": 7}, "hidden must be >= 8"),
        ({"residues": 7}, "residues must be >= 8"),
    ],
)
def test_sizes_that_are_too_small_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        OdeExperiment(**sizes)


def test_holds_for_other_random_numbers():
    result = OdeExperiment(**SMALL, seed=1).run()
    assert [check for check in result.checks if not check.holds] == []
    assert torch.tensor(values(result, "log10_travel", BACK)).isfinite().all()
