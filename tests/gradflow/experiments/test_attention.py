"""Attention: what is flat, what grows, and sizes that are refused."""

import pytest
import torch
from torch import nn

from protcontact.gradflow.experiments.attention import AttentionExperiment, Blocks
from protcontact.models.encoders.transformer import Transformer

SMALL = {"length": 80, "width": 32, "lengths": (16, 32, 64, 128)}


def test_blocks_are_those_of_the_encoder():
    torch.manual_seed(0)
    encoder = Transformer(16, layers=2, heads=4).double()
    tokens = torch.randint(0, 20, (2, 9))
    true = encoder(tokens, tokens >= 0)
    for maps in (True, False):
        found = Blocks(encoder, maps)(encoder.embedding(tokens))
        torch.testing.assert_close(found, true, rtol=1e-12, atol=1e-13)


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


@pytest.mark.parametrize(
    "sizes", [{"length": 1}, {"width": 40}, {"lengths": (8, 16, 32)}, {"lengths": (8, 16, 32, 60)}]
)
def test_sizes_are_checked(sizes):
    with pytest.raises(ValueError, match="length"):
        AttentionExperiment(**sizes)
