"""The probe of gradient norms: before and after clipping, with and without a loss scale."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.layers import gradient_table, norms, trainable
from protcontact.gradflow.norms import GradientNorms
from protcontact.gradflow.probe import Findings, Step
from protcontact.gradflow.transfer import ship


def model_with_gradients(scale=1.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    (scale * model(torch.randn(5, 4).double()).square().sum()).backward()
    return model


def flat(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def found(model, clip=None, **scales):
    probe, step = GradientNorms(detail=True), Step(model, None, trainable(model), **scales)
    pending = probe.before_update(step)
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    found = ship(pending + probe.after_update(step)).read()
    scalars = {name: value for one in found for name, value in one.scalars.items()}
    [summary] = [one.summary for one in found if one.summary is not None]
    return Findings(scalars, summary=summary)


def test_before_and_after_clipping():
    model = model_with_gradients()
    norm = float(flat(model).norm())
    finding = found(model, clip=norm / 4)
    assert finding.scalars["global/norm_preclip"] == pytest.approx(norm, rel=1e-12)
    assert finding.scalars["global/norm_postclip"] == pytest.approx(norm / 4, rel=1e-6)
    assert finding.scalars["global/clip_coef"] == pytest.approx(0.25, rel=1e-6)
    assert finding.summary.norm == pytest.approx(norm, rel=1e-12)
    for block in ("0", "2"):
        before, after = (
            finding.scalars[f"layer/{block}/{name}"] for name in ("norm", "norm_postclip")
        )
        assert after == pytest.approx(before / 4, rel=1e-6)
    assert not any(name.startswith("amp/") for name in finding.scalars)


def test_what_the_gradients_still_carry_is_taken_off():
    """A fused optimizer unscales in its own step: until then the gradients are too large."""
    scale = torch.tensor(1024.0)
    plain = found(model_with_gradients())
    carried = found(model_with_gradients(1024.0), loss_scale=scale, scale=scale)
    taken_off = found(model_with_gradients(), loss_scale=scale)
    for scaled in (carried, taken_off):
        assert scaled.scalars["amp/scale"] == 1024.0
        assert scaled.scalars["amp/skipped"] == 0.0
        for name, value in plain.scalars.items():
            assert scaled.scalars[name] == pytest.approx(value, rel=1e-12), name


def test_a_step_that_is_skipped_is_counted():
    model = model_with_gradients()
    model[0].bias.grad[0] = math.inf
    finding = found(model, loss_scale=torch.tensor(2.0))
    assert finding.scalars["amp/skipped"] == 1.0
    assert finding.summary.offender == "0.bias"


def test_nothing_before_nothing_after():
    model = model_with_gradients()
    step, probe = Step(model, None, trainable(model)), GradientNorms()
    assert probe.after_update(step) == []
    probe.before_update(step)
    probe.forget()
    assert probe.after_update(step) == []


def test_a_vanished_gradient_still_has_a_norm():
    """In float32 its square is 0."""
    model = model_with_gradients().float()
    for p in model.parameters():
        p.grad = torch.full_like(p, 1e-30)
    size = sum(p.numel() for p in model.parameters())
    assert found(model).summary.norm == pytest.approx(1e-30 * math.sqrt(size), rel=1e-6)
    assert gradient_table(trainable(model).tensors).dtype == torch.float64


def test_without_detail_the_same_numbers_but_fewer():
    model = model_with_gradients()
    step, probe = Step(model, None, trainable(model)), GradientNorms()
    brief = ship(probe.before_update(step) + probe.after_update(step)).read()
    scalars = {name: value for one in brief for name, value in one.scalars.items()}
    detailed = found(model).scalars
    assert scalars == {name: detailed[name] for name in scalars}
    missing = {name.rpartition("/")[2] for name in detailed if name not in scalars}
    assert missing == {"rms", "max", "norm_postclip"}
    model[2].weight.grad[0, 0] = math.nan
    [finding] = ship(probe.before_update(step)).read()
    assert finding.summary.offender == "2.weight"


def by_norm(model):
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)


def by_value(model):
    nn.utils.clip_grad_value_(model.parameters(), 0.1)


def one_by_one(model):
    model[2].bias.grad *= 0.5


def by_replacing(model):
    for p in model.parameters():
        p.grad = p.grad * 0.5


def behind_the_back(model):
    for p in model.parameters():
        p.grad.data.mul_(0.5)


def postclip(clip, detail=False):
    model = model_with_gradients()
    step, probe = Step(model, None, trainable(model)), GradientNorms(detail)
    pending = probe.before_update(step)
    clip(model)
    found = ship(pending + probe.after_update(step)).read()
    scalars = {name: value for one in found for name, value in one.scalars.items()}
    return scalars["global/norm_postclip"], float(flat(model).norm())


@pytest.mark.parametrize("clip", [by_norm, by_value, one_by_one, by_replacing])
@pytest.mark.parametrize("detail", [True, False])
def test_whatever_writes_to_a_gradient_is_seen(clip, detail):
    logged, true = postclip(clip, detail)
    assert logged == pytest.approx(true, rel=1e-12)
    assert true < 0.999 * float(flat(model_with_gradients()).norm())


def test_what_is_written_behind_the_back_is_seen_only_with_detail():
    logged, true = postclip(behind_the_back, detail=True)
    assert logged == pytest.approx(true, rel=1e-12)
    assert postclip(behind_the_back)[0] == pytest.approx(2 * true, rel=1e-12)


def test_gradients_that_nobody_has_written_to_are_read_once(monkeypatch):
    read = []
    monkeypatch.setattr(
        "protcontact.gradflow.norms.norms", lambda tensors: read.append(tensors) or norms(tensors)
    )
    logged, true = postclip(lambda model: None)
    assert logged == pytest.approx(true, rel=1e-12)
    assert read == []
    postclip(by_norm)
    assert len(read) == 1
