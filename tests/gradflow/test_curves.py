"""Reach and slope of curves."""

import math

import pytest
import torch

from protcontact.gradflow.curves import reach, slope
from protcontact.gradflow.layers import log_slope


def test_reach_is_the_first_step_below():
    curves = torch.tensor(
        [
            [0.0, -1.0, -2.9, -3.1, -2.0, -4.0],
            [0.0, -1.0, -2.0, math.nan, math.nan, math.nan],
            [0.0, -1.0, -2.0, -2.5, -2.6, -2.7],
            [0.0, -math.inf, -math.inf, -math.inf, math.nan, math.nan],
            [math.nan] * 6,
        ]
    )
    assert reach(curves)[:4].tolist() == [3, 3, 6, 1]
    assert reach(curves)[4].isnan()
    assert reach(curves, drop=0.05)[:4].tolist() == [2, 2, 2, 1]


def test_slope_of_one_curve_is_that_of_log_slope():
    curve = torch.randn(1, 12, generator=torch.Generator().manual_seed(0)).double()
    curve[0, [3, 8]] = torch.tensor([math.nan, -math.inf]).double()
    values = [0.0 if not math.isfinite(v) else 10**v for v in curve[0].tolist()]
    assert float(slope(curve)) == pytest.approx(log_slope(values), rel=1e-12)


def test_slope_is_not_bent_by_curves_that_end():
    """Two parallel lines, the lower one short: their mean jumps up where it ends."""
    long = -0.1 * torch.arange(30).double()
    short = (long - 5).masked_fill(torch.arange(30) >= 4, math.nan)
    curves = torch.stack([long, short, torch.full_like(long, math.nan)])
    assert float(slope(curves)) == pytest.approx(-0.1, rel=1e-12)
    assert float(slope(curves.nanmean(dim=0, keepdim=True))) > -0.05
    assert slope(curves[:, :1]).isnan()
