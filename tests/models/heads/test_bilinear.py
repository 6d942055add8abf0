"""The bilinear head against a double loop."""

import torch

from protcontact.models.heads.bilinear import Bilinear


def test_equals_a_double_loop():
    torch.manual_seed(0)
    head = Bilinear(6, rank=3).double()
    x = torch.randn(1, 5, 6, dtype=torch.float64)
    logits = head(x, torch.ones(1, 5, dtype=torch.bool))[0]
    for i in range(5):
        for j in range(5):
            form = (head.left(x[0, i]) @ head.right(x[0, j])) / 3**0.5
            other = (head.left(x[0, j]) @ head.right(x[0, i])) / 3**0.5
            bias = head.separation.vectors.weight[abs(i - j), 0]
            expected = 0.5 * (form + other) + bias
            torch.testing.assert_close(logits[i, j], expected, atol=1e-12, rtol=0)
