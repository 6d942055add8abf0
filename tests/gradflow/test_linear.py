"""The linear recurrence against products of matrices, in range and out of it."""

import math

import pytest
import torch

from protcontact.gradflow.linear import (
    dense,
    jvp,
    log_norms,
    matrix,
    scaled,
    scan,
    scan_scaled,
    vjp,
)

T, N = 30, 4


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(3, N), draw(T, N, N) / 2, draw(T, 3, N)


def slow(start, matrices, sources):
    """Row by row, product by product."""
    found = [start]
    for k in range(len(matrices)):
        rows = [matrices[k] @ row for row in found[-1]]
        found.append(torch.stack(rows) + sources[k])
    return torch.stack(found)


def test_scan_is_the_recurrence(problem):
    start, matrices, sources = problem
    found = scan(start, map(matrix, matrices), sources)
    torch.testing.assert_close(found, slow(start, matrices, sources), rtol=1e-13, atol=0)
    without = scan(start, map(matrix, matrices))
    torch.testing.assert_close(without, slow(start, matrices, 0 * sources), rtol=1e-13, atol=0)


def test_scaled_is_the_same(problem):
    start, matrices, sources = problem
    true = slow(start, matrices, 0 * sources)
    units, scales = scan_scaled(start, map(matrix, matrices))
    found = units * (10.0**scales)[..., None]
    torch.testing.assert_close(found, true, rtol=1e-12, atol=0)
    largest = units.abs().amax(dim=-1)
    assert bool((largest >= 1).all()) and bool((largest < 2).all())
    torch.testing.assert_close(
        log_norms(units, scales), true.norm(dim=-1).log10(), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scale_is_a_power_of_2_and_costs_no_digit(dtype):
    limits = torch.finfo(dtype)
    numbers = [3.0, -0.7, 1e-30, limits.max, limits.tiny, limits.smallest_normal / 4]
    values = torch.tensor(numbers, dtype=dtype)
    v = torch.stack([values, values / 3], dim=1)
    unit, scale = scaled(v)
    assert torch.equal(unit * scale[:, None], v)
    assert scale.frexp().mantissa.tolist() == [0.5] * len(v)
    assert bool((unit.abs().amax(dim=1) >= 1).all()) and bool((unit.abs() < 2).all())
    zero, none = scaled(torch.zeros(2, dtype=dtype))
    assert zero.tolist() == [0, 0] and none == 0


@pytest.mark.parametrize("factor", [1e-30, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scaled_goes_beyond_the_smallest_and_the_largest_float(factor, dtype):
    start = torch.tensor([3.0, -4.0], dtype=dtype)
    steps = [matrix(torch.eye(2, dtype=dtype) * factor)] * 100
    logs = log_norms(*scan_scaled(start, steps))
    true = torch.arange(101).double() * math.log10(factor) + math.log10(5)
    torch.testing.assert_close(
        logs,
        true,
        rtol=1e-7 if dtype == torch.float32 else 1e-15,
        atol=1e-7 if dtype == torch.float32 else 1e-15,
    )


def test_zero_has_no_logarithm_and_stays_zero():
    start = torch.tensor([[1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    drop = [matrix(torch.eye(2, dtype=torch.float64)), torch.zeros_like, lambda v: v]
    logs = log_norms(*scan_scaled(start, drop))
    assert logs[:2, 0].tolist() == [math.log10(math.sqrt(5))] * 2
    assert logs[2:, 0].tolist() == [-math.inf] * 2
    assert logs[:, 1].tolist() == [-math.inf] * 4


def test_what_is_not_a_number_stays_one():
    units, scales = scan_scaled(torch.tensor([math.nan, 1.0]), [matrix(torch.eye(2))])
    assert log_norms(units, scales).isnan().all()


@pytest.mark.parametrize("count", [T - 1, T + 1])
def test_as_many_sources_as_maps(problem, count):
    start, matrices, sources = problem
    sources = torch.cat([sources, sources])[:count]
    with pytest.raises(ValueError, match="zip"):
        scan(start, map(matrix, matrices), sources)


def test_jacobians_are_those_of_finite_differences():
    weight = torch.randn(N, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = torch.linspace(-1, 1, N, dtype=torch.float64)

    def function(at):
        return torch.tanh(weight @ at)

    h = 1e-6
    true = torch.stack(
        [(function(x + h * e) - function(x - h * e)) / (2 * h) for e in torch.eye(N).double()],
        dim=1,
    )
    forward, backward = dense(jvp(function, x), N), dense(vjp(function, x), N).mT
    torch.testing.assert_close(forward, true, rtol=0, atol=1e-9)
    torch.testing.assert_close(backward, forward, rtol=1e-14, atol=1e-16)


def test_vjp_leaves_its_input_alone_and_may_be_asked_twice():
    x = torch.ones(3, dtype=torch.float64)
    with torch.no_grad():
        back = vjp(lambda at: at**2, x)
    assert back(torch.ones_like(x)).tolist() == back(torch.ones_like(x)).tolist() == [2.0] * 3
    assert not x.requires_grad
    assert vjp(lambda at: torch.ones(3), x)(torch.ones(3)).tolist() == [0.0] * 3
