"""Optimizer: what is read, and sizes that are refused."""

import math

import pytest

from protcontact.gradflow.experiments.optimizer import POWERS, RULES, OptimizerExperiment

SMALL = {"depth": 2, "width": 4, "steps": 3}


def test_what_is_read():
    result = OptimizerExperiment(**SMALL).run()
    steps = {(r.where, r.index): r.value for r in result.readings if r.probe == "step"}
    for power in POWERS:
        assert steps["SGD", power] == pytest.approx(power - 3, abs=1e-12)
        assert steps["momentum 0.9", power] > steps["SGD", power] + 0.9
    assert steps["Adam", 0] == pytest.approx(-3, abs=1e-7)
    assert steps["Adam", -8] == pytest.approx(-3 + math.log10(0.5), abs=1e-7)


def test_every_block_is_read_once_for_each_rule():
    readings = OptimizerExperiment(**SMALL).run().readings
    assert len({(r.probe, r.where, r.index) for r in readings}) == len(readings)
    blocks = {(r.where, r.index) for r in readings if r.probe == "log10_ratio"}
    for rule in ("SGD", "Adam"):
        assert (f"BiLSTM, {rule}: embedding.letters", 0) in blocks
        assert (f"BiLSTM, {rule}: backward_lstms", 2) in blocks
        assert (f"sigmoid, {rule}: answer", 0) in blocks
        assert (f"sigmoid, {rule}: layers", 1) in blocks
    cosines = [r.value for r in readings if r.probe == "cos_grad" and "SGD" in r.where]
    assert cosines == pytest.approx([1.0] * len(cosines), abs=1e-9)  # SGD follows its gradient


def test_adam_trains_what_sgd_does_not_with_momentum_or_without():
    result = OptimizerExperiment(width=16, steps=300).run()
    losses = {(r.where, r.index): r.value for r in result.readings if r.probe == "loss"}
    guessing = losses["guessing", 0.0]
    best = {n: min(v for (where, _), v in losses.items() if where == n) for n in RULES}
    assert best["SGD"] > 0.99 * guessing
    assert best["momentum 0.9"] > 0.99 * guessing
    assert best["Adam"] < 0.5 * guessing


def test_the_first_step_of_sgd_is_what_vanishes():
    """A sigmoid takes three quarters at least, so seven layers leave less than 10^-3 of it."""
    readings = OptimizerExperiment(width=16, steps=1).run().readings
    ratios = {(r.where, r.index): r.value for r in readings if r.probe == "log10_ratio"}
    for rule, least, most in (("SGD", -6, -3), ("Adam", -1, 1)):
        fall = ratios[f"sigmoid, {rule}: layers", 0] - ratios[f"sigmoid, {rule}: layers", 7]
        assert least < fall < most


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_the_checks_see_another_optimizer(monkeypatch, rule):
    """One that moves every weight by a part in a billion too much."""
    make = RULES[rule].make
    other = RULES[rule]._replace(make=lambda lr: make(lr * (1 + 1e-9)))
    monkeypatch.setitem(RULES, rule, other)
    failed = [c.claim for c in OptimizerExperiment(**SMALL).run().checks if not c.holds]
    assert [claim.split(",")[0] for claim in failed] == [rule]


@pytest.mark.parametrize("name", ["depth", "width", "steps"])
def test_sizes_are_checked(name):
    with pytest.raises(ValueError, match="must be >= 1"):
        OptimizerExperiment(**{name: 0})
