"""The residual head."""

import pytest
import torch

from protcontact.models.heads.resnet import ResNet


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


def test_refuses_no_dilations():
    with pytest.raises(ValueError, match="at least one dilation must be >= 1"):
        ResNet(4, dilations=())
