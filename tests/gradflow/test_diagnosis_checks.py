"""Checks hold for models of every kind, and notice what is wrong."""

import pytest
import torch

from protcontact.gradflow import diagnosis_checks
from protcontact.gradflow.diagnosis_checks import checks, near_bins, sum_of_bins
from protcontact.gradflow.ranges import gradient_by_range
from protcontact.gradflow.recurrence import adjoint_scan
from protcontact.gradflow.spectrum import block_jacobian
from protcontact.metrics.separation_bins import doubling_bins, score_bins
from protcontact.models.encoders.recurrent import BiLSTM, BiRNN
from protcontact.models.encoders.transformer import Transformer
from tests.gradflow.test_diagnosis_layers import Stacked
from tests.gradflow.test_untouched import awake, contact_model, random_batch, traces

BATCH = random_batch([30])


def failing(model):
    return [check.claim for check in checks(model, BATCH) if not check.holds]


def test_a_model_that_was_trained_in_float32_is_checked_in_float64():
    found = checks(contact_model(BiLSTM, dtype=torch.float32), BATCH)
    assert max(check.error for check in found) < 1e-12


def test_relus_have_no_determinant():
    claims = [check.claim for check in checks(contact_model(BiRNN, nonlinearity="relu"), BATCH)]
    assert len(claims) == 2


def test_stacked_modules_are_passed_over():
    assert len(checks(contact_model(Stacked), BATCH)) == 2


@pytest.mark.parametrize("length", [7, 11, 13])
def test_the_shortest_chains(length):
    assert all(check.holds for check in checks(contact_model(), random_batch([length])))


def test_leaves_no_trace():
    model = contact_model(dropout=0.5)
    before = traces(awake(model, BATCH))
    checks(model, BATCH)
    assert traces(model) == before


def test_a_missing_bin_is_noticed():
    bins = doubling_bins(30)
    assert sum_of_bins(contact_model(), BATCH, bins).holds
    assert not sum_of_bins(contact_model(), BATCH, bins[1:]).holds


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        (BiLSTM, "gradient_by_range", lambda *a: _scaled(gradient_by_range(*a))),
        (BiLSTM, "adjoint_scan", lambda layer, direct: adjoint_scan(layer, 1.0001 * direct)),
        (BiLSTM, "mean_log_det", lambda *a: 1.0),
        (Transformer, "block_jacobian", lambda *a: 1.0001 * block_jacobian(*a)),
    ],
)
def test_what_is_wrong_is_noticed(monkeypatch, kind, name, wrong):
    assert failing(contact_model(kind)) == []
    monkeypatch.setattr(diagnosis_checks, name, wrong)
    assert len(failing(contact_model(kind))) == 1


def _scaled(found):
    return {name: tuple(1.0001 * g for g in gradient) for name, gradient in found.items()}


def test_another_ranking_is_noticed(monkeypatch):
    batch = random_batch([60])
    assert near_bins(contact_model(), batch).holds
    monkeypatch.setattr(diagnosis_checks, "score_bins", lambda s, *rest: score_bins(-s, *rest))
    assert not near_bins(contact_model(), batch).holds
