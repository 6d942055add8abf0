"""The fit: what was planted is found, on real chains, and the rest is 0."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn
import torch
from sklearn.linear_model import LogisticRegression

from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ESM2
from protcontact.training import regression_fit
from protcontact.training.attention_features import collect_features
from protcontact.training.regression_fit import (
    fit_regression,
    needed_bytes,
    refuse_too_large,
)
from tests.data.real import real_chains
from tests.training.test_attention_features import batch_of


def lasso(**options):
    """Of scikit-learn, as its versions before and after 1.8 want to be told."""
    older = tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8)
    penalty = {"penalty": "l1"} if older else {"l1_ratio": 1}
    return LogisticRegression(solver="liblinear", max_iter=1000, **penalty, **options)


class Planted:
    """Shows a random model's maps, but for one head, which shows the contacts under noise."""

    def __init__(self, encoder, batches, layer, head):
        self.encoder = encoder
        self.batches = {tuple(batch.tokens[0].tolist()): batch for batch in batches}
        self.layer, self.head = layer, head

    def __call__(self, tokens, mask, index, visitor):
        batch = self.batches[tuple(tokens[0].tolist())]

        def altered(layer, maps):
            if layer == self.layer:
                maps = maps.clone()
                shown = batch.contact()[0] + torch.rand(maps.shape[2:])
                maps[0, self.head] = shown / shown.sum(dim=1, keepdim=True)
            visitor(layer, maps)

        return self.encoder(tokens, mask, index, altered)


def random_encoder(layers, heads):
    torch.manual_seed(0)
    encoder = ESM2(channels=8 * heads, layers=layers, heads=heads).eval()
    for parameter in encoder.parameters():  # maps that are far from even
        parameter.data *= 2
    return encoder


@pytest.fixture(scope="module")
def batches(shared_data):
    found = [batch_of(chain) for chain in real_chains(shared_data, 20, 200)]
    assert len(found) == 20
    return found


@pytest.fixture(scope="module")
def plain(batches):
    """Features of a random model, ``(P, 4 * 5)``, and labels."""
    return collect_features(random_encoder(4, 5), batches, 6, 20)


def test_the_planted_head_of_real_chains_is_found(batches):
    encoder = Planted(random_encoder(4, 5), batches, layer=2, head=3)
    features, contact = collect_features(encoder, batches, 6, 20)
    found = fit_regression(features, contact, heads=5)
    assert found.converged
    (layer, head, weight), *others = found.heaviest(10)
    assert (layer, head) == (2, 3)
    assert weight > 0
    assert all(abs(other) < 0.1 * weight for *_, other in others)
    logits = features @ found.weights.ravel() + found.bias
    best = np.argsort(-logits)[: contact.sum()]
    assert contact[best].mean() > 0.8


def test_a_random_model_on_real_chains_promises_nothing(plain, batches):
    features, contact = plain
    found = fit_regression(features, contact, heads=5)
    assert found.converged
    assert found.weights.shape == (4, 5)
    assert 0.01 < contact.mean() < 0.06
    assert found.used < 10  # half of the heads: noise is not given a weight


def test_the_same_as_scikit_learn_alone(plain):
    features, contact = plain
    found = fit_regression(features, contact, heads=5, C=50.0, seed=3)
    model = lasso(C=50.0, random_state=3).fit(features.astype(np.float64), contact)
    assert found.used > 5
    np.testing.assert_allclose(found.weights.ravel(), model.coef_[0], rtol=1e-6, atol=1e-9)
    assert found.bias == pytest.approx(model.intercept_[0], rel=1e-6)
    assert found.iterations == model.n_iter_[0]


def test_an_older_scikit_learn_is_told_by_its_name(monkeypatch):
    class Older:
        def __init__(self, penalty="l2", *, C=1.0, l1_ratio=None):
            pass

    monkeypatch.setattr(regression_fit, "LogisticRegression", Older)
    assert regression_fit._penalty() == {"penalty": "l1"}


def test_the_penalty_makes_weights_exactly_zero(plain):
    features, contact = plain
    used = [fit_regression(features, contact, 5, C=C).used for C in (1e-4, 50.0, 1e4)]
    assert used[0] == 0
    assert used[0] < used[1] <= used[2]
    assert fit_regression(features, contact, 5, C=1e-4).heaviest(10) == []


def test_heaviest_counts_layers_and_heads_and_takes_negative_weights():
    weights = np.array([[0.0, -3.0], [2.0, 0.0], [0.0, 2.5]])
    found = regression_fit.FittedRegression(weights, 0.0, True, 1)
    assert found.heaviest(2) == [(0, 1, -3.0), (2, 1, 2.5)]
    assert len(found.heaviest(10)) == found.used == 3


def test_a_fit_without_end_is_told(plain):
    features, contact = plain
    found = fit_regression(features, contact, 5, C=1e4, max_iter=2)
    assert (found.converged, found.iterations) == (False, 2)
    assert fit_regression(features, contact, 5, C=1e4).converged


@pytest.mark.parametrize("label", [False, True])
def test_one_kind_of_pair_is_refused(label):
    features = np.ones((7, 4), dtype=np.float32)
    with pytest.raises(InputError, match=f"of 7 pairs {7 * label} are in contact"):
        fit_regression(features, np.full(7, label), heads=2)


def test_too_large_is_refused_with_what_would_fit():
    pairs = [1000, 2000, 3000]
    fits = needed_bytes(6000, 100)
    refuse_too_large(pairs, 100, fits)
    refuse_too_large(pairs, 100, None)
    with pytest.raises(InputError, match=r"6000 pairs in 100 .* 0.0228 GB.*\(--chains 2\)"):
        refuse_too_large(pairs, 100, fits - 1)
    with pytest.raises(InputError, match="take shorter chains"):
        refuse_too_large(pairs, 100, 1000)


PEAK = """
import sys
from pathlib import Path
import numpy as np
from protcontact.training.regression_fit import fit_regression
rows, columns = map(int, sys.argv[1:])
random = np.random.default_rng(0)
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
fit_regression(random.random((50, columns), dtype=np.float32), np.arange(50) % 2 == 0, 1)
before = peak()
features = random.random((rows, columns), dtype=np.float32)
fit_regression(features, np.arange(rows) % 30 == 0, 1, max_iter=2)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak")
@pytest.mark.parametrize(("rows", "columns"), [(100_000, 40), (400_000, 5)])
def test_the_memory_is_what_was_said(rows, columns):
    command = [sys.executable, "-c", PEAK, str(rows), str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert 0.8 < int(done.stdout) / needed_bytes(rows, columns) < 1.1
