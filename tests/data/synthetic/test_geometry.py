import io
import tarfile

import biotite.structure
import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile

from protcontact.data.synthetic import geometry
from protcontact.data.synthetic.geometry import CA, CB, HELIX, STRAND, C, N, O

RNG = np.random.default_rng(0)


def dihedral_of_planes(a, b, c, d):
    """The angle between the planes abc and bcd: the textbook definition."""
    first, second = np.cross(b - a, c - b), np.cross(c - b, d - c)
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))) * np.sign(first @ (d - c))


def test_cross_is_that_of_numpy():
    a, b = RNG.normal(size=(2, 4, 5, 3))
    np.testing.assert_allclose(geometry.cross(a, b), np.cross(a, b), atol=1e-12)


def test_dihedral_agrees_with_the_angle_between_planes_and_with_biotite():
    for points in RNG.normal(size=(20, 4, 3)):
        found = geometry.dihedral(*points)
        assert found == pytest.approx(dihedral_of_planes(*points), abs=1e-6)
        assert found == pytest.approx(np.degrees(biotite.structure.dihedral(*points)), abs=1e-4)


def test_place_gives_the_internal_coordinates_that_were_asked_for():
    for a, b, c in RNG.normal(size=(10, 3, 3)):
        for torsion in (-170.0, -57.0, 0.0, 35.0, 120.0):
            d = geometry.place(a, b, c, 1.5, 111.0, torsion)
            assert np.linalg.norm(d - c) == pytest.approx(1.5)
            assert geometry.bond_angle(b, c, d) == pytest.approx(111.0)
            assert geometry.dihedral(a, b, c, d) == pytest.approx(torsion, abs=1e-6)


@pytest.mark.parametrize("angles", [HELIX, STRAND])
def test_elements_have_the_lengths_and_angles_of_engh_and_huber(angles):
    atoms = geometry.ideal_element(angles, 12)
    n, ca, c, o, cb = (atoms[:, k] for k in (N, CA, C, O, CB))

    def lengths(a, b):
        return np.linalg.norm(a - b, axis=1)

    np.testing.assert_allclose(lengths(n, ca), 1.458)
    np.testing.assert_allclose(lengths(ca, c), 1.525)
    np.testing.assert_allclose(lengths(c, o), 1.231)
    np.testing.assert_allclose(lengths(ca, cb), 1.530)
    np.testing.assert_allclose(lengths(c[:-1], n[1:]), 1.329)
    np.testing.assert_allclose(lengths(ca[:-1], ca[1:]), 3.80, atol=0.01)
    np.testing.assert_allclose(geometry.bond_angle(n, ca, c), 111.2)
    np.testing.assert_allclose(geometry.bond_angle(n, ca, cb), 110.4)
    np.testing.assert_allclose(geometry.bond_angle(c, ca, cb), 110.1)
    # C, O and both CA of a peptide lie in one plane: O-C-N is what is left of 360 degrees
    np.testing.assert_allclose(geometry.bond_angle(o[:-1], c[:-1], n[1:]), 360 - 116.2 - 120.8)
    omega = geometry.dihedral(ca[:-1], c[:-1], n[1:], ca[1:])
    np.testing.assert_allclose(np.abs(omega), 180.0, atol=1e-6)


@pytest.mark.parametrize("angles", [HELIX, STRAND])
def test_elements_have_the_wished_phi_and_psi(angles):
    atoms = geometry.ideal_element(angles, 9)
    phi = geometry.dihedral(atoms[:-1, C], atoms[1:, N], atoms[1:, CA], atoms[1:, C])
    psi = geometry.dihedral(atoms[:-1, N], atoms[:-1, CA], atoms[:-1, C], atoms[1:, N])
    np.testing.assert_allclose(phi, angles[0])
    np.testing.assert_allclose(psi, angles[1])


def test_helix_is_right_handed_and_has_the_known_rise_and_turn():
    """An alpha helix rises 1.5 Angstrom and turns 100 degrees per residue: i to i+18 is 5 turns."""
    ca = geometry.ideal_element(HELIX, 37)[:, CA]
    assert np.linalg.norm(ca[36] - ca[0]) / 36 == pytest.approx(1.5, abs=0.1)
    assert geometry.dihedral(ca[0], ca[1], ca[2], ca[3]) == pytest.approx(50.0, abs=2.0)


def test_helix_has_its_hydrogen_bonds():
    """O of residue i accepts from N of residue i + 4, at about 3.0 Angstrom in crystals."""
    atoms = geometry.ideal_element(HELIX, 12)
    bond = np.linalg.norm(atoms[:-4, O] - atoms[4:, N], axis=1)
    assert (np.abs(bond - 3.0) < 0.15).all()


def test_cb_has_the_chirality_of_real_proteins(shared_data):
    """CB built from N, CA and C against that of a crystal structure: not on the mirrored side."""
    with tarfile.open(shared_data / "pdb.tar.xz") as archive:
        member = next(m for m in archive if m.isfile() and m.size > 100_000)
        text = archive.extractfile(member).read().decode("latin-1")
    atoms = PDBFile.read(io.StringIO(text)).get_structure(model=1)
    errors = []
    for residue in biotite.structure.residue_iter(atoms):
        named = {name: residue.coord[residue.atom_name == name] for name in geometry.ATOMS}
        if not residue.hetero.any() and all(len(found) == 1 for found in named.values()):
            n, ca, c, _, cb = (found[0].astype(float) for found in named.values())
            errors.append(np.linalg.norm(geometry.build_cb(n, ca, c) - cb))
    assert len(errors) > 50
    assert np.median(errors) < 0.15 and max(errors) < 0.6


def test_peptide_plane_is_the_peptide_of_an_ideal_element():
    along, across = geometry.peptide_plane().T
    atoms = geometry.ideal_element(STRAND, 2)
    axis = geometry.unit(atoms[1, CA] - atoms[0, CA])
    for row, atom in enumerate((atoms[0, C], atoms[0, O], atoms[1, N], atoms[1, CA])):
        offset = atom - atoms[0, CA]
        assert offset @ axis == pytest.approx(along[row], abs=1e-9)
        assert np.linalg.norm(offset - (offset @ axis) * axis) == pytest.approx(
            abs(across[row]), abs=1e-6
        )
    assert across[0] > 0 > across[2]
