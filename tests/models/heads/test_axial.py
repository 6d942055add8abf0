"""The axial head against loops over rows and columns."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from protcontact.models.encoders.transformer import rotary_angles
from protcontact.models.heads.axial import Axial, AxialBlock, RowAttention


def phases(index, channels):
    frequency = 10_000.0 ** (-torch.arange(0, channels, 2).double() / channels)
    return torch.exp(1j * index[:, None] * frequency)


def slow_row(attention, row, index):
    """One row ``(M, C)`` of real cells, one cell and one head at a time."""
    M, C = row.shape
    K = attention.heads
    parts = attention.qkvg(attention.norm(row)).view(M, 4, K, C // K)
    phase = phases(index, C // K)
    out = torch.zeros(M, K, C // K, dtype=row.dtype)
    for head in range(K):
        q, k, v = (parts[:, n, head] for n in range(3))
        half = C // K // 2
        q, k = (torch.complex(one[:, :half], one[:, half:]) * phase for one in (q, k))
        for at in range(M):
            scores = torch.stack([(q[at] * k[to].conj()).real.sum() for to in range(M)])
            out[at, head] = (scores * (C // K) ** -0.5).softmax(dim=0) @ v
    gate = parts[:, 3].reshape(M, C).sigmoid()
    return attention.out(out.view(M, C) * gate)


@pytest.fixture
def maps():
    """Two maps, the second with one cell of padding; two windows far apart."""
    torch.manual_seed(0)
    real = torch.tensor([[True] * 5, [True] * 4 + [False]])
    cells = (real[:, :, None] & real[:, None, :])[..., None]
    z = torch.randn(2, 5, 5, 8, dtype=torch.float64) * cells
    return z, cells, torch.tensor([[0, 1, 2, 80, 81], [7, 8, 9, 10, 0]])


def test_row_attention_equals_a_loop(maps):
    z, cells, index = maps
    attention = RowAttention(8, 2).double()
    found = attention(z, cells, rotary_angles(index, 4, z.dtype))
    for chain, size in enumerate((5, 4)):
        for row in range(size):
            expected = slow_row(attention, z[chain, row, :size], index[chain, :size])
            torch.testing.assert_close(found[chain, row, :size], expected, rtol=1e-5, atol=1e-5)
    assert not found[1, 4].any()
    assert not found[1, :, 4].any()


def test_a_block_is_rows_then_columns_then_convolutions(maps):
    z, cells, index = maps
    block = AxialBlock(8, 2, dilation=2, dropout=0.0, checkpointing=False).double()
    found = block(z, cells, rotary_angles(index, 4, z.dtype))
    for chain, size in enumerate((5, 4)):
        part, at = z[chain, :size, :size], index[chain, :size]
        part = part + torch.stack([slow_row(block.rows, row, at) for row in part])
        columns = [slow_row(block.columns, part[:, column], at) for column in range(size)]
        part = part + torch.stack(columns, dim=1)
        expected = block.convolutions(part[None], cells[chain : chain + 1, :size, :size])[0]
        torch.testing.assert_close(found[chain, :size, :size], expected, rtol=1e-4, atol=1e-4)


def moved(head, place):
    """Pairs whose logit moves with one residue's vector, and by how much."""
    x = torch.randn(1, 12, 4, dtype=torch.float64)
    mask = torch.ones(1, 12, dtype=torch.bool)
    changed = x.clone()
    changed[0, place] += 1.0
    return (head(x, mask) - head(changed, mask)).abs()[0]


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_a_pair_sees_all_of_its_row_and_column_in_one_block(patch):
    """Convolutions that add nothing, so only attention can carry what a residue changes."""
    torch.manual_seed(0)
    head = Axial(4, channels=8, blocks=1, patch=patch).double().eval()
    for parameter in head.blocks[0].convolutions.second.parameters():
        torch.nn.init.zeros_(parameter)
    assert (moved(head, 5) > 0).all()
    for attention in (head.blocks[0].rows, head.blocks[0].columns):
        torch.nn.init.zeros_(attention.out.weight)
    quiet = moved(head, 5) == 0
    first = 5 - 5 % patch
    apart = [i for i in range(12) if not first <= i < first + patch]
    assert quiet[apart][:, apart].all()


def test_no_map_of_weights_is_kept():
    """Of M x M cells with C channels nothing of size M x M x M is stored for the way back."""
    head, M = Axial(4, channels=8, blocks=1, heads=2, patch=1), 64
    sizes = []

    def note(tensor):
        sizes.append(tensor.numel())
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        head(torch.randn(1, M, 4, requires_grad=True), torch.ones(1, M, dtype=torch.bool))
    assert max(sizes) <= 4 * 8 * M * M < M**3


@pytest.mark.parametrize("sizes", [{"blocks": 0}, {"dilations": ()}, {"channels": 6, "heads": 2}])
def test_refuses(sizes):
    with pytest.raises(ValueError, match="at least one dilation must be >= 1 and channels"):
        Axial(4, **sizes)
