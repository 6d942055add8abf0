"""Optimizer: what is read, and sizes that are refused."""

import math

import pytest

from protcontact.gradflow.experiments.optimizer import POWERS, OptimizerExperiment

SMALL = {"depth": 2, "width": 4, "steps": 3}


def test_what_is_read():
    result = OptimizerExperiment(**SMALL).run()
    steps = {(r.where, r.index): r.value for r in result.readings if r.probe == "step"}
    for power in POWERS:
        assert steps["SGD", power] == pytest.approx(power - 3, abs=1e-12)
        assert steps["momentum 0.9", power] > steps["SGD", power] + 0.9
    assert steps["Adam", 0] == pytest.approx(-3, abs=1e-7)
    assert steps["Adam", -8] == pytest.approx(-3 + math.log10(0.5), abs=1e-7)
    names = [r.probe.removeprefix("block: ") for r in result.readings if "block: " in r.probe]
    assert names[0] == "embedding.letters" and "forward_lstms.2" in names
    for rule in ("SGD", "Adam"):
        ratios = [r.value for r in result.readings if (r.probe, r.where) == ("ratio", rule)]
        assert len(ratios) == len(names)


def test_adam_trains_what_sgd_does_not():
    result = OptimizerExperiment(depth=6, width=16, steps=500).run()
    losses = {(r.where, r.index): r.value for r in result.readings if r.probe == "loss"}
    best = {n: min(v for (where, _), v in losses.items() if where == n) for n in ("SGD", "Adam")}
    assert best["SGD"] > 0.95 * losses["chance", 0.0]
    assert best["Adam"] < 0.5 * losses["chance", 0.0]


@pytest.mark.parametrize("name", ["depth", "width", "steps"])
def test_sizes_are_checked(name):
    with pytest.raises(ValueError, match="must be >= 1"):
        OptimizerExperiment(**{name: 0})
