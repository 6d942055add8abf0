"""What every fold keeps, measured with plain loops and textbook formulas on many random chains."""

import numpy as np
import pytest

from protcontact.data.synthetic.fold import SEPARATION_ROOM, draw_fold, pair_separation
from protcontact.data.synthetic.geometry import (
    CA,
    CB,
    HELIX,
    STRAND,
    C,
    N,
    O,
    bond_angle,
    dihedral,
)
from tests.data.synthetic.folds import far_folds, many_folds

FOLDS = [fold for fold, _ in many_folds() + far_folds()]


def gaps(points, apart):
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    index = np.arange(len(points))
    return distance[np.abs(index[:, None] - index) >= apart]


def test_consecutive_ca_are_as_far_apart_as_a_trans_peptide_makes_them():
    for fold in FOLDS:
        step = np.linalg.norm(np.diff(fold.atoms[:, CA], axis=0), axis=1)
        assert np.abs(step - 3.80).max() < 0.11


def test_bonds_and_angles_of_the_backbone():
    for fold in FOLDS:
        n, ca, c, o = (fold.atoms[:, k] for k in (N, CA, C, O))
        for a, b, ideal in ((n, ca, 1.458), (ca, c, 1.525), (c, o, 1.231), (c[:-1], n[1:], 1.329)):
            assert np.abs(np.linalg.norm(a - b, axis=1) - ideal).max() < 0.11
        assert np.abs(bond_angle(n, ca, c) - 111.2).max() < 15.1
        assert np.abs(bond_angle(ca[:-1], c[:-1], n[1:]) - 116.2).max() < 8
        assert np.abs(bond_angle(c[:-1], n[1:], ca[1:]) - 121.7).max() < 8
        assert np.abs(dihedral(ca[:-1], c[:-1], n[1:], ca[1:])).min() > 170
    tau = np.concatenate([bond_angle(f.atoms[:, N], f.atoms[:, CA], f.atoms[:, C]) for f in FOLDS])
    assert (np.abs(tau - 111.2) < 5).mean() > 0.9


def test_no_clash():
    for fold in FOLDS:
        assert gaps(fold.atoms[:, CA], 2).min() >= 3.8 - 1e-6
        assert gaps(fold.atoms[:, CB], 2).min() >= 3.2 - 1e-6
        points = fold.atoms.reshape(-1, 3)
        owner = np.repeat(np.arange(len(fold)), 5)
        distance = np.linalg.norm(points[:, None] - points, axis=-1)
        assert distance[np.abs(owner[:, None] - owner) >= 2].min() >= 2.5 - 1e-6


def test_residues_are_l_amino_acids():
    """The improper N-C-CB about CA is positive, +1.23 on an ideal residue when normalised."""
    for fold in FOLDS:
        n, ca, c, cb = (fold.atoms[:, k] for k in (N, CA, C, CB))
        assert ((np.cross(n - ca, c - ca) * (cb - ca)).sum(axis=1) > 1.5).all()


def test_helices_and_strands_have_ideal_phi_and_psi():
    for fold in FOLDS:
        atoms = fold.atoms
        for element in fold.elements:
            rows = np.arange(element.start, element.stop)
            phi = dihedral(atoms[rows - 1, C], atoms[rows, N], atoms[rows, CA], atoms[rows, C])
            psi = dihedral(atoms[rows, N], atoms[rows, CA], atoms[rows, C], atoms[rows + 1, N])
            ideal = HELIX if element.kind == "H" else STRAND
            assert np.abs(phi - ideal[0]).max() < 0.1 and np.abs(psi - ideal[1]).max() < 0.1


def test_folds_are_compact():
    for fold in FOLDS:
        ca = fold.atoms[:, CA]
        rg = np.sqrt(((ca - ca.mean(axis=0)) ** 2).sum(axis=1).mean())
        assert 0.8 < rg / (2.2 * len(fold) ** 0.38) <= 1.4


def test_paired_strands_are_in_contact_and_are_all_that_is_called_paired():
    for fold in FOLDS:
        cb = fold.atoms[:, CB]
        for first, second in fold.pairs:
            a, b = fold.elements[first], fold.elements[second]
            gap = np.linalg.norm(cb[a.start : a.stop, None] - cb[b.start : b.stop], axis=-1)
            assert (gap < 8.0).sum() >= min(a.length, b.length) - 2


def test_elements_do_not_overlap_and_length_is_what_was_asked_for():
    for number, (fold, _) in enumerate(many_folds()):
        assert len(fold) == 40 + 3 * number
        ends = [0, *(k for e in fold.elements for k in (e.start, e.stop)), len(fold)]
        assert ends == sorted(ends)


def test_planted_pairs_keep_their_separation():
    for fold, _ in far_folds():
        planted = [
            pair_separation(fold.elements, pair)
            for pair in fold.pairs
            if {fold.elements[k].group for k in pair} == {1, 2}
        ]
        assert planted and min(planted) >= 150


def test_without_a_wish_separations_are_spread():
    separations = np.array(
        [pair_separation(f.elements, pair) for f, _ in many_folds() for pair in f.pairs]
    )
    assert (separations < 12).any() and (separations > 60).any()
    assert (separations >= 24).mean() > 0.3


def test_equal_seeds_give_equal_folds_and_others_do_not():
    first, again, other = (draw_fold(np.random.default_rng(seed), 70) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.atoms, again.atoms)
    assert np.abs(first.atoms - other.atoms).max() > 1


@pytest.mark.slow
def test_a_separation_of_hundreds_of_residues_can_be_planted():
    fold = draw_fold(np.random.default_rng(1), 400 + SEPARATION_ROOM, separation=400)
    assert max(pair_separation(fold.elements, pair) for pair in fold.pairs) >= 400
