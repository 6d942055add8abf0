"""The residual block of the pair maps, and its norm."""

import pytest
import torch
from torch import nn

from protcontact.models.heads.axial import Axial
from protcontact.models.heads.resnet import ResNet
from protcontact.models.heads.unet import UNet
from protcontact.models.residual import MaskedInstanceNorm, ResidualBlock


def test_masked_norm_equals_the_norm_of_each_map_alone():
    torch.manual_seed(0)
    norm = MaskedInstanceNorm(3).double()
    with torch.no_grad():
        norm.scale.copy_(torch.randn(3))
        norm.shift.copy_(torch.randn(3))
    cells = torch.zeros(2, 5, 5, 1, dtype=torch.bool)
    cells[0, :5, :5] = True
    cells[1, :3, :3] = True
    z = (torch.randn(2, 5, 5, 3, dtype=torch.float64) + 2) * cells
    found = norm(z, cells)
    for row, size in enumerate((5, 3)):
        part = z[row, :size, :size]
        for channel in range(3):
            values = part[..., channel]
            expected = (values - values.mean()) / (values.var(unbiased=False) + 1e-5).sqrt()
            expected = expected * norm.scale[channel] + norm.shift[channel]
            torch.testing.assert_close(found[row, :size, :size, channel], expected)


def test_norm_of_one_cell_is_finite_with_a_finite_gradient():
    norm = MaskedInstanceNorm(2)
    z = torch.zeros(1, 1, 1, 2, requires_grad=True)
    norm(z, torch.ones(1, 1, 1, 1, dtype=torch.bool)).sum().backward()
    assert torch.isfinite(z.grad).all()


def test_a_block_is_the_map_plus_two_convolutions():
    torch.manual_seed(0)
    block = ResidualBlock(3, dilation=2, dropout=0.0).double()
    z = torch.randn(1, 6, 6, 3, dtype=torch.float64)
    cells = torch.ones(1, 6, 6, 1, dtype=torch.bool)
    y = torch.relu(block.norm(z, cells)).permute(0, 3, 1, 2)
    y = block.second(torch.relu(block.first(y))).permute(0, 2, 3, 1)
    torch.testing.assert_close(block(z, cells), z + y)


def test_without_the_identity_a_block_is_its_branch():
    torch.manual_seed(0)
    block = ResidualBlock(3, dilation=2, dropout=0.0).double()
    plain = ResidualBlock(3, dilation=2, dropout=0.0, identity=False).double()
    plain.load_state_dict(block.state_dict())
    z = torch.randn(1, 6, 6, 3, dtype=torch.float64)
    cells = torch.ones(1, 6, 6, 1, dtype=torch.bool)
    cells[:, 5] = cells[:, :, 5] = False
    z = z * cells
    torch.testing.assert_close(z + plain(z, cells), block(z, cells), rtol=0, atol=0)
    assert (plain(z, cells)[~cells.expand_as(z)] == 0).all()
    assert (block.residual, plain.residual) == (True, False)


@pytest.mark.parametrize("kind", [ResNet, UNet, Axial])
def test_convolutions_see_channels_last_maps_both_ways(kind):
    """Else each of them would copy its input, and its gradient, into another order."""
    torch.manual_seed(0)
    head, seen = kind(4, dropout=0.1), []

    def look(name):
        def hook(module, *maps):
            for one in maps:
                (tensor,) = one if isinstance(one, tuple) else (one,)
                seen.append((name, tensor.is_contiguous(memory_format=torch.channels_last)))

        return hook

    for name, module in head.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(look(name))
            module.register_full_backward_hook(look(name))
    x = torch.randn(2, 13, 4, requires_grad=True)
    head(x, torch.ones(2, 13, dtype=torch.bool)).square().sum().backward()
    assert len(seen) == 4 * sum(isinstance(module, nn.Conv2d) for module in head.modules()) > 0
    assert [name for name, channels_last in seen if not channels_last] == []
