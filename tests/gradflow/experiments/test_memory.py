"""Memory: curves of the networks, relative to distance 0, and sizes that are refused."""

import math

import pytest

from protcontact.gradflow.experiments.memory import KINDS, MemoryExperiment

SMALL = {"length": 60, "width": 8, "steps": 2}


def test_what_is_read_of_each_network():
    result = MemoryExperiment(**SMALL).run()
    wheres = {f"{name}, {state}" for name in KINDS for state in ("untrained", "trained")}
    curves = {
        w: [r for r in result.readings if r.where == w and r.probe == "log10_gradient"]
        for w in wheres
    }
    for where, readings in curves.items():
        assert [r.index for r in readings] == list(range(60)), where
        assert readings[0].value == 0
    reaches = {r.where: r.value for r in result.readings if r.probe == "reach_1e-3"}
    for where, readings in curves.items():
        below = [r.index for r in readings if r.value < -3]
        assert reaches[where] == (below[0] if below else 60)
    assert reaches["Transformer, untrained"] > 2 * reaches["RNN, tanh, untrained"]
    shares = [r.value for r in result.readings if r.probe == "accuracy"]
    assert len(shares) == len(KINDS) and all(0 <= share <= 1 for share in shares)
    assert all(math.isfinite(r.value) for r in result.readings if "RNN, tanh" in r.where)


@pytest.mark.parametrize("sizes", [{"length": 51}, {"width": 12}, {"width": 0}, {"steps": 0}])
def test_sizes_are_checked(sizes):
    with pytest.raises(ValueError, match="length must be >= 52"):
        MemoryExperiment(**sizes)
