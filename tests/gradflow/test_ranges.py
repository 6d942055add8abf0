"""The gradient of each range of separations against loops over pairs, in float64."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from protcontact.errors import InputError
from protcontact.gradflow import layers
from protcontact.gradflow.layers import block_of
from protcontact.gradflow.ranges import (
    RangeGradient,
    gradient_by_range,
    range_losses,
    range_norms,
    trained,
)
from protcontact.metrics.loss import masked_contact_loss
from protcontact.metrics.ranges import LONG, MEDIUM, RANGES, SHORT, SeparationRange
from protcontact.models.contract import Encoder
from protcontact.models.encoders.esm2_frozen import FrozenESM2
from protcontact.models.heads.resnet import ResNet
from tests.gradflow.test_untouched import (
    Gram,
    assert_no_trace,
    contact_model,
    never_waits,
    noise,
    random_batch,
    step_of,
)
from tests.models.discovery import ENCODERS


def slow_loss(logits, batch, span, positive_weight=1.0):
    """The definition, read aloud."""
    means = []
    contact, known = batch.contact(), batch.known()
    for b in range(len(batch)):
        terms = []
        for i in range(logits.shape[1]):
            for j in range(i + 1, logits.shape[1]):
                separation = int(batch.index[b, j] - batch.index[b, i])
                if known[b, i, j] and span.low <= separation <= (span.high or math.inf):
                    p = torch.sigmoid(logits[b, i, j])
                    hit = bool(contact[b, i, j])
                    terms.append(-positive_weight * p.log() if hit else -(1 - p).log())
        if terms:
            means.append(sum(terms) / len(terms))
    return sum(means) / len(means) if means else 0.0 * logits.sum()


def read(probe, model, batch):
    (pending,) = probe.after_update(step_of(model, batch))
    assert not pending.joined
    return pending.read(pending.values.detach().flatten()[None])


@pytest.mark.parametrize(
    ("kind", "positive_weight"), [*((kind, 7.5) for kind in ENCODERS), (ENCODERS[0], 1.0)]
)
def test_gradients_are_those_of_loops_over_pairs(kind, positive_weight):
    """Chains of 33, 14 and 8: the last two have pairs of fewer ranges, the batch has padding."""
    batch = random_batch([33, 14, 8], padding=2)
    model = contact_model(kind).eval()
    found = gradient_by_range(model, batch, positive_weight=positive_weight)
    assert list(found) == ["short", "medium", "long"]
    table = range_norms(model, batch, positive_weight=positive_weight)
    weights = [p for p in model.parameters() if p.requires_grad]
    logits = model(batch)
    for span, row in zip(RANGES, table, strict=True):
        loss = slow_loss(logits, batch, span, positive_weight)
        truth = torch.autograd.grad(loss, weights, materialize_grads=True, retain_graph=True)
        assert max(float(g.abs().max()) for g in truth) > 1e-4
        torch.testing.assert_close(found[span.name], truth, rtol=1e-9, atol=1e-14)
        expected = torch.stack([g.norm() for g in truth])
        torch.testing.assert_close(row, expected, rtol=1e-9, atol=1e-14)


def test_ranges_follow_the_sequence_and_not_the_tensor():
    """Two windows of a crop: neighbours in the tensor, 100 residues apart in the sequence."""
    batch = random_batch([40])
    index = batch.index + 100 * (batch.index >= 20)
    batch = replace(batch, index=index, lengths=batch.lengths + 100)
    logits = torch.randn(1, 40, 40, dtype=torch.float64)
    spans = (*RANGES, SeparationRange("all", 1), SeparationRange("gap", 50, 90))
    losses = range_losses(logits, batch, spans)
    expected = [slow_loss(logits, batch, span) for span in spans]
    torch.testing.assert_close(torch.stack(losses), torch.stack(expected), rtol=1e-12, atol=0)
    assert losses[-1] == 0


@pytest.mark.parametrize("positive_weight", [1.0, 3.0])
def test_without_an_end_it_is_the_loss_of_training(positive_weight):
    batch = random_batch([40, 33, 12], padding=3)
    logits = torch.randn(3, 43, 43, dtype=torch.float64)
    for low in (1, 6, 24):
        (loss,) = range_losses(logits, batch, [SeparationRange("", low)], positive_weight)
        truth = masked_contact_loss(
            logits, batch, min_separation=low, positive_weight=positive_weight
        )
        torch.testing.assert_close(loss, truth, rtol=1e-13, atol=0)


def test_the_ranges_of_a_chain_add_up_to_its_whole():
    """``n g = n_short g_short + n_medium g_medium + n_long g_long`` for one chain."""
    batch = random_batch([45])
    model = contact_model().eval()
    found = gradient_by_range(model, batch)
    pairs = batch.known().triu(1)
    counts = [int((pairs & span.contains(batch.separation())).sum()) for span in RANGES]
    whole = torch.autograd.grad(masked_contact_loss(model(batch), batch), list(model.parameters()))
    for place, gradient in enumerate(whole):
        parts = zip(counts, found.values(), strict=True)
        total = sum(count * part[place] for count, part in parts)
        torch.testing.assert_close(total / sum(counts), gradient, rtol=1e-9, atol=1e-15)


def test_infinite_logits_of_other_pairs_do_no_harm():
    batch = random_batch([40], unresolved=0.0)
    logits = torch.zeros(1, 40, 40, dtype=torch.float64, requires_grad=True)
    poisoned = logits.masked_fill(batch.separation() < 24, math.inf)
    loss = range_losses(poisoned, batch, [LONG])[0]
    assert float(loss.detach()) == pytest.approx(math.log(2))
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_what_is_logged():
    batch = random_batch([40, 33])
    model = contact_model()
    found = read(RangeGradient(), model, batch)
    gradients = gradient_by_range(model, batch)
    names = [name for name, _ in model.named_parameters()]
    blocks = list(dict.fromkeys(map(block_of, names)))
    assert blocks[0] == "encoder.embedding.letters"
    assert len(found.scalars) == 9
    assert len(found.curves) == 3
    for span, gradient in gradients.items():
        flat = {
            block: torch.cat(
                [
                    g.flatten()
                    for name, g in zip(names, gradient, strict=True)
                    if block_of(name) == block
                ]
            )
            for block in blocks
        }
        rms = [float(g.square().mean().sqrt()) for g in flat.values()]
        assert found.curves[f"range/{span}/depth"] == pytest.approx(rms, rel=1e-12)
        whole = float(torch.cat(list(flat.values())).norm())
        assert found.scalars[f"range/{span}/norm"] == pytest.approx(whole, rel=1e-12)
        first = float(flat[blocks[0]].norm())
        assert found.scalars[f"range/{span}/first"] == pytest.approx(first, rel=1e-12)
        slope = found.scalars[f"range/{span}/slope_log10"]
        places = torch.arange(len(rms), dtype=torch.float64)
        design = torch.stack([places, torch.ones_like(places)], dim=1)
        fit = torch.linalg.lstsq(
            design, torch.tensor(rms, dtype=torch.float64).log10()[:, None]
        ).solution
        assert slope == pytest.approx(float(fit[0]), rel=1e-9)


class Deaf(Encoder):
    """Hears its letters up to 24 residues away only: each output is a sum over near ones."""

    def __init__(self, channels=4):
        super().__init__()
        self.out_channels = 2 * channels
        self.letters = nn.Embedding(21 + 1, channels)
        self.places = nn.Embedding(200, channels)

    def forward(self, tokens, mask, index=None):
        here = self.letters(tokens)
        return torch.cat([here, self.places(index)], dim=-1) * mask[..., None]


class FarByPlace(Gram):
    """Compares letters of pairs nearer than 24, and places of the others."""

    def forward(self, x, mask, index=None):
        letters, places = x.chunk(2, dim=-1)
        far = (index[:, :, None] - index[:, None, :]).abs() >= 24
        return torch.where(far, places @ places.transpose(1, 2), letters @ letters.transpose(1, 2))


def test_a_first_layer_that_long_range_does_not_reach():
    """The question of this module, with a model of which the answer is known."""
    found = read(RangeGradient(), contact_model(Deaf, FarByPlace), random_batch([40, 33]))
    assert found.scalars["range/long/first"] == 0
    assert found.scalars["range/long/norm"] > 0
    assert "range/long/slope_log10" not in found.scalars  # one block only
    for near in ("short", "medium"):
        assert found.scalars[f"range/{near}/first"] == found.scalars[f"range/{near}/norm"] > 0


def test_a_range_without_pairs_is_zero_and_nothing_is_nan():
    found = read(RangeGradient(), contact_model(), random_batch([20, 9]))
    assert found.scalars["range/long/norm"] == found.scalars["range/long/first"] == 0
    assert set(found.curves["range/long/depth"]) == {0.0}
    assert "range/long/slope_log10" not in found.scalars
    assert found.scalars["range/medium/norm"] > 0
    assert all(math.isfinite(value) for value in found.scalars.values())


def test_frozen_parameters_are_left_out():
    model = contact_model()
    model.encoder.embedding.requires_grad_(False)
    assert trained(model).names[0] == "encoder.forward_lstms.0.weight_ih_l0"
    assert len(trained(model).tensors) == len(list(model.parameters())) - 1
    found = read(RangeGradient([SHORT, LONG]), model, random_batch([40]))
    block = range_norms(model, random_batch([40]), [SHORT])[0, :4]
    assert found.scalars["range/short/first"] == pytest.approx(float(block.norm()), rel=1e-12)
    assert "range/medium/norm" not in found.scalars


def test_parameters_that_the_loss_does_not_depend_on_have_a_gradient_of_zero():
    model = contact_model()
    model.idle = nn.Linear(2, 2)
    found = read(RangeGradient([SHORT]), model, random_batch([20]))
    *rest, last = found.curves["range/short/depth"]
    assert last == 0
    assert min(rest) > 0


def test_the_weight_of_contacts_is_that_of_training():
    model, batch = contact_model(), random_batch([33])
    for weight in (1.0, 6.0):
        found = read(RangeGradient([SHORT], weight), model, batch)
        truth = float(range_norms(model, batch, [SHORT], weight).norm())
        assert found.scalars["range/short/norm"] == pytest.approx(truth, rel=1e-12)


def test_says_that_it_runs_the_model():
    assert RangeGradient.runs_model


@pytest.mark.parametrize("kind", ENCODERS, ids=lambda kind: kind.__name__)
def test_measuring_leaves_no_trace(kind):
    model = contact_model(kind, **noise(kind, dropout=0.5, corruption=0.3))
    assert_no_trace(RangeGradient(), model, random_batch([33, 20]), breaking=model.head)


def test_dropout_and_mutations_have_no_part():
    batch = random_batch([33])
    noisy = contact_model(dropout=0.9, corruption=0.9).train()
    assert torch.equal(range_norms(noisy, batch), range_norms(contact_model(), batch))


# the head that waits for nothing has no weights, and beside it a frozen encoder leaves none
@pytest.mark.parametrize(
    "kind", [kind for kind in ENCODERS if kind is not FrozenESM2], ids=lambda kind: kind.__name__
)
def test_the_device_never_waits(kind, monkeypatch):
    model, batch = contact_model(kind, Gram, dtype=torch.float32), random_batch([33, 20])
    # a processor looks at its own norms; a GPU adds up in float64 without looking
    monkeypatch.setattr(
        layers,
        "_norms_by_pieces",
        lambda tensors: torch.stack(torch._foreach_norm(list(tensors), 2.0, torch.float64)),
    )
    with never_waits(monkeypatch):
        pending = RangeGradient().after_update(step_of(model, batch))
    assert len(pending) == 1


def test_a_convolution_head_has_a_gradient_in_every_range():
    found = read(RangeGradient(), contact_model(head=ResNet), random_batch([33, 20]))
    assert all(found.scalars[f"range/{span.name}/first"] > 0 for span in RANGES)


def test_refuses_a_model_of_which_nothing_is_trained():
    with pytest.raises(InputError, match="all weights are frozen"):
        range_norms(contact_model(FrozenESM2, Gram), random_batch([33]))


def test_refuses():
    with pytest.raises(ValueError, match="ranges must not be empty"):
        RangeGradient([])
    with pytest.raises(ValueError, match="not .* and -1"):
        RangeGradient([MEDIUM], positive_weight=-1)
    with pytest.raises(ValueError, match="RangeGradient needs a model that holds a ContactModel"):
        RangeGradient().after_update(step_of(nn.Linear(1, 1), random_batch([9])))
    with pytest.raises(ValueError, match="RangeGradient needs batches that are a ContactBatch"):
        RangeGradient().after_update(step_of(contact_model(), None))
