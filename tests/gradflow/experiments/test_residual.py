"""Identity paths: readings against autograd, the probe of training, and closed forms."""

import math

import pytest
import torch

from protcontact.gradflow.experiments.residual import ResidualExperiment
from protcontact.gradflow.probe import Step
from protcontact.gradflow.taps import IdentityShare
from protcontact.models.heads.resnet import ResNet

SMALL = {"depth": 20, "width": 8, "blocks": 3, "channels": 4, "length": 8}


@pytest.fixture(scope="module")
def result():
    return ResidualExperiment(depth=1000, width=16, blocks=6, channels=6, length=12).run()


def values(result, probe, where):
    return [r.value for r in result.readings if (r.probe, r.where) == (probe, where)]


def test_without_the_identity_a_thousand_layers_leave_nothing_and_with_it_all(result):
    plain = values(result, "log10_costate", "F(x)")
    assert len(plain) == 1001
    # log10 of the gain, less what a product of random matrices of width 16 loses to their spread
    assert plain[-1] == pytest.approx(
        -1000 * (math.log10(3) / 2 + 1 / (32 * math.log(10))), rel=0.1
    )
    assert abs(values(result, "log10_costate", "x + F(x) / sqrt(D)")[-1]) < 1
    assert values(result, "path_length", "x + F(x) / sqrt(D)")[-1] < 10


def head_by_autograd(skips):
    torch.manual_seed(0)
    head = ResNet(6, 6, 6, skips=skips).double().eval()
    x = torch.randn(1, 12, 6, dtype=torch.float64)
    maps = []
    head.features.register_forward_hook(lambda module, inputs, out: maps.append(out[0]))
    for block in head.blocks:
        block.register_forward_hook(lambda module, inputs, out: maps.append(out))
    logits = head(x, torch.ones(1, 12, dtype=torch.bool))
    return head, logits, torch.randn_like(logits), maps


@pytest.mark.parametrize(("skips", "where"), [(True, "with skips"), (False, "without skips")])
def test_costates_of_the_head_are_those_of_autograd(result, skips, where):
    _, logits, cotangent, maps = head_by_autograd(skips)
    costates = torch.autograd.grad(logits, maps, cotangent)
    logs = [float((g.norm() / costates[-1].norm()).log10()) for g in reversed(costates)]
    assert values(result, "log10_head_costate", where) == pytest.approx(logs, abs=1e-12)


def test_the_identity_share_is_that_of_the_probe_of_training(result):
    head, logits, cotangent, _ = head_by_autograd(True)
    probe = IdentityShare()
    with probe.attach(head):
        torch.manual_seed(0)
        ResNet(6, 6, 6)  # the same random numbers go to the weights
        x = torch.randn(1, 12, 6, dtype=torch.float64)
        logits = head(x, torch.ones(1, 12, dtype=torch.bool))
        (logits * cotangent).sum().backward()
        [pending] = probe.before_update(Step.__new__(Step))
    scalars = pending.read(pending.values[None]).scalars
    found = [scalars[f"resnet/blocks.{block}/identity_share"] for block in range(6)]
    assert values(result, "identity_share", "with skips") == pytest.approx(found, rel=1e-6)


def test_shares_of_paths_are_those_of_the_head(result):
    share = values(result, "path_share", "with skips")
    assert len(share) == 7
    assert sum(share) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("field", ["depth", "width", "blocks", "channels", "length"])
def test_sizes_that_are_too_small_are_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be >= "):
        ResidualExperiment(**{field: 0})


def test_one_layer_and_one_block():
    result = ResidualExperiment(depth=1, width=1, blocks=1, channels=2, length=4).run()
    assert len(values(result, "log10_costate", "F(x)")) == 2
