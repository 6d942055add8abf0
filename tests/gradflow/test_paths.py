"""Paths counted one by one, and derivatives by finite differences."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from protcontact.gradflow.linear import dense, vjp
from protcontact.gradflow.paths import SHORT, counted, lengths, parts, path_length, shares
from protcontact.gradflow.stacks import stack
from protcontact.models.encoders.convolution import DilatedConvolution


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return list(stack(4, 5, torch.tanh, gain=1.5, identity=True, scale=0.7))


def linear(depth, a):
    made = list(stack(depth, 2, lambda x: a * x, identity=True))
    for layer in made:
        nn.init.eye_(layer.linear.weight)
    return made


def one_by_one(layers, x, cotangent):
    """Every path by itself: a product of the Jacobians of the branches that it passes."""
    jacobians = []
    for layer in layers:
        jacobians.append(dense(vjp(layer, x), len(x)) - torch.eye(len(x)))  # transposed, less I
        x = layer(x).detach()
    found = torch.zeros(len(layers) + 1, len(x), dtype=torch.float64)
    for path in itertools.product((False, True), repeat=len(layers)):
        v = cotangent
        for passed, jacobian in zip(reversed(path), reversed(jacobians), strict=True):
            v = jacobian @ v if passed else v
        found[sum(path)] += v
    return found


def test_parts_are_the_sums_over_all_paths_and_their_sum_is_the_gradient(layers):
    x, cotangent = drawn(5), drawn(5)
    found = parts(layers, x, cotangent)
    assert (found - one_by_one(layers, x, cotangent)).abs().max() < 1e-14
    x.requires_grad_()
    [gradient] = torch.autograd.grad(nn.Sequential(*layers)(x), x, cotangent)
    assert (found.sum(dim=0) - gradient).abs().max() < 1e-14
    assert shares(found).sum() == pytest.approx(1, abs=1e-14)


def test_the_mean_length_is_that_of_the_parts_and_the_derivative_by_the_branch(layers):
    x, cotangent = drawn(3, 5), drawn(3, 5)
    share = shares(parts(layers, x, cotangent))
    mean = float(share @ torch.arange(5.0).double())
    assert float(lengths(layers, x, cotangent)[-1]) == pytest.approx(mean, rel=1e-13)
    # the last k layers are a stack of k layers
    for k in range(1, 5):
        at = nn.Sequential(*layers[: 4 - k])(x).detach()
        found = lengths(layers[4 - k :], at, cotangent)[-1]
        assert float(lengths(layers, x, cotangent)[k]) == pytest.approx(float(found), rel=1e-12)
    # |g(a)| with a on both sides of 1
    step, sizes = 1e-5, []
    weight = torch.arange(5.0).double()
    for a in (1 - step, 1 + step):
        g = ((a**weight)[:, None, None] * parts(layers, x, cotangent)).sum(dim=0)
        sizes.append(float(g.norm().log()))
    slope = (sizes[1] - sizes[0]) / (math.log1p(step) - math.log1p(-step))
    assert mean == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize(("depth", "a"), [(1, 0.3), (60, 0.3), (60, -0.4), (1000, 0.01)])
def test_linear_branches_have_the_closed_forms(depth, a):
    v = torch.tensor([1.0, -2.0], dtype=torch.float64)
    k = torch.arange(depth + 1, dtype=torch.float64)
    assert lengths(linear(depth, a), v, v).tolist() == pytest.approx(
        (k * a / (1 + a)).tolist(), rel=1e-14
    )
    if depth <= 60:
        true = [math.comb(depth, i) * a**i for i in range(depth + 1)]
        assert parts(linear(depth, a), v, v)[:, 0].tolist() == pytest.approx(true, rel=1e-14)
    if depth <= 60 and a > 0:  # else what is left is less than the parts' rounding
        assert shares(parts(linear(depth, a), v, v)).tolist() == pytest.approx(
            [t / (1 + a) ** depth for t in true], rel=1e-12
        )


def test_lengths_where_the_gradient_overflows():
    v = torch.ones(2, dtype=torch.float64)
    found = lengths(linear(400, 1e3), v, v)  # the gradient is 10^1200
    assert float(found[-1]) == pytest.approx(400 * 1e3 / (1 + 1e3), rel=1e-12)


def test_lengths_of_no_gradient_are_not_a_number(layers):
    assert lengths(layers, drawn(5), torch.zeros(5).double()).isnan().all()


def net():
    """A skip around two layers, one of which has a skip of its own; paths of 1, 2 and 3."""
    torch.manual_seed(1)
    layers = nn.ModuleList(nn.Linear(6, 6).double() for _ in range(3))

    def function(x):
        y = functional.relu(layers[0](x))
        return layers[2](x + y + layers[1](y))

    return layers, function


def test_path_length_is_the_derivative_of_the_gradient_with_scaled_layers():
    layers, function = net()
    x, cotangent = drawn(6).requires_grad_(), drawn(6)
    with counted(layers) as factor:
        y = function(x)
    assert torch.equal(y, function(x))  # nothing changes on the way forward
    for a in (1.0, 0.5, 2.0):
        found = path_length(y, x, cotangent, factor, a)
        sizes = []
        for side in (-1e-5, 1e-5):
            with torch.no_grad():
                factor.fill_(a * math.exp(side))
            [g] = torch.autograd.grad(y, x, cotangent, retain_graph=True)
            sizes.append(float(g.norm().log()))
        assert found == pytest.approx((sizes[1] - sizes[0]) / 2e-5, rel=1e-7)
    assert path_length(y, x, cotangent, factor, SHORT) == pytest.approx(1, abs=1e-5)
    assert path_length(y, x, cotangent, factor, 1 / SHORT) == pytest.approx(3, abs=1e-5)  # longest


def test_path_length_counts_the_branches_of_a_stack(layers):
    x, cotangent = drawn(3, 5).requires_grad_(), drawn(3, 5)
    model = nn.Sequential(*layers)
    with counted(layer.linear for layer in layers) as factor:
        y = model(x)
    assert path_length(y, x, cotangent, factor) == pytest.approx(
        float(lengths(layers, x.detach(), cotangent)[-1]), rel=1e-12
    )


def test_path_length_where_nothing_is_counted_or_nothing_comes():
    layers, function = net()
    x = drawn(6).requires_grad_()
    with counted([]) as factor:
        y = function(x)
    assert path_length(y, x, torch.ones(6).double(), factor) == 0
    assert math.isnan(path_length(y, x, torch.zeros(6).double(), factor))
    assert math.isnan(path_length(y, drawn(6).requires_grad_(), torch.ones(6).double(), factor))


def test_hooks_are_gone_and_no_gradient_is_left():
    layers, function = net()
    x = drawn(6).requires_grad_()
    with pytest.raises(KeyError), counted(layers):
        raise KeyError
    assert all(not layer._forward_hooks for layer in layers)
    with counted(layers) as factor:
        y = function(x)
    path_length(y, x, torch.ones(6).double(), factor)
    assert all(p.grad is None for p in layers.parameters()) and x.grad is None


def test_blocks_of_the_dilated_encoder():
    torch.manual_seed(0)
    encoder = DilatedConvolution(channels=4, blocks=3).double()
    mask = torch.ones(1, 12, dtype=torch.bool)
    blocks = [lambda x, block=block: block(x, mask) for block in encoder.blocks]
    x, cotangent = drawn(1, 12, 4), drawn(1, 12, 4)
    share = shares(parts(blocks, x, cotangent))
    mean = float(share @ torch.arange(4.0).double())
    assert float(lengths(blocks, x, cotangent)[-1]) == pytest.approx(mean, rel=1e-12)
