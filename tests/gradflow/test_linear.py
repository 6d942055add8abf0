"""The linear recurrence against products of matrices, in range and out of it."""

import math

import pytest
import torch

from protcontact.gradflow.linear import (
    dense,
    jvp,
    log_norms,
    matrix,
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
    true = slow(start, matrices, sources)
    units, scales = scan_scaled(start, map(matrix, matrices), sources)
    found = units * (10.0**scales)[..., None]
    torch.testing.assert_close(found, true, rtol=1e-12, atol=1e-14)
    assert units.abs().amax(dim=-1).tolist() == [[1.0] * 3] * (T + 1)
    torch.testing.assert_close(
        log_norms(units, scales), true.norm(dim=-1).log10(), rtol=0, atol=1e-13
    )


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
        rtol=1e-7 if dtype == torch.float32 else 1e-14,
        atol=1e-7 if dtype == torch.float32 else 1e-14,
    )


def test_a_source_wakes_what_was_zero_and_one_that_is_far_larger_wins():
    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    halve = [matrix(torch.eye(2, dtype=torch.float64) / 2)] * 3
    logs = log_norms(*scan_scaled(zero, halve, [zero, one, zero]))
    assert logs[:2].tolist() == [-math.inf] * 2
    assert logs[2:].tolist() == pytest.approx(
        [math.log10(math.sqrt(2)), math.log10(math.sqrt(2) / 2)]
    )
    vanish = [matrix(torch.eye(2, dtype=torch.float64) * 1e-300)] * 5
    logs = log_norms(*scan_scaled(one, vanish, [zero, zero, zero, one, zero]))
    assert float(logs[4]) == pytest.approx(math.log10(math.sqrt(2)), abs=1e-15)
    assert float(logs[5]) == pytest.approx(math.log10(math.sqrt(2)) - 300, rel=1e-14)


def test_what_is_not_a_number_stays_one():
    units, scales = scan_scaled(torch.tensor([math.nan, 1.0]), [matrix(torch.eye(2))])
    assert log_norms(units, scales).isnan().all()


@pytest.mark.parametrize("count", [T - 1, T + 1])
@pytest.mark.parametrize("function", [scan, scan_scaled])
def test_as_many_sources_as_maps(problem, function, count):
    start, matrices, sources = problem
    sources = torch.cat([sources, sources])[:count]
    with pytest.raises(ValueError, match="zip"):
        function(start, map(matrix, matrices), sources)


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


def test_an_orthogonal_recurrence_loses_rho_at_every_step():
    """GRADFLOW's row of the vanilla RNN: rho^k at each of 1,000 distances, to 1e-13."""
    rho, H = 0.9, 8
    cell = torch.nn.RNNCell(H, H).double()
    torch.nn.init.orthogonal_(cell.weight_hh, gain=rho)
    torch.nn.init.zeros_(cell.bias_hh)
    torch.nn.init.zeros_(cell.bias_ih)
    rest = torch.zeros(1, H, dtype=torch.float64)
    back = vjp(lambda h: cell(rest, h), rest)
    norms = scan(torch.ones(1, H, dtype=torch.float64), [back] * 1000).norm(dim=2)[:, 0]
    powers = rho ** torch.arange(1001, dtype=torch.float64) * H**0.5
    torch.testing.assert_close(norms, powers, rtol=1e-13, atol=0)
