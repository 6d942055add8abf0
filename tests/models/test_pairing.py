"""Pair operations against their slow definitions."""

import pytest
import torch

from protcontact.models.pairing import (
    PairFeatures,
    SeparationEmbedding,
    attention_maps,
    average_product_correction,
    symmetrize,
)


def slow_apc(matrix):
    L = len(matrix)
    corrected = torch.zeros_like(matrix)
    total = sum(float(matrix[a, b]) for a in range(L) for b in range(L))
    for i in range(L):
        for j in range(L):
            row = sum(float(matrix[i, b]) for b in range(L))
            column = sum(float(matrix[a, j]) for a in range(L))
            corrected[i, j] = matrix[i, j] - row * column / total
    return corrected


def test_apc_equals_its_definition():
    maps = torch.rand(2, 6, 6, dtype=torch.float64)
    expected = torch.stack([slow_apc(matrix) for matrix in maps])
    torch.testing.assert_close(average_product_correction(maps), expected)


def test_apc_removes_a_product_completely():
    row = torch.rand(7, dtype=torch.float64)
    corrected = average_product_correction(row[:, None] * row)
    assert corrected.abs().max() < 1e-15


def test_apc_of_zeros_is_zero():
    assert torch.equal(average_product_correction(torch.zeros(3, 3)), torch.zeros(3, 3))


def test_apc_is_float32_under_autocast():
    """In half precision the product of two row sums overflows from L = 256 on."""
    maps = torch.full((512, 512), 1.0, dtype=torch.float16)
    with torch.autocast("cpu", torch.bfloat16):
        corrected = average_product_correction(maps)
    assert corrected.dtype == torch.float32
    assert torch.isfinite(corrected).all()
    assert corrected.abs().max() < 1e-3


def test_symmetrize():
    x = torch.tensor([[1.0, 2.0], [4.0, 3.0]])
    assert torch.equal(symmetrize(x), torch.tensor([[1.0, 3.0], [3.0, 3.0]]))


def test_attention_maps_are_softmax_rows_and_zero_at_padding():
    q, k = torch.randn(2, 1, 2, 4, 8, dtype=torch.float64).unbind(0)
    mask = torch.tensor([[True, True, True, False]])
    maps = attention_maps(q.float(), k.float(), mask)
    for head in range(2):
        for i in range(3):
            row = torch.stack([(q[0, head, i] * k[0, head, j]).sum() / 8**0.5 for j in range(3)])
            torch.testing.assert_close(
                maps[0, head, i, :3].double(), row.softmax(0), atol=1e-6, rtol=0
            )
    assert (maps[..., 3] == 0).all()
    assert (maps[..., 3, :] == 0).all()


@pytest.mark.parametrize(
    ("separation", "expected"), [(0, 0), (1, 1), (31, 31), (32, 32), (1024, 47), (50_000, 47)]
)
def test_separation_bins(separation, expected):
    index = torch.tensor([[0, max(separation, 0)]])
    assert SeparationEmbedding(1).bins(index)[0, 0, 1] == expected


def test_separation_bins_never_fall():
    bins = SeparationEmbedding(1).bins(torch.arange(3000)[None])[0, 0]
    assert (bins.diff() >= 0).all()
    assert bins.max() == SeparationEmbedding.BINS - 1


def test_bias_of_a_separation_has_the_gradient_of_an_embedding():
    torch.manual_seed(0)
    bias = SeparationEmbedding(1).double()
    index = torch.cat([torch.arange(5), torch.arange(90, 95)])[None].expand(2, -1)
    weights = torch.randn(2, 10, 10, 1, dtype=torch.float64)
    results = []
    for vectors in (bias(index), bias.vectors(bias.bins(index))):
        [gradient] = torch.autograd.grad((vectors * weights).sum(), bias.vectors.weight)
        results.append((vectors, gradient))
    torch.testing.assert_close(*results)


def test_pair_features_are_a_linear_layer_of_the_concatenation_plus_a_product():
    torch.manual_seed(0)
    features = PairFeatures(3, 4).double()
    x = torch.randn(1, 5, 3, dtype=torch.float64)
    mask = torch.ones(1, 5, dtype=torch.bool)
    z, cells = features(x, mask, torch.arange(5)[None])
    assert cells.all()
    for i in range(5):
        for j in range(5):
            a, c = features.rows(x[0, i]).chunk(2)
            b, d = features.columns(x[0, j]).chunk(2)
            expected = a + b + c * d + features.separation.vectors.weight[abs(i - j)]
            torch.testing.assert_close(z[0, i, j], expected)
