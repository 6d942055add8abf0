"""Hooks fire on what is compiled."""

import pytest
import torch
from torch import nn

from protcontact.gradflow.eager import eagerly


def in_place():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].compile(backend="aot_eager")
    return model


def wrapped():
    return nn.Sequential(torch.compile(nn.Linear(2, 2), backend="aot_eager"))


@pytest.mark.parametrize("make", [in_place, wrapped])
def test_hooks_fire_on_a_model_that_was_compiled_and_run_before(make):
    model, seen = make(), []
    model(torch.ones(1, 2))
    inner = getattr(model[0], "_orig_mod", model[0])
    with eagerly(model):
        handle = inner.register_forward_hook(lambda *_: seen.append(1))
        model(torch.ones(1, 2))
        handle.remove()
    assert seen == [1]


def test_what_is_not_compiled_needs_nothing(monkeypatch):
    monkeypatch.delattr(torch.compiler, "set_stance")
    with eagerly(nn.Linear(2, 2)):
        pass
