"""Gates: what the experiment says of each, and sizes that are refused."""

import math

import pytest
import torch

from protcontact.gradflow.experiments import gates
from protcontact.gradflow.experiments.gates import (
    CHRONO,
    GatesExperiment,
    _still,
    _through_the_door,
)
from protcontact.gradflow.gates import first_run
from protcontact.gradflow.recurrence import adjoint_scan

SMALL = {"length": 30, "width": 4}


def test_what_is_read():
    result = GatesExperiment(**SMALL).run()
    last = {(r.probe, r.where): r.value for r in result.readings}
    assert last["belt", CHRONO] == pytest.approx(29 * math.log10(29 / 30), abs=1e-12)
    assert last["full", "a bias of 6"] > last["full", "a bias of 0"] + 3
    alone = [
        last["forget gates alone", name]
        for name in ("a bias of 0", "a bias of 2", "a bias of 6", "chrono biases")
    ]
    assert alone[0] < alone[1] < min(alone[2:])
    assert last["f_mean", "a bias of 6"] > 0.99


@pytest.mark.parametrize("length", [3, 10, 100])
def test_no_number_is_read_twice(length):
    """1 - 1/T was a forget gate that others had too, for T = 10, 100 and 1,000."""
    readings = GatesExperiment(length=length, width=2).run().readings
    assert len({(r.probe, r.where, r.index) for r in readings}) == len(readings)


def test_the_checks_see_a_gate_that_is_off_in_its_last_bits(monkeypatch):
    monkeypatch.setattr("protcontact.gradflow.experiments.gates._gate", lambda layer: 0.9 + 2e-15)
    failed = [check.claim for check in GatesExperiment(**SMALL).run().checks if not check.holds]
    assert any("f = 0.9, W = 0" in claim for claim in failed)
    assert any("stand at f" in claim for claim in failed)


def test_the_checks_see_a_bias_in_the_wrong_gate(monkeypatch):
    """The forget bias given to the input gate: f is one half, whatever was asked."""
    still = gates._still

    def swapped(length, width, *, forget, output=0.0):
        return still(length, width, forget=0.0, output=output)

    monkeypatch.setattr(gates, "_still", swapped)
    failed = [check.claim for check in GatesExperiment(**SMALL).run().checks if not check.holds]
    assert any("stand at f" in claim for claim in failed)
    assert any("log(T - 1)" in claim for claim in failed)


def test_a_hook_on_the_fused_layer_does_not_see_the_costate():
    """It sees what the loss sends there; what time sends must be computed."""
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(4, 4, batch_first=True).double()
    x = torch.randn(1, 12, 4).double()
    output, _ = lstm(x)
    output.retain_grad()
    output[:, -1].sum().backward()
    assert not output.grad[:, :-1].any()
    direct = torch.zeros(1, 12, 8, dtype=torch.float64)
    direct[:, -1, :4] = 1.0
    with torch.no_grad():
        assert bool((adjoint_scan(first_run(lstm.all_weights[0], x), direct).h != 0).all())


@pytest.mark.parametrize("output", [-5.0, -10.0, -20.0])
def test_a_closed_output_gate_blocks_the_gradient(output):
    """GRADFLOW's row: to an ulp or two of the number itself, not of its logarithm."""
    f, steps = 0.9, 10
    layer = _still(steps + 1, 1, forget=math.log(f / (1 - f)), output=output)
    direct = torch.zeros(1, steps + 1, 2, dtype=torch.float64)
    direct[:, -1, 0] = 1.0
    with torch.no_grad():
        found = float(adjoint_scan(layer, direct).c[0, 0, 0])
    opened, c = 1 / (1 + math.exp(-output)), float(layer.cells[0, -1, 0])
    true = opened * (1 - math.tanh(c) ** 2) * f**steps
    assert found == pytest.approx(true, rel=2e-15)
    measured, closed = _through_the_door(3, output, steps)
    assert measured == found
    assert closed == pytest.approx(true, rel=2e-15)


@pytest.mark.parametrize("T", [10, 100])
def test_chrono_bias_leaves_one_part_in_e(T):
    layer = _still(T + 1, 1, forget=math.log(T - 1))
    direct = torch.zeros(1, T + 1, 2, dtype=torch.float64)
    direct[:, -1, 1] = 1.0
    with torch.no_grad():
        found = float(adjoint_scan(layer, direct).c[0, 0, 0])
    assert found == pytest.approx(((T - 1) / T) ** T, rel=3e-15)
    assert abs(found - 1 / math.e) < 1 / T


@pytest.mark.parametrize("sizes", [{"length": 2}, {"width": 0}, {"biases": ()}])
def test_sizes_are_checked(sizes):
    with pytest.raises(ValueError, match="must be"):
        GatesExperiment(**sizes)
