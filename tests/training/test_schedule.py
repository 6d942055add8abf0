"""A rise, half a cosine, and the end."""

import math

import pytest

from protcontact.training.schedule import warmup_cosine


def test_schedule():
    factor = warmup_cosine(warmup=4, total=14, final=0.1)
    assert [factor(step) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert factor(4) == 1.0
    assert factor(9) == pytest.approx(0.55)  # half way: the mean of 1 and 0.1
    assert factor(14) == factor(100) == pytest.approx(0.1)
    assert warmup_cosine(2, math.inf, 0.0)(10**9) == 1.0
