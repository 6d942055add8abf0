"""The curve by distance against dense Jacobians; what cannot be measured is refused by name."""

import doctest
import importlib
import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.inputs import OnVectors
from protcontact.gradflow.memory import memory_curve, rms_curve
from protcontact.models.encoders.transformer import Transformer


def sequence(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Mixer(nn.Module):
    """(B, L, 2, 3) to (B, L, 4), with dropout."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.rnn = nn.RNN(6, 4, batch_first=True)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        """Flatten and read."""
        return self.dropout(self.rnn(x.flatten(2))[0])


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.LSTM(3, 5, batch_first=True), (1, 9, 3)),
        (lambda: nn.GRU(3, 5, batch_first=True, bidirectional=True), (1, 9, 3)),
        (Mixer, (1, 7, 2, 3)),
    ],
)
@pytest.mark.parametrize("source", [-1, 4])
def test_many_signs_give_the_frobenius_norms_of_the_dense_jacobian(make, shape, source):
    torch.manual_seed(0)
    module, x = make().double().eval(), sequence(*shape)

    def at_source(inputs):
        y = module(inputs)
        return (y if isinstance(y, torch.Tensor) else y[0])[0, source]

    blocks = torch.autograd.functional.jacobian(at_source, x)[:, 0].flatten(2)  # (C, L, ...)
    place = source % shape[1]
    true = blocks.square().sum(dim=(0, 2))[: place + 1].flip(0).sqrt()
    found = memory_curve(module, x, source, probes=4000)
    assert found.shape == (place + 1,)
    assert (10**found).tolist() == pytest.approx(true.tolist(), rel=0.05)  # 1 / sqrt(4000) is 0.016


def test_one_channel_needs_one_sign():
    """E r r^T = 1 holds for a single sign where there is a single channel."""
    module, x = nn.RNN(1, 1, batch_first=True).double(), sequence(1, 30, 1)
    y, _ = module(leaf := x.clone().requires_grad_())
    (true,) = torch.autograd.grad(y[0, -1, 0], leaf)
    found = memory_curve(module, x, probes=1)
    assert found.tolist() == pytest.approx(true[0, :, 0].abs().log10().flip(0).tolist(), abs=1e-13)


def test_the_mean_over_a_batch_is_that_of_squares():
    module, x = nn.RNN(1, 1, batch_first=True).double(), sequence(2, 6, 1)
    each = [2 * memory_curve(module, row[None], probes=1) for row in x]
    mean = (10 ** each[0] + 10 ** each[1]) / 2
    assert (2 * memory_curve(module, x, probes=1)).tolist() == pytest.approx(mean.log10().tolist())


def every_sign(channels):
    """``(2^channels, channels)``: all there are."""
    bits = torch.arange(2**channels)[:, None] >> torch.arange(channels) & 1
    return bits.double() * 2 - 1


@pytest.mark.parametrize(
    ("make", "channels"),
    [
        (lambda: nn.LSTM(3, 5, batch_first=True), 5),
        (lambda: nn.GRU(3, 2, batch_first=True, bidirectional=True), 4),
        (lambda: OnVectors(Transformer(8, layers=2, heads=2)), 8),
    ],
)
def test_all_signs_give_exactly_the_frobenius_norm(make, channels):
    """GRADFLOW: exhaustive over 2^d signs, 4e-15."""
    torch.manual_seed(0)
    module = make().double().eval()
    x, signs = sequence(1, 7, 8 if channels == 8 else 3), every_sign(channels)

    def last(inputs):
        y = module(inputs)
        return (y if isinstance(y, torch.Tensor) else y[0])[0, -1]

    blocks = torch.autograd.functional.jacobian(last, x)[:, 0]  # (C, L, C)
    true = blocks.square().sum(dim=(0, 2)).flip(0)
    found = 100 ** rms_curve(module, x, -1, len(signs), lambda said: signs)
    torch.testing.assert_close(found, true, rtol=4e-15, atol=0)


def test_one_number_for_each_residue():
    """(B, L) to (B, L)."""

    class Sums(nn.Module):
        def forward(self, x):
            """Each residue is the sum of those up to it, which weigh 1, 2, 3 ..."""
            return (x * torch.arange(1, x.shape[1] + 1)).cumsum(dim=1)

    found = memory_curve(Sums(), torch.zeros(2, 5), probes=1)
    assert (10**found).tolist() == pytest.approx([5, 4, 3, 2, 1])


def chain(weight, dtype=torch.float64):
    """An RNN of one channel at rest: the gradient is weight^d."""
    module = nn.RNN(1, 1, batch_first=True).to(dtype)
    with torch.no_grad():
        for w, value in zip(module.all_weights[0], (1.0, weight, 0.0, 0.0), strict=True):
            w.fill_(value)
    return module


@pytest.mark.parametrize(
    ("dtype", "decades", "lowest"), [(torch.float32, 1.5, 57), (torch.float64, 9.5, 461)]
)
def test_down_to_the_documented_size_and_then_minus_infinity(dtype, decades, lowest):
    found = memory_curve(chain(10**-decades, dtype), torch.zeros(1, 100, 1, dtype=dtype))
    held = int(lowest / decades) + 1
    true = [-decades * d for d in range(held)]
    assert found[:held].tolist() == pytest.approx(true, rel=1e-6 if lowest < 100 else 1e-14)
    assert all(
        math.isinf(v) or v == pytest.approx(-decades * d, rel=1e-6)
        for d, v in enumerate(found.tolist())
    )
    assert found[-1] == -math.inf


@pytest.mark.parametrize("decades", [4.0, 8.0])
def test_up_to_the_largest_float_and_beyond(decades):
    """1e28 overflows with the usual factor of 2^64, 1e56 even without one."""
    found = memory_curve(chain(10**decades, torch.float32), torch.zeros(1, 8, 1))
    assert found.tolist() == pytest.approx([decades * d for d in range(8)], rel=1e-6, abs=1e-12)


def test_the_factor_costs_no_digit():
    torch.manual_seed(0)
    module, x = nn.GRU(3, 1, batch_first=True).double(), sequence(1, 40, 3)
    leaf = x.clone().requires_grad_()
    (true,) = torch.autograd.grad(module(leaf)[0][0, -1, 0], leaf)
    found = memory_curve(module, x, probes=1)
    torch.testing.assert_close(10**found, true[0].norm(dim=1).flip(0), rtol=1e-14, atol=0)


def test_whatever_mode_of_gradients_is_on():
    module, x = nn.GRU(2, 2, batch_first=True), torch.randn(1, 5, 2)
    true = memory_curve(module, x)
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert torch.equal(memory_curve(module, x.clone()), true)


def test_a_module_may_work_in_place():
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 2))
    x = torch.ones(1, 3, 2)
    assert memory_curve(module, x)[1:].tolist() == [-math.inf] * 2
    assert x.eq(1).all()


def test_the_example_of_the_docstring():
    found = doctest.testmod(importlib.import_module("protcontact.gradflow.memory"))
    assert found.attempted >= 4 and found.failed == 0


def test_measuring_leaves_no_trace():
    module = Mixer().double().train()
    module.rnn.weight_ih_l0.grad = torch.ones_like(module.rnn.weight_ih_l0)
    x, state = sequence(1, 5, 2, 3), torch.random.get_rng_state()
    one, two = (memory_curve(module, x) for _ in range(2))
    assert one.tolist() == two.tolist() != memory_curve(module, x, seed=1).tolist()
    assert torch.equal(torch.random.get_rng_state(), state)
    hooks = [module.rnn._forward_hooks, module._forward_hooks, module._backward_hooks]
    assert not any(hooks)
    assert module.training and module.dropout.training
    assert module.rnn.weight_ih_l0.grad.eq(1).all() and module.rnn.weight_hh_l0.grad is None
    with pytest.raises(RuntimeError):
        memory_curve(module, sequence(1, 5, 7))
    assert module.training and module.rnn.weight_ih_l0.grad.eq(1).all()
    assert not x.requires_grad


class Lost(nn.Module):
    """Does not look at its input."""

    def forward(self, x):
        """Zeros."""
        return torch.zeros_like(x)


class Letters(nn.Module):
    """Hands on integers."""

    def forward(self, x):
        """Round."""
        return x.long()


class Stubborn(nn.Module):
    """Says what it has learnt, whatever it is asked."""

    def __init__(self):
        super().__init__()
        self.answer = nn.Parameter(torch.ones(2))

    def forward(self, x):
        """The answer, at every residue."""
        return self.answer.expand(x.shape)


@pytest.mark.parametrize(
    ("module", "x", "options", "message"),
    [
        (nn.Identity(), torch.zeros(1, 4, 2).long(), {}, "not torch.int64; give vectors"),
        (nn.Identity(), torch.zeros(1, 0, 2), {}, "not empty"),
        (nn.Identity(), torch.zeros(4), {}, r"not \(4,\)"),
        (nn.Identity(), torch.zeros(1, 4, 2), {"source": 4}, "no residue 4 in a sequence of 4"),
        (nn.Identity(), torch.zeros(1, 4, 2), {"source": -5}, "no residue -5"),
        (nn.Identity(), torch.zeros(1, 4, 2), {"probes": 0}, "probes must be >= 1"),
        (nn.Flatten(), torch.zeros(1, 4, 2), {}, "Flatten must map"),
        (Lost(), torch.zeros(1, 4, 2), {}, "Lost does not depend on x"),
        (Stubborn(), torch.zeros(1, 4, 2), {}, "Stubborn does not depend on x"),
        (nn.Flatten(2), torch.zeros(1, 4, 2, 0), {}, "not empty"),
        (Letters(), torch.zeros(1, 4, 2), {}, "Letters does not depend on x"),
        (chain(1e12, torch.float32), torch.zeros(1, 8, 1), {}, "larger than torch.float32"),
        (nn.Identity(), torch.full((1, 4, 2), math.nan), {}, "output of Identity is not finite"),
    ],
)
def test_what_cannot_be_measured(module, x, options, message):
    with pytest.raises(ValueError, match=message):
        memory_curve(module, x, **options)


def test_a_weight_that_is_not_a_number_is_named():
    module = nn.LSTM(2, 2, batch_first=True)
    module.bias_hh_l0.data[0] = math.nan
    with pytest.raises(ValueError, match="bias_hh_l0 has 1 of 8 elements"):
        memory_curve(module, torch.zeros(1, 4, 2))
