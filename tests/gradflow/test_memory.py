"""The curve by distance against dense Jacobians; what cannot be measured is refused by name."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.memory import memory_curve


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


def test_down_to_the_smallest_float_and_then_minus_infinity():
    module = nn.RNN(1, 1, batch_first=True).double()
    with torch.no_grad():
        for weight, value in zip(module.all_weights[0], (1.0, 1e-2, 0.0, 0.0), strict=True):
            weight.fill_(value)
    found = memory_curve(module, torch.zeros(1, 300, 1).double())
    assert found[:150].tolist() == pytest.approx([-2 * d for d in range(150)], abs=1e-12)
    assert found[-1] == -math.inf


def test_measuring_leaves_no_trace():
    module = Mixer().double().train()
    module.rnn.weight_ih_l0.grad = torch.ones_like(module.rnn.weight_ih_l0)
    x, state = sequence(1, 5, 2, 3), torch.random.get_rng_state()
    one, two = (memory_curve(module, x) for _ in range(2))
    assert one.tolist() == two.tolist() != memory_curve(module, x, seed=1).tolist()
    assert torch.equal(torch.random.get_rng_state(), state)
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
        (nn.Identity(), torch.full((1, 4, 2), math.nan), {}, "output of Identity is not finite"),
    ],
)
def test_what_cannot_be_measured(module, x, options, message):
    with pytest.raises(ValueError, match=message):
        memory_curve(module, x, **options)


def test_a_weight_that_is_not_a_number_is_named():
    module = nn.LSTM(2, 2, batch_first=True)
    module.bias_hh_l0.data[0] = math.nan
    with pytest.raises(ValueError, match="bias_hh_l0 of LSTM is not finite"):
        memory_curve(module, torch.zeros(1, 4, 2))
