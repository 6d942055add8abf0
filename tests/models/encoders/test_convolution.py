"""The dilated convolution against a loop, and its receptive field against what gradients reach."""

import pytest
import torch
from torch.nn import functional

from protcontact.models.encoders.convolution import DilatedConvolution


def slow_block(block, x, dilation):
    """One chain ``(L, C)``, residue by residue and tap by tap; beyond its ends there is nothing."""
    L = len(x)
    y = block.norm(x)
    weight, bias = block.convolution.weight, block.convolution.bias
    half = weight.shape[2] // 2
    rows = []
    for i in range(L):
        taps = [(k, i + (k - half) * dilation) for k in range(weight.shape[2])]
        rows.append(bias + sum(weight[:, :, k] @ y[j] for k, j in taps if 0 <= j < L))
    return x + block.mix(functional.gelu(torch.stack(rows)))


@pytest.mark.parametrize("kernel", [3, 5])
def test_equals_a_loop_over_residues(kernel):
    torch.manual_seed(0)
    encoder = DilatedConvolution(channels=4, blocks=3, kernel=kernel).double().eval()
    tokens = torch.randint(0, 20, (1, 13))
    x = encoder.embedding(tokens)[0]
    for block, dilation in zip(encoder.blocks, (1, 2, 4), strict=True):
        x = slow_block(block, x, dilation)
    out = encoder(tokens, torch.ones_like(tokens, dtype=torch.bool))
    torch.testing.assert_close(out[0], encoder.norm(x), rtol=1e-12, atol=1e-12)


def reached(encoder, length, place):
    """``(L,)``: the gradient of one residue's vector reaches these residues."""
    found = []
    handle = encoder.embedding.register_forward_hook(lambda *call: found.append(call[-1]))
    tokens = torch.randint(0, 20, (1, length))
    out = encoder(tokens, torch.ones_like(tokens, dtype=torch.bool))
    handle.remove()
    cotangent = torch.randn(encoder.out_channels, dtype=out.dtype)
    (back,) = torch.autograd.grad(out[0, place] @ cotangent, found)
    return (back[0] != 0).any(dim=-1)


@pytest.mark.parametrize(
    ("blocks", "kernel", "reach"), [(1, 3, 1), (4, 3, 15), (3, 5, 14), (3, 7, 21), (10, 3, 1023)]
)
def test_receptive_field_is_exact(blocks, kernel, reach):
    """Exactly 0 outside, and all of the residues inside."""
    torch.manual_seed(0)
    encoder = DilatedConvolution(channels=4, blocks=blocks, kernel=kernel).double().eval()
    assert (encoder.reach, encoder.receptive_field) == (reach, 2 * reach + 1)
    length = encoder.receptive_field + 20
    for place in (reach + 7, 0, length - 1):  # the whole field inside the chain, and half of it
        inside = (torch.arange(length) - place).abs() <= reach
        assert torch.equal(reached(encoder, length, place), inside)


def test_the_ten_blocks_of_the_config_reach_a_thousand_residues():
    assert DilatedConvolution(channels=1, blocks=10).reach >= 1000


@pytest.mark.parametrize(
    "settings", [{"channels": 0}, {"blocks": 0}, {"kernel": 1}, {"kernel": 4}, {"kernel": -3}]
)
def test_refuses(settings):
    with pytest.raises(ValueError, match="kernel an odd number >= 3, not"):
        DilatedConvolution(**settings)
