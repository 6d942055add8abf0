"""Moments of a map: value and derivatives of every order are those of the plain sums."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual

from protcontact.models.moments import moments


def maps(dtype=torch.float64):
    torch.manual_seed(0)
    cells = torch.zeros(2, 4, 4, 1, dtype=torch.bool)
    cells[0] = cells[1, :2, :3] = True
    z = (torch.randn(2, 4, 4, 3, dtype=torch.float64) + 1) * cells
    return z.to(dtype).requires_grad_(), cells, cells.sum(dim=(1, 2)).double()


def test_moments_are_means_over_the_real_cells():
    z, cells, count = maps()
    mean, square = moments(z, count)
    for row in range(2):
        real = z[row][cells[row, ..., 0]]
        torch.testing.assert_close(mean[row], real.mean(dim=0))
        torch.testing.assert_close(square[row], real.square().mean(dim=0))


def test_derivatives_of_both_orders_forward_and_backward():
    z, _, count = maps()
    assert gradcheck(moments, (z, count), check_forward_ad=True)
    assert gradgradcheck(moments, (z, count))


def test_functional_transforms_agree_with_finite_differences():
    z, _, count = maps()
    z, way = z.detach(), torch.randn(5, *z.shape, dtype=z.dtype)

    def along(v):
        return torch.func.jvp(lambda at: moments(at, count)[1], (z,), (v,))[1]

    found = torch.func.vmap(along)(way)
    for row, v in zip(found, way, strict=True):
        step = 1e-6 * v
        slope = (moments(z + step, count)[1] - moments(z - step, count)[1]) / 2e-6
        torch.testing.assert_close(row, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_summed_in_float32(dtype):
    """65,536 cells of 1.5: a sum in half precision would end at infinity, or at 256 or so."""
    z = torch.full((1, 256, 256, 2), 1.5, dtype=dtype, requires_grad=True)
    count = torch.full((1, 1), 65536.0)
    mean, square = moments(z, count)
    assert mean.dtype == square.dtype == torch.float32
    torch.testing.assert_close(mean, torch.full_like(mean, 1.5))
    torch.testing.assert_close(square, torch.full_like(square, 2.25))
    (65536 * (mean + square)).sum().backward()  # d/dz of z + z^2
    torch.testing.assert_close(z.grad, torch.full_like(z, 4.0))


def test_forward_mode_in_half_precision_is_wide():
    z, _, count = maps(torch.bfloat16)
    with dual_level():
        dual = make_dual(z.detach(), torch.ones_like(z))
        tangents = [unpack_dual(one).tangent for one in moments(dual, count.float())]
    expected = z.detach().float().sum(dim=(1, 2)) * 2 / count.float()
    torch.testing.assert_close(tangents[1], expected)
    assert tangents[0].dtype == torch.float32
