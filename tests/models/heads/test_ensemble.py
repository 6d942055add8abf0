"""The mean of several heads."""

import pytest
import torch

from protcontact.models.heads.attention_maps import AttentionMaps
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.ensemble import HeadEnsemble
from protcontact.models.heads.resnet import ResNet


def test_each_head_reads_its_own_channels_and_the_logits_are_averaged():
    members = [Bilinear(4), ResNet(6, channels=4), Bilinear(2)]
    head = HeadEnsemble(12, members).double().eval()
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    mask = torch.ones(2, 7, dtype=torch.bool)
    index = torch.arange(7).expand(2, 7) * 3
    parts = x[..., :4], x[..., 4:10], x[..., 10:]
    each = [member(part, mask, index) for member, part in zip(members, parts, strict=True)]
    assert (each[0] - each[1]).abs().max() > 1e-3
    torch.testing.assert_close(head(x, mask, index), sum(each) / 3, rtol=1e-12, atol=1e-12)


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match="12 in all, and the encoders give 10"):
        HeadEnsemble(10, [Bilinear(4), Bilinear(8)])


def test_heads_on_attention_maps_are_refused():
    with pytest.raises(ValueError, match="AttentionMaps reads attention maps"):
        HeadEnsemble(8, [Bilinear(4), AttentionMaps(4)])
