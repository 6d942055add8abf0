"""The regression over the encoder's own maps against a stack of all maps, in float64."""

import itertools

import pytest
import torch

from protcontact.errors import InputError
from protcontact.gradflow.diagnosis import measure_diagnosis
from protcontact.metrics.loss import masked_contact_loss
from protcontact.models.contract import ContactModel, Encoder, PairHead
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.encoders.esm2_frozen import FrozenESM2
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.attention_maps import SCALE, AttentionMaps
from protcontact.training.checkpoint import build, describe
from tests.gradflow.test_untouched import random_batch
from tests.models.discovery import ENCODERS, MAP_HEADS
from tests.models.heads.test_attention_regression import dense

WITH_MAPS = [kind for kind in ENCODERS if kind.maps is not None or kind().maps is not None]


def model_of(kind, seed=0):
    torch.manual_seed(seed)
    model = ContactModel(kind(), AttentionMaps(7)).double()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    torch.nn.init.normal_(model.head.separation.vectors.weight)
    return model.eval()


def slow(model, batch):
    """Everything in memory at once."""
    stack = []
    model.encoder(*residues(batch), visitor=lambda layer, maps: stack.append(maps))
    bias = model.head.separation(batch.index).squeeze(-1)
    return dense(SCALE * model.head.weight, torch.stack(stack)) + bias


def residues(batch):
    return batch.tokens, batch.mask, batch.index


def test_who_has_maps():
    assert {kind.__name__ for kind in WITH_MAPS} >= {"Transformer", "ESM2", "FrozenESM2"}
    assert {kind.__name__ for kind in MAP_HEADS} == {AttentionMaps.__name__}


@pytest.mark.parametrize("kind", WITH_MAPS, ids=lambda kind: kind.__name__)
def test_logits_and_gradients_are_those_of_the_stack(kind):
    """With padding, and a crop of two windows."""
    model, batch = model_of(kind), random_batch([21, 13], padding=2)
    found, truth = model(batch), slow(model, batch)
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-13)
    assert torch.equal(found, found.mT)
    weights = [p for p in model.parameters() if p.requires_grad]
    gradients = [
        torch.autograd.grad(masked_contact_loss(logits, batch), weights, materialize_grads=True)
        for logits in (found, truth)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)
    assert any(g.any() for g in gradients[0][:-2]) or kind is FrozenESM2


@pytest.mark.parametrize("kind", WITH_MAPS, ids=lambda kind: kind.__name__)
def test_every_trained_weight_has_a_gradient(kind):
    """Also what comes after the last map: DDP would wait for it."""
    model = model_of(kind).train()
    model(random_batch([21])).sum().backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_it_is_the_regression_of_the_file():
    model, batch = model_of(ESM2), random_batch([21, 13], padding=2)
    with torch.no_grad():
        weight = model.encoder.contact_head.regression.weight.view(2, 2)
        model.head.weight.copy_(weight / SCALE)
        model.head.separation.vectors.weight.fill_(0.25)
        model.encoder.contact_head.regression.bias.fill_(0.25)
        truth = model.encoder.contact_logits(*residues(batch))
        found = model(batch)
    for row, length in enumerate((21, 13)):
        inside = slice(length)
        torch.testing.assert_close(
            found[row, inside, inside], truth[row, inside, inside], rtol=1e-11, atol=1e-12
        )


def test_starts_as_a_guess_by_separation():
    torch.manual_seed(0)
    batch = random_batch([9])
    logits = ContactModel(Transformer(), AttentionMaps(32))(batch)
    assert torch.equal(logits, torch.full_like(logits, -3.0))


def test_padding_and_neighbours_do_not_matter():
    model = model_of(Transformer)
    together, alone = random_batch([21, 13], padding=4), random_batch([21])
    found = model(together)[:1, :21, :21]
    torch.testing.assert_close(found, model(alone), rtol=1e-11, atol=1e-12)


def test_learns_which_map_shows_contacts():
    """A frozen encoder whose map of layer 1, head 0 is the truth, and no other is."""
    batch = random_batch([40], unresolved=0)
    contact = batch.contact().double()[:, None]
    torch.manual_seed(0)
    noise = torch.rand(2, 1, 2, 40, 40, dtype=torch.float64)

    class Planted(Encoder):
        maps = 2, 2
        out_channels = 1

        def forward(self, tokens, mask, index=None, visitor=None):
            for layer in range(2):
                shown = noise[layer].clone()
                if layer == 1:
                    shown[:, :1] = contact + 0.1 * shown[:, :1]
                visitor(layer, shown / shown.sum(dim=-1, keepdim=True))
            return torch.zeros(*tokens.shape, 1, dtype=torch.float64)

    model = ContactModel(Planted(), AttentionMaps(1)).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        losses.append(masked_contact_loss(model(batch), batch, min_separation=3))
        losses[-1].backward()
        optimizer.step()
    weights = model.head.weights.detach()
    assert losses[-1] < 0.5 * losses[0]
    others = [abs(float(weights[n, k])) for n, k in itertools.product(range(2), repeat=2)]
    planted = others.pop(2)
    assert float(weights[1, 0]) == planted > 2 * max(others)


def test_a_description_rebuilds_it():
    model, batch = model_of(Transformer), random_batch([11])
    twin = ContactModel(
        build(describe(model.encoder), Encoder), build(describe(model.head), PairHead)
    ).double()
    twin.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(twin.eval()(batch), model(batch))
    again = ContactModel(model.encoder, model.head)  # keeps the weights that it has
    assert torch.equal(again(batch), model(batch))


def test_half_precision_stays_near():
    model, batch = model_of(Transformer).float(), random_batch([30])
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(batch)
    assert rough.dtype == torch.float32
    assert (rough - model(batch)).abs().max() < 0.1


def test_refuses():
    with pytest.raises(InputError, match="AttentionMaps reads attention maps, and BiLSTM has none"):
        ContactModel(BiLSTM(), AttentionMaps(4))
    with pytest.raises(InputError, match="no weights outside of a ContactModel"):
        AttentionMaps(4).visitor()
    model = model_of(Transformer)
    with pytest.raises(InputError, match="and no vectors"):
        measure_diagnosis(model, [random_batch([30])])
    with pytest.raises(ValueError, match=r"weights for \(2, 4\) .* has \(1, 2\)"):
        ContactModel(Transformer(channels=8, layers=1, heads=2), model.head)
