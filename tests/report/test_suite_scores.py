"""Scores of every chain, and the reach of a gradient."""

import math

import numpy as np
import pytest
import torch

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.templates import Template
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.precision import score_chain
from protcontact.metrics.running import ContactScores
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.bilinear import Bilinear
from protcontact.report.suite_scores import (
    bins_of,
    encoder_reach,
    longest_chains,
    read_scores,
    score_copy,
    score_model,
    score_null,
    write_lines,
    write_scores,
)
from protcontact.training.copied_chains import CopiedChains
from tests.report.suites import write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    module = ContactDataModule(str(write_data(tmp_path_factory.mktemp("scores") / "data")))
    module.setup("test")
    return module


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ContactModel(BiLSTM(channels=6, layers=1), Bilinear(12)).eval()


def same(row, other):
    assert row.keys() == other.keys()
    for name, value in row.items():
        assert value == other[name] or (math.isnan(value) and math.isnan(other[name])), name


def test_scores_are_those_of_chains_on_their_own_and_of_the_test_verb(data, model, tmp_path):
    bins = bins_of(data, "test")
    assert [span.name for span in bins] == ["6-11", "12-23", "24-47", "48-95"]
    write_scores(tmp_path / "s.csv", score_model(model, data.whole_chains("test"), bins))
    found = read_scores(tmp_path / "s.csv")
    assert sorted(found) == ["c0", "c1", "c2", "c3"]
    for row in data.rows("test"):
        batch = data.whole_chain(row)
        with torch.no_grad():
            logits = model(batch)
        scores = ContactScores()
        scores.update(logits, batch)
        ranges = score_chain(logits[0], batch.contact()[0], batch.known()[0], ranges=bins)
        expected = {"length": float(batch.lengths[0]), **scores.rows()[0].columns()}
        for name, score in ranges.items():
            expected |= {f"{name}/candidates": score.candidates, f"{name}/P@L": score.precision_l}
        mine = found[batch.ids[0]]
        same({name: mine[name] for name in expected}, expected)


def test_the_null_is_scored_on_the_same_chains(data):
    prior = SeparationPrior.fit(data.whole_chains("train"))
    rows = score_null(prior, data.whole_chains("test"), bins_of(data, "test"))
    scores = ContactScores()
    for batch in data.whole_chains("test"):
        scores.update(prior.scores(batch.index), batch)
    found = {row.id: row.columns() for row in rows}
    assert len(found) == len(scores) == len(data.rows("test")) > 0
    for row in scores.rows():
        same(row.columns(), {name: found[row.id][name] for name in row.columns()})


def test_the_copy_is_scored_on_the_same_chains(data):
    prior = SeparationPrior.fit(data.whole_chains("train"))
    row = data.rows("train")[0]
    places = np.arange(20)
    found = {each: [Template(row, 0.0, 0.2, 0.5, places, places)] for each in data.rows("test")}
    copied = CopiedChains(data.store, found)
    rows = score_copy(copied, prior, data.whole_chains("test"), bins_of(data, "test"))
    scores = ContactScores()
    for batch in data.whole_chains("test"):
        scores.update(copied.scores(batch, prior), batch)
    found = {row.id: row.columns() for row in rows}
    assert len(found) == len(scores) == len(data.rows("test")) > 0
    for row in scores.rows():
        same(row.columns(), {name: found[row.id][name] for name in row.columns()})


def test_lines_of_different_columns(tmp_path):
    write_lines(tmp_path / "x.csv", [{"a": 1}, {"a": 2, "b": 0.1}])
    assert (tmp_path / "x.csv").read_text() == "a,b\n1,\n2,0.1\n"


def test_the_longest_chains_within_the_limit(data, monkeypatch):
    lengths = [batch.tokens.shape[1] for batch in longest_chains(data, "test", 2)]
    assert lengths == [54, 66]
    monkeypatch.setattr("protcontact.report.suite_scores.LONGEST", 60)
    assert [b.tokens.shape[1] for b in longest_chains(data, "test", 2)] == [42, 54]
    assert [b.tokens.shape[1] for b in longest_chains(data, "test", 99)] == [30, 42, 54]


def dense_reach(encoder, batch):
    """The whole Jacobian of the encoder by the embedding, pair by pair."""
    kept = []
    handle = encoder.embedding.register_forward_hook(lambda m, i, o: kept.append(o))
    y = encoder(batch.tokens, batch.mask, batch.index)[0]
    handle.remove()
    L = len(y)
    squares = torch.zeros(L, L, dtype=torch.float64)
    for i in range(L):
        for channel in range(y.shape[1]):
            (g,) = torch.autograd.grad(y[i, channel], kept[0], retain_graph=True)
            squares[i] += g[0].double().square().sum(dim=-1)
    away = (torch.arange(L)[:, None] - torch.arange(L)).abs()
    curve = torch.stack([squares[away == d].mean() for d in range(L)]).sqrt()
    far = [d for d in range(L) if curve[d] < 1e-3 * curve[0]]
    return far[0] if far else L


def test_reach_is_where_a_dense_jacobian_has_lost_a_thousandth(data, model):
    torch.manual_seed(1)
    (batch,) = longest_chains(data, "test", 1)
    expected = dense_reach(model.encoder, batch)
    assert 3 < expected < 60
    # 8 residues and one draw of signs in place of all
    assert encoder_reach(model, [batch]) == pytest.approx(expected, abs=2)


def test_attention_reaches_as_far_as_the_shortest_chain(data):
    torch.manual_seed(0)
    model = ContactModel(Transformer(channels=8, layers=1, heads=2), Bilinear(8)).eval()
    assert encoder_reach(model, longest_chains(data, "test", 2)) == 54.0
