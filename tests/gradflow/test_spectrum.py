"""Spectra of steps and blocks against dense Jacobians and closed forms, in float64."""

import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.spectrum import (
    Call,
    block_jacobian,
    block_spectrum,
    calls_of,
    dense_jacobian,
    recurrences,
    recurrent_spectrum,
    residual_blocks,
)
from protcontact.gradflow.systems import follow, recurrent
from protcontact.models.encoders.convolution import DilatedConvolution
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.resnet import ResNet
from tests.gradflow.test_distance import woken
from tests.gradflow.test_untouched import contact_model, random_batch

KINDS = [nn.RNN, nn.GRU, nn.LSTM]


def layer(kind, width=3, seed=0, **options):
    torch.manual_seed(seed)
    return kind(2, width, batch_first=True, **options).double()


def blank(steps, state):
    """Nothing to read, and nothing to begin with."""
    return torch.zeros(steps, 2, dtype=torch.float64), torch.zeros(state, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dense_jacobian_is_that_of_autograd(kind):
    module, x = layer(kind), torch.randn(5, 2, dtype=torch.float64)
    maps = recurrent(module, x)
    n = 6 if kind is nn.LSTM else 3
    state = torch.randn(n, dtype=torch.float64)
    truth = torch.autograd.functional.jacobian(maps[2], state)
    torch.testing.assert_close(dense_jacobian(maps[2], state), truth, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_singular_values_are_those_of_the_steps(kind):
    module, x = layer(kind), torch.randn(9, 2, dtype=torch.float64)
    start = torch.randn(6 if kind is nn.LSTM else 3, dtype=torch.float64)
    found = recurrent_spectrum(module, x, start, steps=3)
    maps = recurrent(module, x)
    states = follow(maps, start)
    for row, t in zip(found.singular, (0, 4, 8), strict=True):
        truth = torch.autograd.functional.jacobian(maps[t], states[t].detach())
        torch.testing.assert_close(row, torch.linalg.svdvals(truth), rtol=1e-11, atol=1e-14)


def test_an_orthogonal_linear_recurrence_neither_grows_nor_shrinks():
    """``D_t = rho Q``: all singular values rho, all exponents log rho."""
    module = layer(nn.RNN, width=4, nonlinearity="relu")
    with torch.no_grad():
        module.weight_hh_l0.zero_()
        module.weight_hh_l0[torch.arange(4), torch.tensor([1, 2, 3, 0])] = 0.9  # a permutation
        module.weight_ih_l0.zero_()
        module.bias_ih_l0.fill_(1.0)  # all units are on
        module.bias_hh_l0.zero_()
    found = recurrent_spectrum(module, *blank(40, 4), steps=5)
    rho = torch.full((5, 4), 0.9, dtype=torch.float64)
    torch.testing.assert_close(found.singular, rho, rtol=1e-14, atol=0)
    expected = torch.full((4,), math.log(0.9), dtype=torch.float64)
    torch.testing.assert_close(found.exponents, expected, rtol=1e-12, atol=0)


def test_the_forget_gate_is_the_exponent_of_a_cell_that_reads_nothing():
    """Also where it is c that matters, which no axis of h would ever meet."""
    module = layer(nn.LSTM, width=20)
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
        module.bias_ih_l0[20:40] = torch.arange(20.0) - 10
    found = recurrent_spectrum(module, *blank(400, 40), steps=2)
    expected = (9 - torch.arange(8.0)).double().sigmoid().log()
    # from where the directions have not yet turned: O(1 / T)
    torch.testing.assert_close(found.exponents, expected, rtol=0, atol=0.02)
    nothing = layer(nn.LSTM, width=1)
    with torch.no_grad():
        for weight in nothing.parameters():
            weight.zero_()
    alone = recurrent_spectrum(nothing, *blank(30, 2), steps=2).exponents
    assert float(alone[0]) == pytest.approx(math.log(0.5), rel=1e-12)
    assert float(alone[1]) < -30  # of h nothing is left


def test_short_chains_and_few_units():
    found = recurrent_spectrum(layer(nn.GRU, width=1), *blank(2, 1), steps=6)
    assert found.singular.shape == (2, 1) and found.exponents.shape == (1,)


def test_which_modules_are_looked_at():
    model = contact_model(BiLSTM, ResNet)
    assert list(recurrences(model.encoder)) == [
        "forward_lstms.0",
        "forward_lstms.1",
        "backward_lstms.0",
        "backward_lstms.1",
    ]
    assert residual_blocks(model.encoder) == {}
    assert list(residual_blocks(contact_model(Transformer).encoder)) == ["blocks.0", "blocks.1"]
    several = nn.ModuleDict(
        {
            "two": nn.LSTM(2, 2, num_layers=2),
            "both": nn.GRU(2, 2, bidirectional=True),
            "narrow": nn.LSTM(4, 4, proj_size=2),
            "one": nn.RNN(2, 2),
        }
    )
    assert list(recurrences(several)) == ["one"]


@pytest.mark.parametrize(
    ("kind", "options"),
    [(Transformer, {"channels": 4, "heads": 2}), (DilatedConvolution, {"channels": 4})],
    ids=["Transformer", "DilatedConvolution"],
)
def test_a_block_against_autograd(kind, options):
    encoder, batch = woken(kind, options), random_batch([9])
    modules = residual_blocks(encoder)
    with calls_of(modules) as calls, torch.no_grad():
        encoder(batch.tokens, batch.mask, batch.index)
    assert list(calls) == list(modules)
    for name, call in calls.items():

        def output(x, block=modules[name], call=call):
            found = block(x, *call.args[1:], **call.kwargs)
            return found[0] if isinstance(found, tuple) else found

        truth = torch.autograd.functional.jacobian(output, call.args[0])[0, :, :, 0]
        for i in (0, 4):
            found = block_jacobian(modules[name], call, i)
            torch.testing.assert_close(found, truth[i], rtol=1e-11, atol=1e-14)
        singular, curve = block_spectrum(modules[name], call, 4)
        torch.testing.assert_close(singular, torch.linalg.svdvals(truth[4][:, 4]))
        norms = truth[4].square().sum(dim=(0, 2))
        assert float(curve[0]) == pytest.approx(float(norms[4].sqrt()))
        for d in (1, 4):
            expected = ((norms[4 - d] + norms[4 + d]) / 2).sqrt()
            assert float(curve[d]) == pytest.approx(float(expected))
        assert bool(curve[5:].isnan().all())


def test_hooks_are_gone_and_calls_without_a_tensor_are_not_noted():
    class Silent(nn.Module):
        def forward(self):
            return None

    modules = {"silent": Silent(), "loud": nn.Linear(2, 2)}
    with calls_of(modules) as calls:
        modules["silent"]()
        modules["loud"](torch.ones(1, 2))
        modules["loud"](torch.zeros(1, 2))
    assert list(calls) == ["loud"] and isinstance(calls["loud"], Call)
    assert torch.equal(calls["loud"].args[0], torch.zeros(1, 2))  # the last
    assert not any(module._forward_hooks for module in modules.values())
