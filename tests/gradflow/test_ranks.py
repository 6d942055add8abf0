"""Agreement and noise scale against gradients whose mean and noise are known."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.layers import trainable
from protcontact.gradflow.probe import Step
from protcontact.gradflow.ranks import RankAgreement, noise


def squares(gradients):
    """Squared norm of each rank's gradient and of their mean."""
    return gradients.square().sum(dim=1).tolist(), float(gradients.mean(dim=0).square().sum())


def test_equal_gradients_agree_without_noise():
    found = noise(*squares(torch.ones(4, 3).double()))
    assert found == {"agreement": pytest.approx(1.0), "noise_scale": pytest.approx(0.0, abs=1e-12)}


def test_orthogonal_gradients_do_not_agree():
    found = noise(*squares(torch.eye(4).double()))
    assert found["agreement"] == pytest.approx(0.0, abs=1e-12)


def test_agreement_is_the_mean_inner_product_of_two_ranks():
    torch.manual_seed(0)
    gradients = torch.randn(5, 7).double() + 0.5
    products = gradients @ gradients.T
    apart = (products.sum() - products.trace()) / 20
    expected = float(apart / (products.trace() / 5))
    assert noise(*squares(gradients))["agreement"] == pytest.approx(expected, rel=1e-12)


def test_the_noise_scale_is_that_of_a_known_distribution():
    """tr(covariance) / |mean|^2, estimated without bias: the mean over many trials finds it."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.full((10,), 4.0).double()  # |mean|^2 = 160
    true, variance = [], []
    for _ in range(4000):
        drawn = mean + 3 * torch.randn(4, 10, generator=generator).double()  # trace 90
        own, of_mean = squares(drawn)
        found = noise(own, of_mean)
        true.append(found["agreement"] * sum(own) / 4)
        variance.append(found["noise_scale"] * true[-1])
    assert sum(true) / 4000 == pytest.approx(160, rel=0.02)
    assert sum(variance) / 4000 == pytest.approx(90, rel=0.02)


def test_without_a_true_gradient_there_is_no_scale():
    assert math.isnan(noise([1.0, 1.0], 0.0)["noise_scale"])
    assert math.isnan(noise([0.0, 0.0], 0.0)["agreement"])


def test_one_process_has_nobody_to_agree_with():
    model, probe = nn.Linear(2, 1), RankAgreement()
    probe.connect(model)
    with probe.attach(model):
        model(torch.ones(1, 2)).sum().backward()
        assert probe.before_update(Step(model, None, trainable(model))) == []


def test_a_second_communication_hook_is_left_alone(monkeypatch):
    class Wrapped(nn.Module):
        process_group = None

        def register_comm_hook(self, state, hook):
            raise RuntimeError("register_comm_hook can only be called once.")

    monkeypatch.setattr("protcontact.gradflow.ranks.DistributedDataParallel", Wrapped)
    with pytest.warns(UserWarning, match="measures nothing"):
        RankAgreement().connect(Wrapped())


def test_a_step_of_several_reductions_is_not_measured():
    model, probe = nn.Linear(2, 1), RankAgreement()
    model(torch.ones(1, 2)).sum().backward()
    step = Step(model, None, trainable(model), ranks=2)
    for passes, number in ((1, 1), (2, 0)):
        with probe.attach(model):
            probe._squares, probe._passes = [torch.ones(1).double()] * passes, passes
            assert len(probe.before_update(step)) == number
