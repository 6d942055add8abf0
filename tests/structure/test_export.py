"""`protcontact.structure.export`: what a viewer is told, in its own numbering."""

import re
from dataclasses import replace
from io import BytesIO, StringIO

import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import BinaryCIFFile, CIFFile, get_structure

from protcontact.errors import InputError
from protcontact.structure.contacts import contact_map
from protcontact.structure.export import (
    drawable_pairs,
    read_npz,
    write_chimerax,
    write_npz,
    write_pymol,
)
from protcontact.structure.read import read_structure
from protcontact.structure.rr import rank_pairs
from tests.structure.builders import (
    change,
    peptide,
    seqres,
    to_bcif,
    to_mmcif,
    to_pdb,
    without,
)

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
        "distance predicted_no_contact, first (chain 'h' and resi \\-2 and name CB), "
        "first (chain 'h' and resi 5B and name CB)"
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


LONG = "MKGAVLSTWYFHACDEFGIK"
# author numbers of LONG: negative, 0, a gap, and one number with three insertion codes
NUMBERS = [(-3, ""), (-2, ""), (-1, ""), (0, ""), (1, ""), (2, ""), (52, ""), (52, "A"), (52, "B")]
NUMBERS += [(number, "") for number in range(60, 71)]


def two_chains(first, second):
    """Both chains have the same author numbers; alternates B and C, a residue without CB."""
    atoms = []
    for place, (name, entity) in enumerate(((first, "1"), (second, "2"))):
        for atom in peptide(LONG, chain=name, offset=(40.0 * place, 0, 0), entity=entity):
            number, insertion = NUMBERS[atom.place - 1]
            label = "AB"[place]
            atoms.append(replace(atom, number=number, insertion=insertion, label_chain=label))
    atoms = without(atoms, lambda a: (a.place, a.name) == (5, "CB") or a.place in (12, 13))
    twice = []
    for atom in atoms:
        twice.append(replace(atom, alternative="B", occupancy=0.4) if atom.place == 10 else atom)
        if atom.place == 10:
            moved = tuple(value + 0.5 for value in atom.xyz)
            twice.append(replace(atom, alternative="C", occupancy=0.6, xyz=moved))
    return twice


def as_pdb(atoms):
    content = to_pdb(atoms, header=seqres({"h": LONG, "B": LONG}))
    file = PDBFile.read(StringIO(content.decode()))
    return content, file.get_structure(model=1, altloc="all")


def observed(file):
    """Biotite's view in author numbering; it wants columns that the builder does not write."""
    site = file.block["atom_site"]
    site["auth_atom_id"], site["auth_comp_id"] = site["label_atom_id"], site["label_comp_id"]
    site["type_symbol"] = [name[0] for name in site["label_atom_id"].as_array(str)]
    return get_structure(file, 1, altloc="all")


def as_mmcif(atoms):
    content = to_mmcif(atoms, sequences={"1": LONG, "2": LONG}, asyms={"A": "1", "B": "2"})
    return content, observed(CIFFile.read(StringIO(content.decode())))


def as_bcif(atoms):
    content = to_bcif(as_mmcif(atoms)[0])
    return content, observed(BinaryCIFFile.read(BytesIO(content)))


def pymol_selections(path):
    """``(chain, number, insertion code, atom)`` of both ends, from what PyMOL is told."""
    one = r"first \(chain '([^']*)' and resi (\\?-?\d+)([A-Za-z]?) and name (\w+)\)"
    line = re.compile(rf"distance predicted_\w+, {one}, {one}")
    for text in path.read_text().splitlines():
        if text.startswith("distance"):
            words = line.fullmatch(text).groups()
            # without its backslash PyMOL takes -3 for a range
            assert all(not number.startswith("-") for number in (words[1], words[5]))
            yield tuple(
                (chain, int(number.replace("\\", "")), insertion, atom)
                for chain, number, insertion, atom in (words[:4], words[4:])
            )


def chimerax_selections(path):
    """The same of what ChimeraX is told."""
    one = r"/([^:]*):(-?\d+)([A-Za-z]?)@(\w+)"
    line = re.compile(rf"pbond {one} {one} .*")
    for text in path.read_text().splitlines():
        if text.startswith("pbond"):
            words = line.fullmatch(text).groups()
            yield tuple(
                (chain, int(number), insertion, atom)
                for chain, number, insertion, atom in (words[:4], words[4:])
            )


def residue_of(selection, atoms, chain):
    """Place of the one residue that a selection means, found by coordinates."""
    name, number, insertion, atom = selection
    hits = atoms[
        (atoms.chain_id == name)
        & (atoms.res_id == number)
        & (atoms.ins_code == insertion)
        & (atoms.atom_name == atom)
    ]
    assert len(set(hits.res_name)) == 1
    ends = chain.coordinates if atom == "CB" else chain.ca
    apart = np.linalg.norm(ends[:, None, :] - hits.coord[None], axis=-1).min(axis=1)
    (place,) = np.flatnonzero(apart < 1e-3)
    return int(place)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("write", "ids"),
    [(as_pdb, ("h", "B")), (as_mmcif, ("AbC", "AB")), (as_bcif, ("AbC", "7x"))],
)
@pytest.mark.parametrize(
    ("export", "selections"),
    [(write_pymol, pymol_selections), (write_chimerax, chimerax_selections)],
)
def test_what_viewers_select_are_the_ranked_pairs(export, selections, write, ids, number, tmp_path):
    content, atoms = write(two_chains(*ids))
    chain = read_structure(content, name="x").chains[number]
    assert chain.chain_id == ids[number]
    scores = np.random.default_rng(number).random((20, 20))
    scores = scores + scores.T
    count = export(tmp_path / "x", chain, scores, min_separation=1, top=150)
    drawn = [
        tuple(residue_of(end, atoms, chain) for end in ends) for ends in selections(tmp_path / "x")
    ]
    unseen = {11, 12}  # unresolved
    ranked = [tuple(pair) for pair in rank_pairs(scores, 1, 150).tolist()]
    assert drawn == [pair for pair in ranked if not unseen & set(pair)]
    assert count == len(drawn) > 100
    assert {place for pair in drawn for place in pair} == set(range(20)) - unseen


def test_npz_comes_back_with_numbers_that_mean_the_same_residues(tmp_path):
    content, atoms = as_mmcif(two_chains("AbC", "AB"))
    chain = read_structure(content, name="x").chains[1]
    scores = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    scores[3, 9] = scores[4, 8] = np.nan
    write_npz(tmp_path / "x.npz", chain, scores)
    contacts = read_npz(tmp_path / "x.npz")
    assert (contacts.target, contacts.sequence) == (chain.id, LONG)
    pairs = [(i, j) for i in range(20) for j in range(i + 1, 20) if (i, j) not in ((3, 9), (4, 8))]
    assert contacts.pairs.tolist() == [list(pair) for pair in pairs]
    assert contacts.probabilities.tolist() == [float(scores[pair]) for pair in pairs]
    with np.load(tmp_path / "x.npz", allow_pickle=False) as held:
        name, numbering = str(held["chain_id"]), held["numbering"].tolist()
    for place in np.flatnonzero(chain.resolved).tolist():
        number, insertion = re.fullmatch(r"(-?\d+)([A-Z]?)", numbering[place]).groups()
        assert residue_of((name, int(number), insertion, "CA"), atoms, chain) == place


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "is no prediction of protcontact"),
        ({"scores": np.zeros((3, 3)), "sequence": "ACD"}, "is no prediction of protcontact"),
        ({"scores": np.zeros((3, 2)), "sequence": "ACD", "id": "x"}, r"\(3, 2\) for 3 residues"),
        ({"scores": np.zeros((0, 0)), "sequence": "", "id": "x"}, "for 0 residues"),
        ({"scores": np.full((3, 3), 1.5), "sequence": "ACD", "id": "x"}, r"outside \[0, 1\]"),
        ({"scores": np.full((3, 3), np.nan), "sequence": "ACD", "id": "x"}, "no predicted pair"),
        (
            {"scores": np.zeros((3, 3)), "sequence": "ACD", "id": "x", "chain_of": [0, 0, 1]},
            "holds 2 chains",
        ),
        ({"scores": np.array([None]), "sequence": "ACD", "id": "x"}, "pickle"),
        ({"scores": np.full((3, 3), "0.5"), "sequence": "ACD", "id": "x"}, "is no prediction"),
        ({"scores": np.zeros((3, 3)), "sequence": "A1D", "id": "x"}, "is no prediction.*'1'"),
    ],
)
def test_other_npz_files_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=rf"x\.npz.*{message}"):
        read_npz(tmp_path / "x.npz")


def test_what_is_no_npz_is_refused(tmp_path):
    (tmp_path / "x.npz").write_text("1 8 0 8 0.5")
    for name in ("x.npz", "absent.npz"):
        with pytest.raises(InputError, match=rf"{name}: is no prediction"):
            read_npz(tmp_path / name)


def test_a_damaged_npz_is_refused(tmp_path, chain):
    """Whichever byte it is: an archive may also still be whole, and then it is read."""
    write_npz(tmp_path / "whole.npz", chain, scores_of())
    content = (tmp_path / "whole.npz").read_bytes()
    refused = 0
    for place in range(0, len(content), 37):
        broken = bytearray(content)
        broken[place] ^= 0x55
        (tmp_path / "x.npz").write_bytes(broken)
        try:
            read_npz(tmp_path / "x.npz")
        except InputError:
            refused += 1
    assert refused > 5
