"""Predictions: files, scores, and what happens when one chain fails."""

import numpy as np
import pytest
import torch

from protcontact.metrics.precision import score_chain
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.distogram import Distogram
from protcontact.report.prediction import (
    Distances,
    as_batch,
    calibration_note,
    predict,
    predict_all,
    probabilities_of,
    rescaled,
    write_report,
)
from protcontact.report.targets import Target, Unreadable
from protcontact.structure.chain import Chain
from protcontact.structure.rr_read import read_rr
from tests.data.chains import random_chain


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = BiLSTM(channels=4, layers=1)
    return ContactModel(encoder, Bilinear(encoder.out_channels)).eval()


def known(name="known", length=40):
    return Target(name, random_chain(name, length, seed=1, unresolved=2), f"{name}.cif")


def unknown(name="unknown", length=30):
    nowhere = np.full((length, 3), np.nan, dtype=np.float32)
    chain = Chain(name, "A" * length, nowhere, nowhere, ("",) * length)
    return Target(name, chain, "x.fasta")


def test_files_hold_the_probabilities(model, tmp_path):
    target = known()
    predict_all(model, [target], tmp_path)
    logits, distances = predict(model, as_batch(target))
    assert distances is None
    expected = logits.sigmoid().numpy()
    with np.load(tmp_path / "known.npz") as stored:
        np.testing.assert_allclose(stored["scores"], expected, rtol=1e-6)
    contacts = read_rr(tmp_path / "known.rr")
    assert contacts.sequence == target.chain.sequence
    assert (tmp_path / "known.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "known.pml").is_file()
    assert (tmp_path / "known.cxc").is_file()
    assert not list(tmp_path.glob(".*"))


def test_scores_only_where_the_truth_is_known(model, tmp_path):
    with_truth, without = predict_all(model, [known(), unknown()], tmp_path)
    assert without.scores is None
    assert not (tmp_path / "unknown.pml").exists()
    batch = as_batch(known())
    logits, _ = predict(model, batch)
    expected = score_chain(logits, batch.contact()[0], batch.known()[0])
    assert with_truth.scores.ranges == expected


def test_a_chain_does_not_depend_on_the_others(model, tmp_path):
    alone, _ = predict(model, as_batch(known()))
    predict_all(model, [unknown(), known()], tmp_path)
    with np.load(tmp_path / "known.npz") as stored:
        np.testing.assert_allclose(stored["scores"], alone.sigmoid().numpy(), rtol=1e-6)


def test_probabilities_are_calibrated_and_files_say_so(model, tmp_path):
    logits, _ = predict(model, as_batch(known()))
    plain = predict_all(model, [known()], tmp_path)
    assert "REMARK probabilities are not calibrated" in (tmp_path / "known.rr").read_text()
    with np.load(tmp_path / "known.npz") as stored:
        assert np.isnan(stored["temperature"])
    model.temperature = 2.0
    (outcome,) = predict_all(model, [known()], tmp_path)
    with np.load(tmp_path / "known.npz") as stored:
        assert stored["temperature"] == 2.0
        expected = 1 / (1 + np.exp(-logits.double().numpy() / 2))
        np.testing.assert_allclose(stored["scores"], expected, rtol=1e-6)
    assert f"REMARK {calibration_note(2.0)}" in (tmp_path / "known.rr").read_text()
    assert "temperature 2" in calibration_note(2.0)
    assert outcome.scores == plain[0].scores  # a ranking does not change


def test_a_temperature_keeps_order_where_float32_would_not():
    logits = torch.tensor([3.0, 3.0 + 2**-21])
    first, second = probabilities_of(logits, 3.7)
    assert first < second
    np.testing.assert_array_equal(probabilities_of(logits, None), logits.double().sigmoid())


def test_bins_follow_the_probability_of_contact():
    bins = np.array([[[0.1, 0.3, 0.4, 0.2], [0.0, 0.0, 0.0, 1.0]]], dtype=np.float32)
    made = rescaled(Distances(bins, (6.0, 8.0, 12.0)), np.array([[0.8, 0.5]]))
    expected = [[[0.2, 0.6, 0.4 / 3, 0.2 / 3], [0.25, 0.25, 0.0, 0.5]]]
    np.testing.assert_allclose(made.probabilities, expected, rtol=1e-6)
    assert made.edges == (6.0, 8.0, 12.0)


def test_calibrated_distances_add_up_to_the_probability(tmp_path):
    model = drawing()
    model.temperature = 0.5
    predict_all(model, [known()], tmp_path)
    with np.load(tmp_path / "known.npz") as stored:
        near = int((stored["distance_edges"] <= 8).sum())
        total = stored["distance_probabilities"].astype(np.float64)[..., :near].sum(axis=-1)
        np.testing.assert_allclose(total, stored["scores"], atol=2e-3)
    read = read_rr(tmp_path / "known.distances.rr")
    np.testing.assert_allclose(read.bins[:, :3].sum(axis=1), read.probabilities, atol=2e-4)


def drawing(**options):
    """A model that draws distances, with weights that matter."""
    torch.manual_seed(0)
    encoder = BiLSTM(channels=4, layers=1)
    model = ContactModel(encoder, Distogram(encoder.out_channels, channels=4, **options)).eval()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_distances_are_those_of_the_head(tmp_path):
    model, batch = drawing(), as_batch(known())
    logits, distances = predict(model, batch)
    with torch.no_grad():
        x = model.encoder(batch.tokens, batch.mask, batch.index)
        exact = model.head.distogram(x, batch.mask, batch.index)[0].double().exp()
    exact = (exact / exact.sum(dim=-1, keepdim=True)).numpy()
    assert exact.std(axis=(0, 1)).min() > 0.005  # not the same everywhere
    np.testing.assert_allclose(distances.probabilities, exact, atol=1e-6)
    assert distances.edges == model.head.edges
    np.testing.assert_array_equal(logits, predict_contacts(model, batch))
    np.testing.assert_allclose(exact[..., :3].sum(axis=-1), logits.sigmoid(), atol=1e-6)


@torch.no_grad()
def predict_contacts(model, batch):
    return model(batch)[0]


def test_distances_are_written(tmp_path):
    model = drawing()
    predict_all(model, [known()], tmp_path)
    _, distances = predict(model, as_batch(known()))
    with np.load(tmp_path / "known.npz") as stored:
        bins, edges = stored["distance_probabilities"], stored["distance_edges"]
        scores = stored["scores"]
    assert (bins.shape, bins.dtype) == ((40, 40, 10), np.float16)
    np.testing.assert_allclose(bins, distances.probabilities, rtol=1e-3, atol=1e-7)
    assert tuple(edges) == model.head.edges
    near, far = read_rr(tmp_path / "known.rr"), read_rr(tmp_path / "known.distances.rr")
    assert near.bins is None
    np.testing.assert_array_equal(far.pairs, near.pairs)
    np.testing.assert_array_equal(far.probabilities, near.probabilities)
    i, j = far.pairs.T
    np.testing.assert_allclose(far.bins, distances.probabilities[i, j], atol=5.1e-5)
    np.testing.assert_allclose(far.bins[:, :3].sum(axis=1), scores[i, j], atol=2e-4)


def test_bins_that_do_not_add_up_to_those_of_casp_are_in_the_npz_only(tmp_path):
    model = drawing(edges=(8.0, 15.0))
    predict_all(model, [unknown()], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"unknown.{ending}" for ending in ("rr", "npz", "png")
    }
    with np.load(tmp_path / "unknown.npz") as stored:
        assert stored["distance_probabilities"].shape == (30, 30, 3)


class Exhausted(ContactModel):
    """Fails for long chains as a full memory does."""

    def forward(self, batch):
        if batch.tokens.shape[1] > 35:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
        return super().forward(batch)


def test_one_chain_too_long_for_the_memory_does_not_end_the_job(model, tmp_path):
    small = Exhausted(model.encoder, model.head)
    failed, done = predict_all(small, [known(), unknown()], tmp_path)
    assert "40 residues do not fit" in failed.problem
    assert done.problem == ""
    assert (tmp_path / "unknown.rr").is_file()


class Broken(ContactModel):
    """Has a defect."""

    def forward(self, batch):
        raise RuntimeError("shapes cannot be multiplied")


def test_defects_are_not_taken_for_full_memory(model, tmp_path):
    with pytest.raises(RuntimeError, match="shapes"):
        predict_all(Broken(model.encoder, model.head), [known()], tmp_path)


def test_report_accounts_for_every_input(model, tmp_path):
    outcomes = predict_all(model, [known(), unknown()], tmp_path)
    write_report(tmp_path / "report.tsv", outcomes, [Unreadable("bad", "bad.cif", "is\nempty")])
    lines = [line.split("\t") for line in (tmp_path / "report.tsv").read_text().splitlines()]
    assert [line[0] for line in lines[1:]] == ["known", "unknown", "bad"]
    assert len({len(line) for line in lines}) == 1
    row = dict(zip(lines[0], lines[1], strict=True))
    assert float(row["long/P@L"]) == pytest.approx(
        outcomes[0].scores.ranges["long"].precision_l, abs=1e-3
    )
    assert dict(zip(lines[0], lines[3], strict=True))["problem"] == "is empty"
