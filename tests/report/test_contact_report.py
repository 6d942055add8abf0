"""The numbers of the report, by hand."""

import math

import numpy as np
import pytest

from protcontact.models.pretrained.tiling import Seam
from protcontact.report.contact_files import Numbers
from protcontact.report.contact_inputs import read_wanted
from protcontact.report.contact_report import (
    Row,
    inter_top_l,
    numbers_of,
    write_contact_report,
)
from protcontact.report.targets import Unreadable
from tests.data.files import dimer_text, pdb_text


def table(path):
    head, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_the_best_l_pairs_between_chains():
    found = np.zeros((5, 5), dtype=np.float32)
    chain_of = np.array([0, 0, 1, 1, 1])
    for (i, j), value in {(0, 1): 0.9, (0, 2): 0.5, (1, 4): 0.25, (1, 2): 0.125}.items():
        found[i, j] = found[j, i] = value
    assert inter_top_l(found, chain_of) == (0.5 + 0.25) / 2
    found[0, 2] = found[2, 0] = math.nan
    assert inter_top_l(found, chain_of) == (0.25 + 0.125) / 2
    assert inter_top_l(found, np.zeros(5, dtype=int)) is None
    found[:2, 2:] = found[2:, :2] = math.nan
    assert inter_top_l(found, chain_of) is None


def test_unpredicted_pairs_are_counted_once_and_rank_last(tmp_path):
    (tmp_path / "s.pdb").write_text(pdb_text("ACDEFGHIKLMNPQRSTVWY"))
    [[wanted], _] = read_wanted([], [str(tmp_path / "s.pdb")], tmp_path)
    found = np.zeros((20, 20), dtype=np.float32)
    whole = numbers_of(wanted, found, 1, Seam())
    assert (whole.unpredicted, whole.seam_mean, whole.inter_top_l) == (0.0, None, None)
    assert whole.scores["short/candidates"] == sum(20 - apart for apart in range(6, 12))
    found[0, 10:] = found[10:, 0] = math.nan
    holed = numbers_of(wanted, found, 3, Seam(4, 0.25, 0.5))
    assert holed.unpredicted == 10 / 190
    assert (holed.tiles, holed.seam_pairs, holed.seam_mean, holed.seam_largest) == (3, 4, 0.25, 0.5)
    assert holed.scores["short/candidates"] == whole.scores["short/candidates"]


def test_pairs_between_chains_have_scores_of_their_own(tmp_path):
    """Counted by hand: the truth as prediction, and its opposite between chains."""
    (tmp_path / "two.pdb").write_text(dimer_text("ACDEFGHIKLMNPQ", "RSTVWYACDE"))
    [[wanted], _] = read_wanted([], [str(tmp_path / "two.pdb")], tmp_path, join=True)
    place = wanted.target.chain.coordinates.astype(np.float64)
    distance = np.linalg.norm(place[:, None] - place[None, :], axis=2)
    contact = (distance < 8.0) & ~np.eye(24, dtype=bool)
    between = contact[:14, 14:]
    assert 10 < between.sum() < between.size - 10
    found = numbers_of(wanted, contact.astype(np.float32), 1, Seam()).scores
    assert found["inter/candidates"] == 140 and found["inter/positives"] == between.sum()
    assert found["inter/P@10"] == found["inter/P@L"] == found["inter/AUPRC"] == 1.0
    assert found["short/candidates"] == (sum(14 - d for d in range(6, 12)) + 10) / 2
    wrong = contact.copy()
    wrong[:14, 14:], wrong[14:, :14] = ~between, ~between.T
    found = numbers_of(wanted, wrong.astype(np.float32), 1, Seam()).scores
    assert found["inter/P@10"] == found["inter/P@L"] == 0.0
    assert found["inter/ceiling_P@L"] == 1.0  # of the 10 best


def test_one_residue_has_no_pairs(tmp_path):
    (tmp_path / "x.fasta").write_text(">a\nA\n")
    [[wanted], _] = read_wanted([str(tmp_path / "x.fasta")], [], tmp_path)
    assert numbers_of(wanted, np.zeros((1, 1), np.float32), 1, Seam()) == Numbers()


def test_every_input_has_its_line(tmp_path):
    rows = [
        Row("a", "x.fasta", 7, 2, numbers=Numbers(2, 5, 0.125, 0.5, 0.1, 0.25)),
        Row("b", "x.pdb", 9, 1, numbers=Numbers(scores={"long/P@L": 0.5, "long/P@L/5": math.nan})),
        Row("c", "x.fasta", 8, 1, "no\troom"),
    ]
    write_contact_report(tmp_path / "r.tsv", rows, [Unreadable("d", "y.fasta", "no residues")])
    a, b, c, d = table(tmp_path / "r.tsv")
    assert (a["name"], a["length"], a["chains"], a["tiles"], a["seam_pairs"]) == tuple("a7225")
    assert (a["seam_mean"], a["seam_largest"], a["inter_top_l"]) == ("0.125", "0.5", "0.25")
    assert (a["problem"], a["long/P@L"]) == ("", "")
    assert (b["tiles"], b["seam_mean"], b["long/P@L"], b["long/P@L/5"]) == ("1", "", "0.5", "nan")
    assert (c["problem"], c["tiles"], c["unpredicted"]) == ("no room", "", "")
    assert (d["name"], d["source"], d["problem"]) == ("d", "y.fasta", "no residues")
    with pytest.raises(KeyError):
        d["short/P@L"]
