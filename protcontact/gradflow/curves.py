"""What does a curve of a gradient by distance say in one number: its slope, and its reach?"""

import math

import torch
from torch import Tensor


def reach(curves: Tensor, drop: float = 1e-3) -> Tensor:
    """``(B, D) -> (B,)``: steps until a costate first falls below `drop` of that at distance 0.

    Curves are log10, from `propagate`. The length of a curve that never does; NaN if it is empty.
    """
    length = (~curves.isnan()).sum(dim=1, keepdim=True)
    place = torch.arange(curves.shape[1], device=curves.device)
    first = torch.where(curves < math.log10(drop), place, length).amin(dim=1)
    return torch.where(length[:, 0] > 0, first.double(), math.nan)


def slope(curves: Tensor) -> Tensor:
    """``(B, D) -> ()``: decades per step by least squares: one slope, an intercept per curve.

    So a curve that ends early does not bend the slope of the others. Values that are not finite are
    left out; NaN if no curve has two that are.
    """
    place = torch.arange(curves.shape[1], device=curves.device).expand_as(curves)
    points = torch.stack([place.double(), curves.double()])
    points = torch.where(curves.isfinite(), points, math.nan)
    x, y = (points - points.nanmean(dim=2, keepdim=True)).nan_to_num(0.0)
    return (x * y).sum() / (x * x).sum()
