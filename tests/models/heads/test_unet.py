"""The U-Net head."""

import pytest
import torch

from protcontact.models.heads.unet import UNet, double, halve


def test_halving_takes_means_of_four_and_doubling_repeats_them():
    z = torch.arange(9.0).view(1, 3, 3, 1)
    coarse = halve(z)
    expected = torch.tensor([[(0 + 1 + 3 + 4) / 4, (2 + 5) / 4], [(6 + 7) / 4, 8 / 4]])
    assert torch.equal(coarse[0, :, :, 0], expected)
    fine = double(coarse, 3)[0, :, :, 0]
    for i in range(3):
        for j in range(3):
            assert fine[i, j] == expected[i // 2, j // 2]


def moved(head, length, place):
    """Pairs whose logit moves with one residue's vector."""
    torch.manual_seed(0)
    head = head.double().eval()
    x = torch.randn(1, length, 4, dtype=torch.float64)
    mask = torch.ones(1, length, dtype=torch.bool)
    changed = x.clone()
    changed[0, place] += 1.0
    return (head(x, mask) - head(changed, mask)).abs()[0] > 1e-12


def still(head):
    """The head with blocks that add nothing."""
    for block in [*head.down, *head.up, head.bottom]:
        for one in block:
            torch.nn.init.zeros_(one.second.weight)
            torch.nn.init.zeros_(one.second.bias)
    return head


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_without_blocks_a_residue_moves_the_cells_that_it_lies_in(levels):
    """Residue 5 lies in the coarse cell of residues 4-5, and in the one of 4-7 below it."""
    head = still(UNet(4, channels=(8,) * levels, blocks=(1,) * levels))
    expected = torch.zeros(12, 12, dtype=torch.bool)
    width = 2 ** (levels - 1)
    first = 5 - 5 % width
    expected[first : first + width] = expected[:, first : first + width] = True
    assert torch.equal(moved(head, 12, 5), expected)


def test_skips_carry_what_the_coarse_map_averages_away():
    """Opposite changes of two neighbours cancel in every mean of four, unless a skip sees them."""
    z = torch.randn(1, 8, 8, 8, dtype=torch.float64)
    other = z.clone()
    other[:, 2, 2:6, 0] += 1.0
    other[:, 3, 2:6, 0] -= 1.0
    cells = torch.ones(1, 8, 8, 1, dtype=torch.bool)
    for skips in (True, False):
        torch.manual_seed(1)
        head = still(UNet(4, channels=(8, 8), blocks=(1, 1), skips=skips)).double().eval()
        maps = []
        for features in (z, other):
            head.features.forward = lambda x, mask, index, z=features: (z, cells)
            maps.append(head(torch.zeros(1, 8, 4).double(), torch.ones(1, 8, dtype=torch.bool)))
        assert torch.allclose(*maps, atol=1e-12) == (not skips)


def test_the_lowest_level_widens_what_a_pair_sees():
    def reach(**more):
        seen = moved(UNet(4, channels=(8,), blocks=(1,), **more), 65, 32)[0]
        return int(seen.nonzero().min())

    def deep_reach():
        seen = moved(UNet(4, channels=(8, 8, 8), blocks=(1, 1, 1)), 65, 32)[0]
        return int(seen.nonzero().min()) if seen.any() else 65

    # the norm of a map sees all of it, so it is taken out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protcontact.models.residual.MaskedInstanceNorm.forward", lambda s, z, c: z)
        assert 32 - reach(dilations=(1,)) == 2  # two convolutions of 3
        assert 32 - reach(dilations=(4,)) == 5
        # on the way down 2 (level 0), 4 (level 1); below 2 cells of 4; on the way up 4 and 2 again
        assert 32 - deep_reach() >= 2 + 4 + 8 + 4 + 2


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": (8,), "blocks": (1, 1)},
        {"channels": (), "blocks": ()},
        {"channels": (8, 0), "blocks": (1, 1)},
        {"channels": (8, 8), "blocks": (1, 0)},
        {"dilations": ()},
        {"dilations": (0,)},
    ],
)
def test_refuses(settings):
    with pytest.raises(ValueError, match="channels, blocks and dilations|one number for each"):
        UNet(4, **settings)
