"""Enhancer: the order of the networks, and how chrono biases are drawn."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.experiments.enhancer import EnhancerExperiment, chrono_initialise

SMALL = {"length": 2000, "width": 8}


def test_chrono_holds_what_others_lose():
    result = EnhancerExperiment(**SMALL).run()
    last = {r.where: r for r in result.readings if r.probe == "log10_gradient"}
    assert {r.index for r in last.values()} == {
        1999,
        2000,
    }  # attention has no state before the first
    assert last["RNN"].value < -100 and last["LSTM"].value < -100
    assert last["LSTM, chrono"].value > -6
    assert last["attention"].value > -3
    assert "RNN" in result.conclusion


@pytest.mark.parametrize("T", [3, 1000])
def test_chrono_biases(T):
    torch.manual_seed(0)
    lstm = nn.LSTM(2, 500, num_layers=2, batch_first=True)
    chrono_initialise(lstm, T)
    for layer in range(2):
        total = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        i, f, g, o = total.detach().chunk(4)
        assert float(f.min()) >= 0 and float(f.max()) <= math.log(T - 1) + 1e-6
        assert float(f.exp().mean()) == pytest.approx(T / 2, rel=0.1)
        assert torch.equal(i, -f) and not g.any() and not o.any()
    assert float(lstm.weight_hh_l0.detach().abs().max()) > 0


def test_sizes_are_checked():
    for sizes in ({"length": 99}, {"width": 1}):
        with pytest.raises(ValueError, match="length must be >= 100"):
            EnhancerExperiment(**sizes)
    with pytest.raises(ValueError, match="longest must be >= 3"):
        chrono_initialise(nn.LSTM(1, 1), 2)
