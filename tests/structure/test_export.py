"""`protcontact.structure.export`: what a viewer is told, in its own numbering."""

import re

import numpy as np
import pytest

from protcontact.structure.contacts import contact_map
from protcontact.structure.export import drawable_pairs, write_chimerax, write_npz, write_pymol
from protcontact.structure.read import read_structure
from tests.structure.builders import change, peptide, seqres, to_pdb, without

SEQUENCE = "MKGAVLSTWYFH"


@pytest.fixture
def chain():
    """Author numbers -2 ... 9, residue 5 with insertion code B; the second residue unresolved."""
    atoms = change(peptide(SEQUENCE, first=-2, chain="h"), lambda a: a.number == 5, insertion="B")
    atoms = without(atoms, lambda a: a.number == -1 or (a.number, a.name) == (9, "CB"))
    (chain,) = read_structure(to_pdb(atoms, header=seqres({"h": SEQUENCE})), name="x.pdb").chains
    return chain


def scores_of(*pairs):
    scores = np.zeros((12, 12))
    for rank, (i, j) in enumerate(pairs):
        scores[i, j] = scores[j, i] = 1 - rank / 10
    return scores


def test_pymol_draws_in_author_numbering(tmp_path, chain):
    scores = scores_of((0, 7), (2, 11))
    assert write_pymol(tmp_path / "x.pml", chain, scores, top=2) == 2
    lines = (tmp_path / "x.pml").read_text().splitlines()
    drawn = [line for line in lines if line.startswith("distance")]
    assert drawn[0].startswith(
        "distance predicted_no_contact, (chain 'h' and resi \\-2 and name CB and alt ''+A), "
        "(chain 'h' and resi 5B and name CB"
    )
    assert "resi 0 and name CA" in drawn[1]  # glycine
    assert "resi 9 and name CA" in drawn[1]  # CB was built: the viewer has none
    assert "color red, predicted_no_contact" in lines


def test_chimerax_draws_the_same(tmp_path, chain):
    scores = scores_of((0, 7), (2, 11))
    assert write_chimerax(tmp_path / "x.cxc", chain, scores, top=2) == 2
    text = (tmp_path / "x.cxc").read_text()
    assert "pbond /h:-2@CB /h:5B@CB color" in text
    assert "pbond /h:0@CA /h:9@CA color" in text
    assert len(re.findall("dashes", text)) == 2


def test_labels_of_the_drawn_pairs_are_those_of_the_contact_map(chain):
    scores = np.random.default_rng(0).random((12, 12))
    scores = scores + scores.T
    labels = contact_map(chain)
    pairs = drawable_pairs(chain, scores, 3, 100)
    assert {label for _, _, label in pairs} == {0, 1}
    assert all(labels[i, j] == label for i, j, label in pairs)


def test_residues_without_coordinates_are_skipped_not_replaced(chain):
    scores = scores_of((1, 8), (0, 7), (2, 9))
    assert [pair[:2] for pair in drawable_pairs(chain, scores, 6, 2)] == [(0, 7)]


def test_npz_keeps_the_numbers(tmp_path, chain):
    scores = scores_of((0, 7))
    write_npz(tmp_path / "x.npz", chain, scores)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["scores"], scores.astype(np.float32))
        np.testing.assert_array_equal(archive["labels"], contact_map(chain))
        assert str(archive["sequence"]) == SEQUENCE
        assert tuple(archive["numbering"]) == chain.numbering
        assert str(archive["chain_id"]) == "h"
        assert "chain_of" not in archive


def test_npz_takes_further_arrays(tmp_path, chain):
    write_npz(tmp_path / "x.npz", chain, scores_of(), chain_of=np.arange(len(chain)))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["chain_of"], np.arange(len(chain)))
        assert str(archive["sequence"]) == SEQUENCE


@pytest.mark.parametrize("write", [write_npz, lambda *args: write_pymol(*args, top=1)])
def test_scores_of_another_chain_are_refused(tmp_path, chain, write):
    with pytest.raises(ValueError, match=r"\(12, 12\) like the chain"):
        write(tmp_path / "x", chain, np.zeros((3, 3)))
    assert not (tmp_path / "x").exists()
