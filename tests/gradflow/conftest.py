"""Closed forms are compared with all their digits, however small the numbers are."""

import pytest


@pytest.fixture(autouse=True)
def no_hidden_tolerance(monkeypatch):
    """`pytest.approx(x, rel=...)` would also allow 1e-12, a hundred times what some x are."""
    kind = type(pytest.approx(1.0))
    monkeypatch.setattr(kind, "DEFAULT_ABSOLUTE_TOLERANCE", 0.0)
    assert pytest.approx(2e-13, rel=1e-6) != 1e-13
