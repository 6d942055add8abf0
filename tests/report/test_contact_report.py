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
from tests.data.files import pdb_text


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
