"""A probe that overrides nothing does nothing, and records hold what they say."""

import torch
from torch import nn

from protcontact.gradflow.layers import trainable
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe


def test_a_probe_that_overrides_nothing_does_nothing():
    model = nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    step, probe = Step(model, None, trainable(model)), StepProbe()
    probe.connect(model)
    with probe.attach(model):
        assert not model._forward_hooks
    assert probe.before_update(step) == probe.after_update(step) == []
    assert not probe.runs_model


def test_defaults():
    assert Findings() == Findings({}, {}, None)
    assert not Pending(torch.ones(1), lambda rows: Findings()).joined
    step = Step(nn.Linear(1, 1), None, trainable(nn.Linear(1, 1)))
    assert (step.loss_scale, step.scale, step.ranks) == (1.0, 1.0, 1)
