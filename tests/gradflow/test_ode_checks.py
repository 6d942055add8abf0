"""The closed forms hold, and they fail for a solver that is wrong."""

import pytest
import torch

from protcontact.gradflow import ode_checks
from protcontact.gradflow.ode import METHODS, euler
from protcontact.gradflow.ode_checks import (
    amplification_checks,
    complex_plane,
    linear_checks,
    skew_check,
)


def test_all_hold():
    checks = [*linear_checks(), *amplification_checks(), skew_check()]
    assert len(checks) == 2 + len(METHODS) + 1 + 1
    assert [check for check in checks if not check.holds] == []


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_wrong_step_is_found(monkeypatch, method):
    wrong = method._replace(step=lambda f, x, dt: method.step(f, x, dt) + 1e-3 * dt * f(x))
    monkeypatch.setattr(ode_checks, "METHODS", (wrong,))
    assert not amplification_checks()[0].holds


def test_an_error_that_is_not_linear_is_found(monkeypatch):
    wrong = METHODS[0]._replace(step=lambda f, x, dt: euler(f, x, dt) + 1e-6 * x**2)
    monkeypatch.setattr(ode_checks, "METHODS", (wrong,))
    assert not any(check.holds for check in linear_checks())


@pytest.mark.parametrize("points", [20, 21])
def test_no_point_of_the_plane_is_on_an_axis(points):
    z = complex_plane(points)
    assert z.shape[0] == z.shape[1] >= points
    assert float(torch.minimum(z.real.abs(), z.imag.abs()).min()) > 0.1
    assert torch.equal(z.real[0], z.imag[:, 0])
    torch.testing.assert_close(z, -z.flip(0, 1))
