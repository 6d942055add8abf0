"""The running sum against the stack of all maps, in pieces of every size."""

import pytest
import torch

from protcontact.models import attention_sum
from protcontact.models.attention_sum import ContactSum
from protcontact.models.pairing import average_product_correction

LAYERS, K, D = 3, 4, 5


def inputs(T, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(LAYERS, K, T, D, generator=generator, dtype=dtype) for _ in range(3)]
    return torch.randn(LAYERS, K, generator=generator, dtype=dtype), *draw


def dense(weights, q, k):
    """All maps at once, cut, symmetrised, corrected, weighted."""
    maps = (q @ k.mT).softmax(dim=-1)[..., 1:-1, 1:-1]
    corrected = average_product_correction(maps + maps.mT)
    return torch.einsum("lk,lkij->ij", weights, corrected)


@pytest.mark.parametrize("T", [3, 4, 17, 30])
@pytest.mark.parametrize("size", [1, 20, 300, 10_000])
def test_pieces_make_the_whole(monkeypatch, T, size):
    monkeypatch.setattr(attention_sum, "CACHED", size)
    weights, q, k, v = inputs(T)
    total = ContactSum(weights, T)
    for layer in range(LAYERS):
        y = total.attend(layer, q[layer], k[layer], v[layer])
        truth = (q[layer] @ k[layer].mT).softmax(dim=-1) @ v[layer]
        torch.testing.assert_close(y, truth, rtol=1e-12, atol=1e-14)
    found = total.logits()
    torch.testing.assert_close(found, dense(weights, q, k), rtol=1e-11, atol=1e-13)
    assert torch.equal(found, found.T)


@pytest.mark.parametrize("zeros", [[0], [1, 2], [0, 1, 2, 3]])
def test_heads_without_weight(zeros):
    weights, q, k, v = inputs(12)
    weights[1, zeros] = 0
    total = ContactSum(weights, 12)
    for layer in range(LAYERS):
        y = total.attend(layer, q[layer], k[layer], v[layer])
        truth = (q[layer] @ k[layer].mT).softmax(dim=-1) @ v[layer]
        torch.testing.assert_close(y, truth, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(total.logits(), dense(weights, q, k), rtol=1e-11, atol=1e-13)


def test_the_last_layer_that_counts():
    weights, q, k, _ = inputs(9)
    assert ContactSum(weights, 9).last_layer == 2
    weights[2] = 0
    assert ContactSum(weights, 9).last_layer == 1
    total = ContactSum(weights, 9)
    for layer in range(2):
        total.look(layer, q[layer], k[layer])
    torch.testing.assert_close(total.logits(), dense(weights, q, k), rtol=1e-11, atol=1e-13)
    assert ContactSum(0 * weights, 9).last_layer == 0
    assert float(ContactSum(0 * weights, 9).logits().abs().max()) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    """Rows of (A + A^T) add up to 2 L; their products overflow half precision from L = 256 on."""
    T = 600
    weights, q, k, v = inputs(T, dtype=torch.float32)
    total = ContactSum(weights.to(dtype), T)
    for layer in range(LAYERS):
        y = total.attend(layer, q[layer].to(dtype), k[layer].to(dtype), v[layer].to(dtype))
        assert y.dtype == dtype
    found = total.logits()
    assert found.dtype == torch.float32 and bool(found.isfinite().all())
    truth = dense(weights.double(), q.double(), k.double())
    assert float((found - truth).abs().max()) < 0.1 * float(truth.abs().max())


@pytest.mark.parametrize("size", [1, 10_000])
def test_autocast_changes_nothing(monkeypatch, size):
    """The sum of the same queries and keys, in float32 whatever products outside are in."""
    monkeypatch.setattr(attention_sum, "CACHED", size)
    weights, q, k, v = (x.float() for x in inputs(30))
    q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()
    plain, inside = ContactSum(weights, 30), ContactSum(weights, 30)
    for layer in range(LAYERS):
        plain.attend(layer, q[layer], k[layer], v[layer])
        with torch.autocast("cpu", torch.bfloat16):
            inside.attend(layer, q[layer], k[layer], v[layer])
    with torch.autocast("cpu", torch.bfloat16):
        found = inside.logits()
    # of the products q k^T alone in float32 or not
    assert float((found - plain.logits()).abs().max()) < 1e-6 * float(found.abs().max())


def test_memory_is_that_of_one_map(monkeypatch):
    """T x T once for the sum, and pieces of the cache's size, for any number of heads."""
    T = 200
    weights, q, k, v = inputs(T)
    total = ContactSum(weights, T)
    monkeypatch.setattr(attention_sum, "CACHED", 2 * T * T)
    for layer in range(LAYERS):
        total.attend(layer, q[layer], k[layer], v[layer])
    held = sum(a.numel() + b.numel() for a, b in total._pieces.values())
    assert total.total.numel() == T * T
    assert held <= 2 * 2 * T * T  # scores and maps
