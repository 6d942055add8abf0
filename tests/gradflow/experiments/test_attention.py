"""Attention: what is flat, what grows, and sizes that are refused."""

import pytest
import torch
from torch import nn

from protcontact.gradflow.cost import floating_operations
from protcontact.gradflow.experiments.attention import (
    AttentionExperiment,
    _alike,
    _value,
    run_block,
)

SMALL = {"length": 80, "width": 32, "lengths": (16, 32, 64, 128)}


@pytest.mark.parametrize("maps", [True, False])
def test_uniform_attention_is_flat_for_every_pair(maps):
    """GRADFLOW's row: norm of W_V / L for every (i, j), spread 0; and on i = j the residual."""
    torch.manual_seed(0)
    L, block = 11, _alike(32)
    x = torch.randn(1, L, 32, dtype=torch.float64)
    whole = torch.autograd.functional.jacobian(lambda x: run_block(block, x, maps)[0], x)
    found = whole[:, :, 0].transpose(1, 2)  # (i, j, C, C)
    value = _value(block)
    norms = found.flatten(2).norm(dim=2)[~torch.eye(L, dtype=torch.bool)]
    flat = float(value.norm()) / L
    assert [float(norms.min()), float(norms.max())] == pytest.approx([flat, flat], rel=1e-14)
    true = value / L + torch.eye(L).double()[:, :, None, None] * torch.eye(32).double()
    torch.testing.assert_close(found, true.expand_as(found), rtol=1e-13, atol=1e-15)


def test_what_is_read():
    result = AttentionExperiment(**SMALL).run()
    last = {(r.probe, r.where): r for r in result.readings}
    assert last["log10_gradient", "attention"].value > -4
    assert last["log10_gradient", "LSTM"].value < -10
    maps = last["saved_bytes", "attention, maps shown"].value
    assert maps > 2 * last["saved_bytes", "attention, fused"].value
    assert last["operations", "LSTM"].index == 128
    assert not any(
        r.where == "attention, fused" for r in result.readings if r.probe == "operations"
    )


def test_a_network_that_costs_something_else_does_not_pass(monkeypatch):
    """The checks can fail: here one of the counts is not a polynomial."""
    monkeypatch.setattr(
        "protcontact.gradflow.experiments.attention.saved_bytes",
        lambda run: int(run.x.shape[1] ** 1.5) if isinstance(run.network, nn.LSTM) else 100,
    )
    claims = [check.claim for check in AttentionExperiment(**SMALL).run().checks if not check.holds]
    assert any("bytes held, LSTM" in claim for claim in claims)
    assert any("bytes held, fused" in claim for claim in claims)
    assert any(
        "of these c: 1 whole maps" in claim for claim in claims
    )  # a constant is a polynomial


@pytest.mark.parametrize("factor", [2, 3])
def test_the_checks_count_every_operation(monkeypatch, factor):
    monkeypatch.setattr(
        "protcontact.gradflow.experiments.attention.floating_operations",
        lambda run: factor * floating_operations(run) // 2,
    )
    failed = [check.claim for check in AttentionExperiment(**SMALL).run().checks if not check.holds]
    assert [claim for claim in failed if claim.startswith("operations")] == (
        [] if factor == 2 else failed
    )
    assert len(failed) == (0 if factor == 2 else 2)


@pytest.mark.parametrize(
    "sizes", [{"length": 1}, {"width": 40}, {"lengths": (8, 16, 32)}, {"lengths": (8, 16, 32, 60)}]
)
def test_sizes_are_checked(sizes):
    with pytest.raises(ValueError, match="must be"):
        AttentionExperiment(**sizes)
