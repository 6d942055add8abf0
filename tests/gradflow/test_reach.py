"""Predicted receptive fields against gradients, and against intervals and closed forms."""

import pytest
import torch

from protcontact.gradflow.map_norm import held_statistics
from protcontact.gradflow.reach import pair_reach, support
from protcontact.models.encoders.convolution import DilatedConvolution
from protcontact.models.heads.resnet import ResNet
from protcontact.models.heads.unet import UNet
from protcontact.structure.alphabet import PADDING

C = 12


def measured(head, i, j, length, held=True):
    """Cells that the logit of (i, j) has a gradient at, for any of three chains."""
    head = head.double().eval()
    maps = []
    head.features.register_forward_hook(lambda module, inputs, out: maps.append(out[0]))
    found = False
    for _ in range(3):
        x = torch.randn(1, length, C, dtype=torch.float64)
        mask = torch.ones(1, length, dtype=torch.bool)
        if held:
            with held_statistics(head):
                logits = head(x, mask)
        else:
            logits = head(x, mask)
        found = found | support(torch.autograd.grad(logits[0, i, j], maps[-1])[0])
    return found


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("levels", "length"), [(1, 24), (2, 37), (3, 50)])
def test_a_unet_reads_what_is_predicted_and_nothing_else(skips, levels, length):
    torch.manual_seed(0)
    head = UNet(C, (C,) * levels, (1,) * levels, skips=skips)
    for i, j in ((0, length - 1), (length // 2, length // 3), (5, 5)):
        assert torch.equal(measured(head, i, j, length), pair_reach(head, i, j, length))


def test_a_unet_of_several_blocks_and_dilations():
    torch.manual_seed(0)
    head = UNet(C, (C, C), (2, 3), dilations=(1, 3))
    assert torch.equal(measured(head, 20, 41, 62), pair_reach(head, 20, 41, 62))


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("blocks", "dilations"), [(1, (1,)), (4, (1, 2, 4)), (1, (5,))])
def test_a_resnet_reads_what_is_predicted(skips, blocks, dilations):
    torch.manual_seed(0)
    head = ResNet(C, C, blocks, dilations, skips=skips)
    assert torch.equal(measured(head, 17, 44, 61), pair_reach(head, 17, 44, 61))


def test_a_dilation_wider_than_what_it_is_given_leaves_gaps():
    head = ResNet(C, C, 1, (5,), patch=1)
    places = pair_reach(head, 10, 10, 21)[10]
    assert places.nonzero()[:, 0].tolist() == [4, 5, 6, 9, 10, 11, 14, 15, 16]


@pytest.mark.parametrize("blocks", [1, 2, 3, 6])
def test_the_half_width_of_a_resnet_is_the_sum_of_its_dilations(blocks):
    head = ResNet(C, C, blocks, (1, 2, 3), patch=1)
    half = sum(1 + (1, 2, 3)[block % 3] for block in range(blocks))
    places = pair_reach(head, 40, 40, 81)[40]
    assert places.nonzero()[:, 0].tolist() == list(range(40 - half, 40 + half + 1))


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_the_interval_of_a_unet_follows_its_ends(levels):
    length = 256
    head = UNet(C, (C,) * levels, (1,) * levels)
    for place in (100, 101, 103):
        low = high = place
        for _ in range(levels - 1):  # a block reaches 2 cells to each side
            low, high = (low - 2) // 2, (high + 2) // 2
        low, high = low - 2, high + 2
        for _ in range(levels - 1):
            low, high = 2 * low - 2, 2 * high + 1 + 2
        places = pair_reach(head, place, place, length)[place]
        assert places.nonzero()[:, 0].tolist() == list(range(low, high + 1))


def test_the_norm_sees_the_whole_map():
    torch.manual_seed(0)
    head = UNet(C, (C, C), (1, 1))
    found = measured(head, 5, 30, 36, held=False)
    assert found.all() and not pair_reach(head, 5, 30, 36).all()


def test_plain_convolutions_of_the_encoder_are_exact():
    torch.manual_seed(0)
    encoder = DilatedConvolution(channels=16, blocks=3).double().eval()
    inputs = []
    encoder.embedding.register_forward_hook(lambda module, args, out: inputs.append(out))
    out = encoder(torch.randint(PADDING, (1, 40)), torch.ones(1, 40, dtype=torch.bool))
    [g] = torch.autograd.grad(out[0, 20] @ torch.randn(16).double(), inputs[0])
    read = (g[0] != 0).any(dim=-1).nonzero()[:, 0].tolist()
    assert read == list(range(20 - encoder.reach, 20 + encoder.reach + 1))


@pytest.mark.parametrize(("i", "j"), [(-1, 3), (3, 10)])
def test_a_residue_beyond_the_chain_is_refused(i, j):
    with pytest.raises(ValueError, match=r"residues are 0 ... 9"):
        pair_reach(ResNet(4), i, j, 10)
