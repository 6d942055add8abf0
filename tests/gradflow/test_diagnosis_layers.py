"""What the layers' readings are, against the slow way; and means of curves of any length."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from protcontact.gradflow.diagnosis_layers import (
    COSTATE,
    FAR,
    GATES,
    HANDED,
    SINGULAR,
    LayerReadings,
    joined,
    mean_curve,
)
from protcontact.metrics.loss import masked_contact_loss
from protcontact.models.contract import Encoder
from protcontact.models.encoders.recurrent import BiGRU, BiLSTM, BiRNN
from protcontact.models.encoders.transformer import Transformer
from tests.gradflow.test_untouched import Gram, contact_model, random_batch

NAN = math.nan


def curves(*rows):
    return [torch.tensor(row, dtype=torch.float64) for row in rows]


def values(readings, probe, where):
    return [r.value for r in readings if (r.probe, r.where) == (probe, where)]


def test_means_of_curves():
    rows = curves([0.0, 2.0], [1.0, NAN, 5.0])
    assert mean_curve(rows).tolist() == [0.5, 2.0, 5.0]


def test_a_joined_curve_does_not_jump_where_a_chain_ends():
    steep, flat = [-3.0 * d for d in range(4)], [-1.0 * d for d in range(7)]
    assert joined(curves(steep, flat)).tolist() == [0, -2, -4, -6, -7, -8, -9]
    assert joined(curves(flat)).tolist() == flat
    beyond = joined(curves([0.0, -1.0, -math.inf, -math.inf]))
    assert beyond.tolist() == [0, -1, -math.inf, -math.inf]


@pytest.mark.parametrize("kind", [BiGRU, BiRNN])
def test_costates_of_other_recurrences_are_those_of_autograd(kind):
    """The gradient by each state of the unrolled layer, of what the loss sends to the last."""
    model, batch = contact_model(kind), random_batch([20])
    layers = LayerReadings(model, 6, 1.0)
    layers.add(batch)
    found = values(layers.readings(), COSTATE, f"encoder.backward_{kind.__name__[2:].lower()}s.1")
    module = [*model.encoder.children()][2][1]
    kept = []
    handle = module.register_forward_hook(lambda m, args, out: kept.append((args[0], out[0])))
    loss = masked_contact_loss(model(batch), batch)
    handle.remove()
    x, output = kept[0]
    [sent] = torch.autograd.grad(loss, output)
    state = torch.zeros(1, 1, module.hidden_size, dtype=torch.float64, requires_grad=True)
    states = []
    for t in range(20):
        state = module(x[:, t : t + 1].detach(), state)[1]
        states.append(state)
    grads = torch.autograd.grad((states[-1][0, 0] * sent[0, -1]).sum(), states)
    logs = [float(g.norm().log10()) for g in reversed(grads)]
    assert found == pytest.approx([value - logs[0] for value in logs], abs=1e-10)


def test_layers_are_named_in_their_order():
    layers = LayerReadings(contact_model(BiLSTM), 6, 1.0)
    layers.add(random_batch([20]))
    found = layers.readings()
    names = ["forward_lstms.0", "forward_lstms.1", "backward_lstms.0", "backward_lstms.1"]
    for probe in (COSTATE, SINGULAR, GATES["f"], GATES["i"], GATES["o"]):
        places = list(dict.fromkeys(r.where for r in found if r.probe == probe))
        assert places == [f"encoder.{name}" for name in names]
    gates = [
        (r.index, r.value)
        for r in found
        if r.probe == GATES["o"] and r.where == "encoder.forward_lstms.0"
    ]
    assert [index for index, _ in gates] == pytest.approx([0.025 + 0.05 * k for k in range(20)])
    assert sum(value for _, value in gates) == pytest.approx(1)


def test_two_chains_count_alike():
    model, one, two = contact_model(Transformer), random_batch([20]), random_batch([30], seed=5)
    alone = []
    for chains in ([one], [two], [one, two]):
        layers = LayerReadings(model, 6, 1.0)
        for batch in chains:
            layers.add(batch)
        alone.append(layers.readings())
    for probe, where in ((SINGULAR, "encoder.blocks.1"), (FAR, "24 residues or more, by layer")):
        a, b, both = (torch.tensor(values(found, probe, where)) for found in alone)
        torch.testing.assert_close(both, (a + b) / 2)
    assert len(values(alone[2], HANDED, "encoder.blocks.0")) == 30
    shares = values(alone[2], FAR, "24 residues or more, by layer")
    assert all(0 < share < 1 for share in shares)


def test_a_loss_without_pairs_sends_nothing():
    batch = random_batch([12])
    blank = replace(batch, coordinates=torch.full((1, 12, 3), NAN))
    layers = LayerReadings(contact_model(BiLSTM), 6, 1.0)
    layers.add(blank)
    assert all(map(math.isnan, values(layers.readings(), COSTATE, "encoder.forward_lstms.0")))


class Started(Encoder):
    """A recurrence with a first state of its own, called by the names of its arguments."""

    def __init__(self, out_channels=4, kind=nn.GRU):
        super().__init__()
        self.out_channels = out_channels
        self.embedding = nn.Embedding(22, 3)
        self.rnn = kind(3, out_channels)
        self.first = nn.Parameter(torch.randn(2, 1, 1, out_channels))

    def forward(self, tokens, mask, index=None):
        state = self.first.expand(-1, -1, len(tokens), -1).contiguous()
        hx = tuple(state) if isinstance(self.rnn, nn.LSTM) else state[0]
        return self.rnn(hx=hx, input=self.embedding(tokens).transpose(0, 1))[0].transpose(0, 1)


class Packed(Started):
    """Packs its chains, as other packages do; and has a recurrence that is never called."""

    def __init__(self, out_channels=4, kind=nn.GRU):
        super().__init__(out_channels, kind)
        self.idle = kind(3, 3)

    def forward(self, tokens, mask, index=None):
        x = self.embedding(tokens).transpose(0, 1)
        packed = nn.utils.rnn.pack_padded_sequence(x, mask.sum(dim=1).cpu(), enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0])[0].transpose(0, 1)


class Joined(Encoder):
    """Both directions in one GRU."""

    def __init__(self, out_channels=8):
        super().__init__()
        self.out_channels = out_channels
        self.embedding = nn.Embedding(22, 3)
        self.rnn = nn.GRU(3, 4, bidirectional=True, batch_first=True)

    def forward(self, tokens, mask, index=None):
        return self.rnn(self.embedding(tokens))[0]


class Stacked(Encoder):
    """An LSTM of two layers and both directions in one module, as other packages have it."""

    def __init__(self, out_channels=8):
        super().__init__()
        self.out_channels = out_channels
        self.embedding = nn.Embedding(22, 3)
        self.rnn = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, tokens, mask, index=None):
        return self.rnn(self.embedding(tokens))[0]


def test_a_module_of_several_layers_has_costates_and_gates_and_no_spectrum():
    layers = LayerReadings(contact_model(Stacked), 6, 1.0)
    layers.add(random_batch([20]))
    found = layers.readings()
    names = {r.where for r in found if r.probe == COSTATE}
    assert names == {f"encoder.rnn.l{k}{way}" for k in (0, 1) for way in ("", "_reverse")}
    reasons = [r.where for r in found if r.probe == "left_out"]
    assert "spectra of steps: no recurrence of one layer and one direction in a Stacked" in reasons


def left_out(layers):
    return [r.where for r in layers.readings() if r.probe == "left_out"]


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU])
def test_a_first_state_that_is_given_counts(kind):
    """Costates of the unrolled layer, that begins where the encoder says."""
    model, batch = contact_model(Started, Gram, kind=kind), random_batch([20])
    layers = LayerReadings(model, 6, 1.0)
    layers.add(batch)
    found = values(layers.readings(), COSTATE, "encoder.rnn")
    module = model.encoder.rnn
    x = model.encoder.embedding(batch.tokens)[0]
    states, state = [], model.encoder.first[0, 0]
    for now in x:
        state = module(now.view(1, 1, -1), state.view(1, 1, -1))[1][0, 0]
        states.append(state)
    y = torch.stack(states)
    logits = model.head(y[None], batch.mask, batch.index)
    [sent] = torch.autograd.grad(masked_contact_loss(logits, batch), y, retain_graph=True)
    last = int(sent.ne(0).any(dim=1).nonzero().max())
    costates = torch.autograd.grad((y[last] * sent[last]).sum(), states[: last + 1])
    logs = [float(g.norm().log10()) for g in reversed(costates)]
    expected = [value - logs[0] for value in logs]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [BiGRU, BiRNN, BiLSTM])
def test_costates_begin_where_the_loss_sends_something(kind):
    """Ends that are not resolved get no gradient from a head that compares pairs alone."""
    batch = random_batch([30], unresolved=0.0)
    coordinates = batch.coordinates.clone()
    coordinates[:, :4] = coordinates[:, -5:] = NAN
    model = contact_model(kind, Gram, layers=1)
    layers = LayerReadings(model, 6, 1.0)
    layers.add(replace(batch, coordinates=coordinates))
    name = kind.__name__[2:].lower()
    for way, steps in (("forward", 25), ("backward", 26)):  # from residue 24 on; back from 4
        found = values(layers.readings(), COSTATE, f"encoder.{way}_{name}s.0")[:steps]
        assert found[0] == 0 and all(map(math.isfinite, found))
        assert found[-1] < -1


def test_what_cannot_be_measured_is_named_with_the_reason():
    layers = LayerReadings(contact_model(Packed), 6, 1.0)
    layers.add(random_batch([20]))
    reasons = left_out(layers)
    assert "encoder.rnn: PackedSequence (give it a padded batch)" in reasons
    assert "encoder.idle: it was not called" in reasons
    both = LayerReadings(contact_model(Joined), 6, 1.0)
    both.add(random_batch([20]))
    [costates, *_] = left_out(both)
    assert costates == (
        "costate against time: no LSTM, and no other recurrence of one layer and one direction "
        "in a Joined"
    )


def test_a_hole_in_a_curve_does_not_lose_its_place():
    """Distances that nobody is at: the curve goes on from where it was last finite."""
    whole, holed = [-2.0 * d for d in range(5)], [-2.0, NAN, NAN, -8.0, -10.0]
    assert joined(curves(whole, holed)).tolist() == [-1, -3, -5, -7, -9]
