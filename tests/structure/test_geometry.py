"""`protcontact.structure.geometry` against internal coordinates built another way."""

import numpy as np
import pytest
from biotite.structure import info

from protcontact.structure.geometry import bonded_to_next, build_cb
from tests.structure.builders import backbone

N, CA, C, CB = range(4)


def test_built_cb_lies_where_ideal_internal_coordinates_put_it():
    """0.1 Angstrom: the tetrahedron against N-CA-CB 110.5 and C-N-CA-CB -122.6 degrees."""
    for phi, psi in ((-60, -45), (-120, 130), (60, 45)):
        xyz = backbone(10, phi, psi)
        built = build_cb(xyz[:, N], xyz[:, CA], xyz[:, C], np.zeros(10, dtype=bool))
        assert np.linalg.norm(built - xyz[:, CB], axis=1).max() < 0.1


@pytest.mark.parametrize(
    ("component", "mirrored"),
    [("ALA", False), ("VAL", False), ("TRP", False), ("DAL", True), ("DVA", True)],
)
def test_hand_and_place_agree_with_the_component_dictionary(component, mirrored):
    """The hand must come from outside: builder and formula could be wrong together."""
    residue = info.residue(component)
    n, ca, c, cb = (residue.coord[residue.atom_name == name] for name in ("N", "CA", "C", "CB"))
    built = build_cb(n, ca, c, np.array([mirrored]))
    assert np.linalg.norm(built - cb) < 0.15


def test_d_amino_acids_get_the_mirror_image():
    mirror = np.array([1.0, 1.0, -1.0])
    xyz = backbone(5)
    built = build_cb(xyz[:, N], xyz[:, CA], xyz[:, C], np.zeros(5, dtype=bool))
    mirrored = xyz * mirror
    d_form = build_cb(mirrored[:, N], mirrored[:, CA], mirrored[:, C], np.ones(5, dtype=bool))
    np.testing.assert_allclose(d_form, built * mirror, atol=1e-9)


def test_bond_length_and_tetrahedral_symmetry():
    xyz = backbone(5)
    built = build_cb(xyz[:, N], xyz[:, CA], xyz[:, C], np.zeros(5, dtype=bool))
    np.testing.assert_allclose(np.linalg.norm(built - xyz[:, CA], axis=1), 1.53)
    to_cb = (built - xyz[:, CA]) / 1.53
    for atom in (N, C):
        to_atom = xyz[:, atom] - xyz[:, CA]
        cosine = (to_cb * to_atom).sum(axis=1) / np.linalg.norm(to_atom, axis=1)
        assert (np.abs(np.degrees(np.arccos(cosine)) - 109.5) < 1.0).all()


def test_cb_cannot_be_built_without_an_atom_or_from_a_line():
    n = np.array([[np.nan, 0, 0], [1.0, 0, 0], [0.0, 0, 0]])
    ca = np.zeros((3, 3))
    c = np.array([[0.0, 1.5, 0], [-1.0, 0, 0], [0.0, 1.5, 0]])
    assert np.isnan(build_cb(n, ca, c, np.zeros(3, dtype=bool))).all()


def test_bonded_neighbours_and_a_break():
    xyz = np.concatenate([backbone(3), backbone(3) + 20.0])
    np.testing.assert_array_equal(bonded_to_next(xyz[:, N], xyz[:, CA], xyz[:, C]), [1, 1, 0, 1, 1])


def test_ca_decides_where_the_bond_cannot_be_seen():
    xyz = np.concatenate([backbone(3), backbone(2) + 20.0])
    absent = np.full_like(xyz[:, C], np.nan)
    np.testing.assert_array_equal(bonded_to_next(xyz[:, N], xyz[:, CA], absent), [1, 1, 0, 1])
    np.testing.assert_array_equal(bonded_to_next(absent, absent, absent), [-1] * 4)


def test_a_strained_bond_counts_only_if_ca_are_near():
    """2VQI 515-517: C-N 2.36 and CA-CA 4.87 Angstrom with residue 516 missing in between."""
    n, ca, c = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))
    c[0], n[1] = [0, 0, 0], [2.36, 0, 0]
    for distance, expected in ((4.87, 0), (3.9, 1)):
        ca[1] = [distance, 0, 0]
        assert bonded_to_next(n, ca, c).tolist() == [expected]
