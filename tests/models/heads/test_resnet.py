"""The residual head."""

import pytest
import torch

from protcontact.gradflow.layers import Parameters
from protcontact.gradflow.probe import Step
from protcontact.gradflow.taps import IdentityShare
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


def identity_shares(head):
    """What the probe reads of a backward pass."""
    x = torch.randn(1, 6, 4, requires_grad=True)
    probe = IdentityShare()
    with probe.attach(head):
        head(x, torch.ones(1, 6, dtype=torch.bool)).square().sum().backward()
        pending = probe.before_update(Step(head, None, Parameters((), ())))
    return {name for p in pending for name in p.read(p.values).scalars}


def test_without_skips_the_same_weights_make_a_plain_network():
    torch.manual_seed(0)
    head, plain = ResNet(4, channels=8, blocks=3), ResNet(4, channels=8, blocks=3, skips=False)
    plain.load_state_dict(head.state_dict(), strict=True)
    x, mask = torch.randn(1, 6, 4), torch.ones(1, 6, dtype=torch.bool)
    with pytest.MonkeyPatch.context() as patch:
        for block in head.blocks:
            forward = block.forward
            patch.setattr(block, "forward", lambda z, cells, f=forward: f(z, cells) - z)
        expected = head(x, mask)
    torch.testing.assert_close(plain(x, mask), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, head(x, mask), atol=1e-3)


def test_the_probe_of_the_identity_sees_blocks_with_skips_only():
    torch.manual_seed(0)
    names = {f"resnet/blocks.{n}/identity_share" for n in range(2)}
    assert identity_shares(ResNet(4, channels=8, blocks=2)) == names
    assert identity_shares(ResNet(4, channels=8, blocks=2, skips=False)) == set()


def test_refuses_no_dilations():
    with pytest.raises(ValueError, match="at least one dilation must be >= 1"):
        ResNet(4, dilations=())
