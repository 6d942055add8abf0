"""The conditional mean of a Gaussian, by the covariance of all others."""

import torch

from protcontact.gradflow.couplings import ConditionalMean, random_precision

L, C = 6, 2


def precision(seed=0, share=0.3):
    return random_precision(L, C, share, torch.Generator().manual_seed(seed))


def test_it_guesses_what_the_covariance_says():
    """``E[x_i | rest] = S_i,rest S_rest,rest^-1 x_rest``: the textbook's other form."""
    p = precision()
    model = ConditionalMean(p)
    covariance = torch.linalg.inv(p.reshape(L * C, L * C)).view(L, C, L, C)
    tokens = torch.arange(L)[None]
    found = model(tokens, tokens >= 0)[0]
    x = model.embedding(tokens)[0]
    for i in range(L):
        rest = [j for j in range(L) if j != i]
        size = len(rest) * C
        cross = covariance[i][:, rest].reshape(C, size)
        inner = covariance[rest][:, :, rest].reshape(size, size)
        expected = cross @ torch.linalg.solve(inner, x[rest].reshape(size))
        torch.testing.assert_close(found[i], expected, rtol=1e-11, atol=1e-13)


def test_couplings_with_one_channel_are_ratios():
    p = random_precision(5, 1, 0.4, torch.Generator().manual_seed(1))
    found = ConditionalMean(p).couplings()[:, 0, :, 0]
    flat = p[:, 0, :, 0]
    expected = -flat / flat.diagonal()[:, None]
    expected.fill_diagonal_(0)
    torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)


def test_random_precision_is_sparse_symmetric_and_positive():
    p = random_precision(30, C, 0.05, torch.Generator().manual_seed(2))
    flat = p.reshape(60, 60)
    assert torch.equal(flat, flat.T)
    assert float(torch.linalg.eigvalsh(flat).min()) > 0
    assert all(float(p[i, :, i].tril(-1).abs().max()) > 0 for i in range(30))  # not diagonal
    coupled = (p != 0).any(dim=3).any(dim=1)
    assert bool(coupled.diagonal(1).all())
    assert 29 < int(coupled.triu(1).sum()) < 29 + 0.15 * 435
