"""The closed forms hold, and fail for what is wrong."""

import pytest

from protcontact.gradflow import adjoint_checks
from protcontact.gradflow.adjoint_checks import linear_quadratic_checks, map_checks
from protcontact.gradflow.systems import henon


@pytest.mark.parametrize("steps", [16, 50])
def test_optima(steps):
    checks = linear_quadratic_checks(steps)
    assert len(checks) == 3
    assert [check for check in checks if not check.holds] == []


def test_maps():
    checks = map_checks()
    assert len(checks) == 5
    assert [check for check in checks if not check.holds] == []


def test_another_map_is_found(monkeypatch):
    monkeypatch.setattr(adjoint_checks, "henon", lambda: henon(b=0.2999))
    first, second, *_ = map_checks()
    assert not first.holds
    assert second.holds


def test_another_cost_is_found(monkeypatch):
    def cheaper(A, B, energy, *others):
        return solved(A, B, 0.999 * energy, *others)

    solved = adjoint_checks.linear_quadratic
    monkeypatch.setattr(adjoint_checks, "linear_quadratic", cheaper)
    assert not any(check.holds for check in linear_quadratic_checks(16)[1:])
