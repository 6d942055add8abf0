"""Enhancer: the order of the networks, and how chrono biases are drawn."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.experiments import enhancer
from protcontact.gradflow.experiments.enhancer import EnhancerExperiment

SMALL = {"length": 2000, "width": 8}


def test_chrono_and_attention_hold_what_others_lose():
    result = EnhancerExperiment(**SMALL).run()
    curves = {}
    for r in result.readings:
        if r.probe == "log10_gradient":
            curves.setdefault(r.where, []).append((r.index, r.value))
    for curve in curves.values():
        assert [d for d, _ in curve[:100]] == list(range(100)) and curve[-1][0] == 1999
        assert curve[0][1] == 0
    last = {name: curve[-1][1] for name, curve in curves.items()}
    assert last["RNN"] < -100 and last["LSTM"] < -100
    assert last["LSTM, chrono"] > -6
    flat = [v for _, v in curves["attention"][1:]]
    assert max(flat) - min(flat) < 1 and -4 < min(flat) < -1  # 1/T of what the last base has
    reaches = {r.where: r.value for r in result.readings if r.probe == "reach_1e-3_of_neighbour"}
    assert reaches["RNN"] < 30 and reaches["LSTM"] < 40
    assert reaches["LSTM, chrono"] == reaches["attention"] == 2000
    assert result.conclusion.count(". ") == 1


def test_curves_are_those_of_plain_autograd():
    torch.manual_seed(0)
    x = torch.randn(1, 40, 4, dtype=torch.float64)
    lstm = nn.LSTM(4, 3, batch_first=True).double()
    leaf, state = x.clone().requires_grad_(), torch.random.get_rng_state()
    found = enhancer._recurrent(lstm, x)
    torch.random.set_rng_state(state)
    (true,) = torch.autograd.grad(lstm(leaf)[0][:, -1], leaf, enhancer._signs(1, 3))
    torch.testing.assert_close(10**found, true[0].norm(dim=1).flip(0), rtol=1e-12, atol=0)

    attention, sent = nn.MultiheadAttention(4, 1, batch_first=True).double(), enhancer._signs(1, 4)
    (true,) = torch.autograd.grad(attention(leaf, leaf, leaf)[0][:, -1], leaf, sent)
    found = enhancer._last_row(attention, x, sent)
    torch.testing.assert_close(10**found, true[0].norm(dim=1).flip(0), rtol=1e-12, atol=0)


def test_checks_notice_a_gradient_that_is_wrong(monkeypatch):
    """A millionth at every step."""
    true = enhancer.long_memory

    def wrong(*args):
        found = true(*args)
        steps = torch.arange(found.curve.shape[1]) * math.log10(1 + 1e-6)
        return found._replace(curve=found.curve + steps, scale=found.scale + steps[-1])

    monkeypatch.setattr(enhancer, "long_memory", wrong)
    held = [check.holds for check in EnhancerExperiment(**SMALL).run().checks]
    assert held == [False, True, False, False, True]  # the second is of first order, the last apart


def test_sizes_are_checked():
    for sizes in ({"length": 99}, {"width": 1}):
        with pytest.raises(ValueError, match="must be >= (100|2), not"):
            EnhancerExperiment(**sizes)
