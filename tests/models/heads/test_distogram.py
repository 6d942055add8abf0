"""The head that draws distances."""

import math

import pytest
import torch

from protcontact.models.heads.distogram import Distogram
from protcontact.models.heads.resnet import ResNet
from protcontact.training.checkpoint import build, describe

CHANNELS = 6


def inputs(B=2, L=9, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, L, CHANNELS, generator=generator, dtype=dtype)
    return x, torch.ones(B, L, dtype=torch.bool)


@pytest.mark.parametrize("patch", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 7])
def test_is_symmetric_in_the_residues_and_not_in_the_bins(patch, length):
    torch.manual_seed(0)
    head = Distogram(CHANNELS, patch=patch).double()
    distogram = head.distogram(*inputs(L=length))
    assert distogram.shape == (2, length, length, 10)
    assert torch.equal(distogram, distogram.transpose(1, 2))
    assert (distogram.std(dim=-1) > 0).all()


def test_contacts_are_the_mass_below_the_cutoff():
    """Against the softmax, whose sums the head never forms."""
    torch.manual_seed(0)
    head = Distogram(CHANNELS, edges=(3.5, 8.0, 11.0)).double()
    distogram, logits = head.distogram(*inputs()), head(*inputs())
    below = distogram.softmax(dim=-1)[..., :2].sum(dim=-1)
    torch.testing.assert_close(logits.sigmoid(), below, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_each_bin_is_drawn_as_a_residual_network_draws_its_logit(patch):
    """The same trunk: with the weights of one bin in a `ResNet`, its map is that bin's."""
    torch.manual_seed(0)
    head = Distogram(CHANNELS, patch=patch).double()
    torch.nn.init.normal_(head.bias.vectors.weight)
    for number in (0, 4, 9):
        single = ResNet(CHANNELS, patch=patch).double()
        weights = head.state_dict()
        for name in ("logits.weight", "logits.bias"):
            weights[name] = weights[name].unflatten(0, (patch * patch, 10))[:, number]
        weights["bias.vectors.weight"] = weights["bias.vectors.weight"][:, number : number + 1]
        single.load_state_dict(weights, strict=True)
        torch.testing.assert_close(head.distogram(*inputs())[..., number], single(*inputs()))


@pytest.mark.parametrize("edges", [(8.0,), (4.0, 8.0, 20.0), (8.0, 9.0), (2.0, 4.0, 6.0, 8.0)])
def test_starts_with_one_pair_in_twenty_in_contact(edges):
    head = Distogram(CHANNELS, edges=edges).double()
    torch.nn.init.zeros_(head.logits.weight)
    torch.nn.init.zeros_(head.logits.bias)
    expected = torch.full((2, 9, 9), 0.05, dtype=torch.float64)
    torch.testing.assert_close(head(*inputs()).sigmoid(), expected, rtol=1e-6, atol=0)
    mass = head.distogram(*inputs()).exp().sum(dim=-1)
    torch.testing.assert_close(mass, torch.ones_like(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_contacts_stay_exact_in_single_precision_under_autocast(scale):
    head = Distogram(CHANNELS)
    distogram = scale * torch.randn(4, 5, 5, 10, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        logits = head.contact_logits(distogram)
    exact = head.contact_logits(distogram.double())
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.double(), exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "edges",
    [
        (),
        (4.0, 6.0),  # no contact
        (8.0, 8.0),
        (10.0, 8.0),
        (0.0, 8.0),  # nothing is nearer than 0
        (8.0, math.inf),
        (4.0, math.nan, 8.0),
    ],
)
def test_refuses_edges(edges):
    with pytest.raises(ValueError, match="edges must be finite numbers that rise"):
        Distogram(CHANNELS, edges=edges)


def test_a_description_knows_the_edges():
    head = build(describe(Distogram(CHANNELS, edges=[8, 12])), Distogram)
    assert head.edges == (8.0, 12.0)
    assert head.distogram(*inputs(dtype=torch.float32)).shape == (2, 9, 9, 3)
