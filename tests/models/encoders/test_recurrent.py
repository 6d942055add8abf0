"""The recurrent encoders against loops over residues."""

import pytest
import torch

from protcontact.models.encoders.recurrent import BiGRU, BiLSTM, BiRNN, permute, reversal
from protcontact.training.checkpoint import build, describe


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


def slow_gru(gru, x):
    """One chain ``(L, C)``, gate by gate (Cho et al. 2014; the reset gate where torch has it)."""
    h = torch.zeros(gru.hidden_size, dtype=x.dtype)
    states = []
    for step in x:
        r, z, n = (gru.weight_ih_l0 @ step + gru.bias_ih_l0).chunk(3)
        hr, hz, hn = (gru.weight_hh_l0 @ h + gru.bias_hh_l0).chunk(3)
        z = (z + hz).sigmoid()
        h = z * h + (1 - z) * (n + (r + hr).sigmoid() * hn).tanh()
        states.append(h)
    return torch.stack(states)


def slow_rnn(rnn, x):
    """One chain ``(L, C)``, step by step."""
    h = torch.zeros(rnn.hidden_size, dtype=x.dtype)
    states = []
    for step in x:
        h = rnn.weight_ih_l0 @ step + rnn.bias_ih_l0 + rnn.weight_hh_l0 @ h + rnn.bias_hh_l0
        h = h.relu() if rnn.nonlinearity == "relu" else h.tanh()
        states.append(h)
    return torch.stack(states)


CASES = {
    "BiLSTM": (BiLSTM, {}, "lstms", slow_lstm),
    "BiGRU": (BiGRU, {}, "grus", slow_gru),
    "BiRNN": (BiRNN, {}, "rnns", slow_rnn),
    "BiRNN, relu": (BiRNN, {"nonlinearity": "relu"}, "rnns", slow_rnn),
}


@pytest.mark.parametrize(("kind", "options", "name", "slow"), CASES.values(), ids=CASES)
def test_equals_a_loop_over_residues(kind, options, name, slow):
    torch.manual_seed(0)
    encoder = kind(channels=5, layers=2, **options).double().eval()
    tokens = torch.randint(0, 20, (1, 11))
    x = encoder.embedding(tokens)[0]
    for ahead, back, norm in zip(
        getattr(encoder, f"forward_{name}"),
        getattr(encoder, f"backward_{name}"),
        encoder.norms,
        strict=True,
    ):
        y = norm(x)
        leftward = slow(back, y.flip(0)).flip(0)
        x = x + torch.cat([slow(ahead, y), leftward], dim=-1)
    out = encoder(tokens, torch.ones_like(tokens, dtype=torch.bool))
    torch.testing.assert_close(out[0], x, rtol=1e-12, atol=1e-12)


def test_trained_checkpoints_of_the_bilstm_stay_readable():
    """Names for the weights, their order for the state of the optimizer, arguments to rebuild."""
    encoder = BiLSTM(channels=3, layers=1)
    cell = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    assert [name for name, _ in encoder.named_parameters()] == [
        "embedding.letters.weight",
        *(f"forward_lstms.0.{part}" for part in cell),
        *(f"backward_lstms.0.{part}" for part in cell),
        "norms.0.weight",
        "norms.0.bias",
    ]
    assert list(encoder.state_dict()) == [name for name, _ in encoder.named_parameters()]
    assert describe(encoder) == {
        "class_path": "protcontact.models.encoders.recurrent.BiLSTM",
        "init_args": {
            "channels": 3,
            "layers": 1,
            "dropout": 0.0,
            "corruption": 0.0,
            "substitution": 0.0,
        },
    }


def test_a_checkpoint_knows_the_nonlinearity():
    encoder = build(describe(BiRNN(nonlinearity="relu")), BiRNN)
    assert {cell.nonlinearity for cell in encoder.forward_rnns} == {"relu"}
    assert {cell.nonlinearity for cell in BiRNN().backward_rnns} == {"tanh"}


def test_reversal_reads_backwards_within_the_chain_and_undoes_itself():
    mask = torch.tensor([[True] * 4 + [False], [True] * 5])
    order = reversal(mask)
    assert order.tolist() == [[3, 2, 1, 0, 4], [4, 3, 2, 1, 0]]
    x = torch.randn(2, 5, 3)
    assert torch.equal(permute(permute(x, order), order), x)


@pytest.mark.parametrize("kind", [BiLSTM, BiGRU, BiRNN])
def test_refuses_no_layers(kind):
    with pytest.raises(ValueError, match="layers must be >= 1"):
        kind(layers=0)


def test_refuses_another_nonlinearity():
    with pytest.raises(ValueError, match="sigmoid"):
        BiRNN(nonlinearity="sigmoid")
