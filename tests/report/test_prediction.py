"""Predictions: files, scores, and what happens when one chain fails."""

import numpy as np
import pytest
import torch

from protcontact.metrics.precision import score_chain
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.report.prediction import as_batch, predict, predict_all, write_report
from protcontact.report.targets import Target, Unreadable
from protcontact.structure.chain import Chain
from protcontact.structure.rr import read_rr
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
    expected = predict(model, as_batch(target)).sigmoid().numpy()
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
    logits = predict(model, batch)
    expected = score_chain(logits, batch.contact()[0], batch.known()[0])
    assert with_truth.scores.ranges == expected


def test_a_chain_does_not_depend_on_the_others(model, tmp_path):
    alone = predict(model, as_batch(known()))
    predict_all(model, [unknown(), known()], tmp_path)
    with np.load(tmp_path / "known.npz") as stored:
        np.testing.assert_array_equal(stored["scores"], alone.sigmoid().numpy())


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
