"""Gradients of bins against autograd one bin at a time."""

import pytest
import torch

from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.ranges import range_losses, trained
from protcontact.gradflow.separation_gradient import bin_gradients
from protcontact.metrics.loss import masked_contact_loss
from protcontact.metrics.separation_bins import doubling_bins
from protcontact.models.contract import Encoder
from protcontact.models.encoders.ensemble import EncoderEnsemble
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.encoders.esm2_frozen import FrozenESM2
from protcontact.models.encoders.esm2_lora import LoRAESM2
from protcontact.models.encoders.hybrid import RecurrentAttention
from protcontact.models.heads.resnet import ResNet
from tests.gradflow.test_jacobian import Deaf
from tests.gradflow.test_untouched import Gram, awake, contact_model, random_batch, traces
from tests.models.discovery import ENCODERS

FIRST = {  # block with a gradient, where it is no embedding of this package
    EncoderEnsemble: "encoder.members.0",
    ESM2: "encoder.embed_tokens",
    FrozenESM2: "head.features.rows",
    LoRAESM2: "encoder.layers.0",
    RecurrentAttention: "encoder.recurrence.embedding.letters",
}


@pytest.mark.parametrize("positive_weight", [1.0, 4.0])
@pytest.mark.parametrize("kind", ENCODERS, ids=lambda kind: kind.__name__)
def test_norms_are_those_of_each_loss(kind, positive_weight):
    batch, model = random_batch([40]), contact_model(kind, ResNet).eval()
    bins = doubling_bins(40)
    found = bin_gradients(model, batch, bins, positive_weight)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    block = FIRST.get(kind, "encoder.embedding.letters")
    for row, span in enumerate(bins):
        with input_of(model.encoder, (1, 40)) as leaf:
            y = model.encoder(batch.tokens, batch.mask, batch.index)
            logits = model.head(y, batch.mask, batch.index)
        [loss] = range_losses(logits, batch, [span], positive_weight)
        at_input, at_output, *rest = torch.autograd.grad(
            loss, [leaf[0], y, *named.values()], materialize_grads=True
        )
        assert float(found.at_input[row]) == pytest.approx(float(at_input.norm()), rel=1e-11)
        assert float(found.at_output[row]) == pytest.approx(float(at_output.norm()), rel=1e-11)
        flat = [g for name, g in zip(named, rest, strict=True) if name.startswith(block)]
        expected = torch.cat([g.flatten() for g in flat]).norm()
        assert float(found.blocks[block][row]) == pytest.approx(float(expected), rel=1e-11)
    assert next(iter(found.blocks)) == block
    assert found.pairs.sum() == (batch.known() & (batch.separation() >= 6)).sum() / 2


def test_bins_add_up_to_the_whole():
    """``n g = sum_b n_b g_b`` at the input, by a pull back of the sum; here through one weight."""
    batch, model = random_batch([50]), contact_model().eval()
    bins = doubling_bins(50)
    counts = bin_gradients(model, batch, bins).pairs
    losses = range_losses(model(batch), batch, bins)
    joined = sum(n * loss for n, loss in zip(counts, losses, strict=True)) / counts.sum()
    weights = trained(model).tensors
    found = torch.autograd.grad(joined, weights, materialize_grads=True)
    truth = torch.autograd.grad(
        masked_contact_loss(model(batch), batch), weights, materialize_grads=True
    )
    for a, b in zip(found, truth, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-15)


def test_a_bin_without_pairs_has_no_gradient():
    found = bin_gradients(contact_model(), random_batch([12]), doubling_bins(60))
    assert found.pairs.tolist()[1:] == [0, 0, 0]
    assert found.at_input.tolist()[1:] == [0, 0, 0]
    assert found.at_input[0] > 0


class Still(Encoder):
    """Says the same whatever the letters: its output has no gradient by its input."""

    def __init__(self, out_channels=4):
        super().__init__()
        self.out_channels = out_channels
        self.embedding = torch.nn.Embedding(22, out_channels)

    def forward(self, tokens, mask, index=None):
        return self.embedding(tokens) * 0.0 + 1.0


def test_a_deaf_encoder_has_a_gain_of_zero():
    found = bin_gradients(contact_model(Still, Gram), random_batch([20]), doubling_bins(20))
    assert found.at_input.tolist() == [0, 0]
    assert bool((found.at_output > 0).all())


def test_measuring_leaves_no_trace():
    model, batch = contact_model(dropout=0.5), random_batch([20])
    before = traces(awake(model, batch))
    bin_gradients(model, batch, doubling_bins(20))
    assert traces(model) == before


def test_refuses():
    batch = random_batch([20])
    frozen = contact_model().requires_grad_(False)
    with pytest.raises(ValueError, match="all weights are frozen"):
        bin_gradients(frozen, batch, doubling_bins(20))
    with pytest.raises(ValueError, match="no submodule of Deaf"):
        bin_gradients(contact_model(Deaf, Gram), batch, doubling_bins(20))
