"""The running sum over maps against the stack of all maps."""

import torch

from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.attention_regression import AttentionRegression, AttentionSum
from protcontact.models.pairing import average_product_correction


def dense(weights, stack):
    """Symmetrise, correct and weigh ``(layers, B, K, L, L)``: everything in memory at once."""
    corrected = average_product_correction(stack + stack.transpose(-1, -2))
    return torch.einsum("nk,nbkij->bij", weights, corrected)


def test_running_sum_equals_the_dense_stack_on_a_transformer():
    torch.manual_seed(0)
    encoder = Transformer(channels=16, layers=3, heads=2).double().eval()
    tokens = torch.randint(0, 20, (2, 13))
    mask = torch.ones(2, 13, dtype=torch.bool)
    mask[1, 9:] = False
    tokens[1, 9:] = 21
    weights = torch.randn(3, 2, dtype=torch.float64)
    stack = []
    running = AttentionSum(weights)
    encoder(tokens, mask, visitor=lambda layer, maps: stack.append(maps.double()))
    encoder(tokens, mask, visitor=running)
    torch.testing.assert_close(
        running.total.double(), dense(weights, torch.stack(stack)), rtol=1e-5, atol=1e-6
    )


def test_running_sum_is_exact_in_float64():
    torch.manual_seed(1)
    stack = torch.rand(4, 2, 3, 7, 7, dtype=torch.float64)
    weights = torch.randn(4, 3, dtype=torch.float64)
    running = AttentionSum(weights)
    for layer, maps in enumerate(stack):
        running(layer, maps)
    torch.testing.assert_close(running.total, dense(weights, stack), rtol=1e-13, atol=1e-14)


def test_half_precision_maps_are_summed_in_float32():
    running = AttentionSum(torch.ones(1, 1))
    with torch.autocast("cpu", torch.bfloat16):
        running(0, torch.full((1, 1, 512, 512), 1.0, dtype=torch.float16))
    assert running.total.dtype == torch.float32
    assert running.total.abs().max() < 1e-2


def test_head_is_a_logistic_regression_over_its_own_maps():
    torch.manual_seed(2)
    head = AttentionRegression(6, heads=2, head_channels=4)
    x = torch.randn(1, 8, 6)
    mask = torch.ones(1, 8, dtype=torch.bool)
    q = head.query(x).view(1, 8, 2, 4).transpose(1, 2)
    k = head.key(x).view(1, 8, 2, 4).transpose(1, 2)
    maps = (q @ k.transpose(-1, -2) / 2.0).softmax(-1)
    bias = head.separation(torch.arange(8)[None]).squeeze(-1)
    expected = dense(head.weight, maps[None]) + bias
    torch.testing.assert_close(head(x, mask), expected, rtol=1e-4, atol=1e-4)
