"""The Transformer: fused attention against shown maps, rotary positions against complex numbers."""

import pytest
import torch

from protcontact.models.encoders.transformer import Transformer, rotary_angles, rotate


def test_visitor_sees_every_layer_once_and_changes_nothing():
    torch.manual_seed(0)
    encoder = Transformer(channels=16, layers=3, heads=2).double().eval()
    tokens = torch.randint(0, 20, (2, 9))
    mask = torch.ones(2, 9, dtype=torch.bool)
    seen = []
    shown = encoder(tokens, mask, visitor=lambda layer, maps: seen.append((layer, maps)))
    torch.testing.assert_close(shown, encoder(tokens, mask), rtol=1e-6, atol=1e-6)
    assert [layer for layer, _ in seen] == [0, 1, 2]
    for _, maps in seen:
        assert maps.shape == (2, 2, 9, 9)
        torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps.sum(-1)))


def test_rotation_is_multiplication_by_a_complex_phase():
    x = torch.randn(1, 1, 5, 6, dtype=torch.float64)
    index = torch.tensor([[0, 1, 2, 700, 701]])
    turned = rotate(x, rotary_angles(index, 6, torch.float64))
    frequency = 10_000.0 ** (-torch.arange(0, 6, 2).double() / 6)
    phase = torch.exp(1j * index[0, :, None] * frequency)
    expected = torch.complex(x[0, 0, :, :3], x[0, 0, :, 3:]) * phase
    torch.testing.assert_close(
        torch.complex(turned[0, 0, :, :3], turned[0, 0, :, 3:]), expected, atol=1e-4, rtol=0
    )


def test_attention_depends_on_relative_place_only():
    torch.manual_seed(0)
    encoder = Transformer(channels=16, layers=2, heads=2).double().eval()
    tokens = torch.randint(0, 20, (1, 7))
    mask = torch.ones(1, 7, dtype=torch.bool)
    index = torch.arange(7)[None]
    torch.testing.assert_close(
        encoder(tokens, mask, index), encoder(tokens, mask, index + 300), atol=1e-3, rtol=0
    )
    with pytest.raises(AssertionError):
        torch.testing.assert_close(
            encoder(tokens, mask, index), encoder(tokens, mask, index * 3), atol=1e-3, rtol=0
        )


def test_positions_survive_bfloat16():
    """In bfloat16 integers above 256 collapse; the angles are formed in float32."""
    cosine, _ = rotary_angles(torch.tensor([[1000, 1001]]), 8, torch.bfloat16)
    assert cosine[0, 0, 0, 0] != cosine[0, 0, 1, 0]


def test_refuses_odd_heads():
    with pytest.raises(ValueError, match="multiple of 2"):
        Transformer(channels=12, heads=4)
