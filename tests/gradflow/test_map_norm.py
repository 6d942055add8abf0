"""A head with its norms held or left out, against norms written down."""

import pytest
import torch
from torch import nn

from protcontact.gradflow.map_norm import held_statistics, without_norm
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.residual import MaskedInstanceNorm, ResidualBlock


@pytest.fixture
def norm():
    torch.manual_seed(0)
    made = MaskedInstanceNorm(3).double()
    nn.init.normal_(made.scale)
    nn.init.normal_(made.shift)
    return made


def padded_map():
    cells = torch.zeros(2, 5, 5, 1, dtype=torch.bool)
    cells[0] = cells[1, :3, :3] = True
    return torch.randn(2, 5, 5, 3, dtype=torch.float64) * cells, cells


def test_held_statistics_are_constants_to_the_gradient_and_values_stay(norm):
    z, cells = padded_map()
    plain, before = norm(z, cells), [p.clone() for p in norm.parameters()]
    with held_statistics(norm):
        held = norm(z.requires_grad_(), cells)
    assert torch.equal(held, plain)
    cotangent = torch.randn_like(held)
    [found] = torch.autograd.grad(held, z, cotangent)
    for b, n in ((0, 5), (1, 3)):
        real = z.detach()[b, :n, :n]
        spread = (real.var(dim=(0, 1), correction=0) + 1e-5).sqrt()
        true = cotangent[b] * norm.scale.detach() / spread
        assert (found[b] - true).abs().max() < 1e-13 * true.abs().max()
    assert all(torch.equal(p, q) for p, q in zip(norm.parameters(), before, strict=True))


def test_a_norm_left_out_hands_on_its_input(norm):
    z, cells = padded_map()
    with without_norm(norm):
        assert norm(z, cells) is z


@pytest.mark.parametrize("switch", [held_statistics, without_norm])
def test_afterwards_all_is_as_it_was_also_after_an_error(switch):
    torch.manual_seed(0)
    block = ResidualBlock(3, 1, 0.0).double()
    z, cells = padded_map()
    z.requires_grad_()
    [before] = torch.autograd.grad(block(z, cells).sum(), z)
    with pytest.raises(KeyError), switch(block):
        [inside] = torch.autograd.grad(block(z, cells).sum(), z)
        raise KeyError
    [after] = torch.autograd.grad(block(z, cells).sum(), z)
    assert torch.equal(after, before)
    assert not torch.equal(inside, before)


@pytest.mark.parametrize("switch", [held_statistics, without_norm])
def test_a_model_without_such_a_norm_is_refused(switch):
    with pytest.raises(ValueError, match="Bilinear has no MaskedInstanceNorm"), switch(Bilinear(4)):
        pass
