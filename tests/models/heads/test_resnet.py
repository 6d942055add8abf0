"""The residual head."""

import pytest
import torch

from protcontact.models.heads.resnet import MaskedInstanceNorm, ResNet


def test_pair_features_are_a_linear_layer_of_the_concatenation_plus_a_product():
    torch.manual_seed(0)
    head = ResNet(3, channels=4, patch=1).double()
    x = torch.randn(1, 5, 3, dtype=torch.float64)
    mask = torch.ones(1, 5, dtype=torch.bool)
    z, _ = head._pair_features(x, mask, torch.arange(5)[None])
    for i in range(5):
        for j in range(5):
            a, c = head.rows(x[0, i]).chunk(2)
            b, d = head.columns(x[0, j]).chunk(2)
            expected = a + b + c * d + head.separation.vectors.weight[abs(i - j)]
            torch.testing.assert_close(z[0, i, j], expected)


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


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_a_cell_draws_its_own_pairs(patch):
    """With blocks that add nothing, a residue moves only the pairs of its cell's row and column."""
    torch.manual_seed(0)
    head = ResNet(4, channels=8, blocks=1, patch=patch).double()
    torch.nn.init.zeros_(head.blocks[0].second.weight)
    torch.nn.init.zeros_(head.blocks[0].second.bias)
    x = torch.randn(1, 6, 4, dtype=torch.float64)
    mask = torch.ones(1, 6, dtype=torch.bool)
    changed = x.clone()
    changed[0, 5] += 1.0
    moved = (head(x, mask) - head(changed, mask)).abs()[0] > 1e-12
    inside = 6 - (6 % patch or patch)
    assert moved[5].all()
    assert not moved[:inside, :inside].any()


def test_refuses_no_blocks():
    with pytest.raises(ValueError, match="blocks and patch must be >= 1"):
        ResNet(4, blocks=0)
