"""The BiLSTM against a loop over residues."""

import pytest
import torch

from protcontact.models.encoders.recurrent import BiLSTM, permute, reversal


def slow_lstm(lstm, x):
    """One chain ``(L, C)``, gate by gate (Hochreiter and Schmidhuber 1997)."""
    h = c = torch.zeros(lstm.hidden_size, dtype=x.dtype)
    states = []
    for step in x:
        gates = lstm.weight_ih_l0 @ step + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ h + lstm.bias_hh_l0
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states)


def test_equals_a_loop_over_residues():
    torch.manual_seed(0)
    encoder = BiLSTM(channels=5, layers=2).double().eval()
    tokens = torch.randint(0, 20, (1, 11))
    x = encoder.embedding(tokens)[0]
    for ahead, back, norm in zip(
        encoder.forward_lstms, encoder.backward_lstms, encoder.norms, strict=True
    ):
        y = norm(x)
        leftward = slow_lstm(back, y.flip(0)).flip(0)
        x = x + torch.cat([slow_lstm(ahead, y), leftward], dim=-1)
    out = encoder(tokens, torch.ones_like(tokens, dtype=torch.bool))
    torch.testing.assert_close(out[0], x, rtol=1e-12, atol=1e-12)


def test_reversal_reads_backwards_within_the_chain_and_undoes_itself():
    mask = torch.tensor([[True] * 4 + [False], [True] * 5])
    order = reversal(mask)
    assert order.tolist() == [[3, 2, 1, 0, 4], [4, 3, 2, 1, 0]]
    x = torch.randn(2, 5, 3)
    assert torch.equal(permute(permute(x, order), order), x)


def test_refuses_no_layers():
    with pytest.raises(ValueError, match="layers must be >= 1"):
        BiLSTM(layers=0)
