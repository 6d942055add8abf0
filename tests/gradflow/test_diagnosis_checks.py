"""Checks hold for models of every kind, and notice what is wrong with what is told."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from protcontact.gradflow import diagnosis_bins, diagnosis_checks, diagnosis_layers
from protcontact.gradflow.diagnosis_checks import BLOCKS, COSTATES, EXPONENTS, checks
from protcontact.gradflow.distance import dependence
from protcontact.gradflow.lyapunov import exponents
from protcontact.gradflow.separation_gradient import bin_gradients
from protcontact.gradflow.spectrum import block_jacobian, cotangents_of
from protcontact.models.encoders.recurrent import BiGRU, BiLSTM, BiRNN
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.resnet import ResNet
from tests.gradflow.test_diagnosis_layers import Stacked, Started
from tests.gradflow.test_separation_gradient import Still
from tests.gradflow.test_untouched import Gram, awake, contact_model, random_batch, traces
from tests.models.discovery import ENCODERS

BATCH = random_batch([30])
BINS = "gradients of each bin = those of the loss of its pairs"
DEPENDENCE = "dependence of y_i on x_j by distance = that of each y_i alone"


def failing(model, **options):
    return [check.claim for check in checks(model, BATCH, **options) if not check.holds]


def test_a_model_that_was_trained_in_float32_is_checked_in_float64():
    found = checks(contact_model(BiLSTM, dtype=torch.float32), BATCH)
    assert [check.claim for check in found] == [BINS, DEPENDENCE, COSTATES, EXPONENTS]
    assert all(check.error < 1e-13 for check in found)


@pytest.mark.parametrize("kind", ENCODERS, ids=lambda kind: kind.__name__)
def test_with_the_loss_that_the_user_trained_with(kind):
    assert failing(contact_model(kind, ResNet), min_separation=12, positive_weight=5.0) == []


@pytest.mark.parametrize("options", [{"nonlinearity": "relu"}, {"nonlinearity": "tanh"}])
def test_rnns(options):
    assert len(checks(contact_model(BiRNN, **options), BATCH)) == 4
    assert failing(contact_model(BiRNN, **options)) == []


def test_stacked_modules_are_passed_over():
    assert len(checks(contact_model(Stacked), BATCH)) == 2


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_recurrence_that_is_handed_its_first_state(kind):
    found = checks(contact_model(Started, kind=kind), BATCH)
    assert len(found) == 4 and all(check.holds for check in found)


def test_a_head_or_an_encoder_that_does_not_listen():
    """All gradients of the encoder are 0: both sides say so, none says NaN."""
    found = checks(contact_model(Still, Gram), BATCH)
    assert [check.claim for check in found] == [BINS, DEPENDENCE]
    assert all(check.holds for check in found)


@pytest.mark.parametrize("kind", [BiLSTM, BiGRU])
def test_ends_that_are_not_resolved(kind):
    """The costate starts at the last step that the loss sends something to."""
    coordinates = BATCH.coordinates.clone()
    coordinates[:, :4] = coordinates[:, -5:] = math.nan
    batch = replace(BATCH, coordinates=coordinates)
    assert all(check.holds for check in checks(contact_model(kind, Gram), batch))


@pytest.mark.parametrize("length", [7, 11, 13])
def test_the_shortest_chains(length):
    assert all(check.holds for check in checks(contact_model(), random_batch([length])))


def test_leaves_no_trace():
    model = contact_model(dropout=0.5)
    before = traces(awake(model, BATCH))
    checks(model, BATCH)
    assert traces(model) == before


def _swapped(found):
    return found._replace(at_input=found.at_output, at_output=found.at_input)


def _other_weight(model, batch, bins, positive_weight):
    return bin_gradients(model, batch, bins, 1.001 * positive_weight)


@pytest.mark.parametrize(
    ("kind", "place", "name", "wrong", "claim"),
    [
        (
            BiLSTM,
            diagnosis_bins,
            "bin_gradients",
            lambda *a: bin_gradients(*a[:2], a[2][:1] * len(a[2]), a[3]),
            BINS,
        ),
        (BiLSTM, diagnosis_bins, "bin_gradients", lambda *a: _swapped(bin_gradients(*a)), BINS),
        (BiLSTM, diagnosis_bins, "bin_gradients", _other_weight, BINS),
        (BiLSTM, diagnosis_bins, "dependence", lambda *a: 1.0001 * dependence(*a), DEPENDENCE),
        (
            BiGRU,
            diagnosis_layers,
            "cotangents_of",
            lambda *a: cotangents_of(*a).flip(1),
            COSTATES,
        ),
        (
            BiLSTM,
            diagnosis_checks,
            "exponents",
            lambda *a, **b: 1.0001 * exponents(*a, **b),
            EXPONENTS,
        ),
        (
            Transformer,
            diagnosis_checks,
            "block_jacobian",
            lambda *a: 1.0001 * block_jacobian(*a),
            BLOCKS,
        ),
    ],
)
def test_what_is_wrong_is_noticed(monkeypatch, kind, place, name, wrong, claim):
    """In the functions that tell it, not in the checks."""
    assert failing(contact_model(kind)) == []
    monkeypatch.setattr(place, name, wrong)
    assert failing(contact_model(kind)) == [claim]


def test_a_costate_of_another_start_is_noticed(monkeypatch):
    """Always from the last step, as if all ends were resolved."""
    coordinates = BATCH.coordinates.clone()
    coordinates[:, -5:] = math.nan
    batch = replace(BATCH, coordinates=coordinates)
    model = contact_model(BiGRU, Gram)
    monkeypatch.setattr(
        diagnosis_layers, "last_step", lambda sent: torch.tensor([sent.shape[1] - 1])
    )
    [found] = [check for check in checks(model, batch) if check.claim == COSTATES]
    assert not found.holds


def test_nan_is_not_passed_over(monkeypatch):
    def first_is_nan(*a):
        found = bin_gradients(*a)
        found.at_input[0] = math.nan
        return found

    monkeypatch.setattr(diagnosis_bins, "bin_gradients", first_is_nan)
    assert failing(contact_model()) == [BINS]
