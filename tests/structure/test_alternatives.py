"""`protcontact.structure.alternatives`: one alternative per residue; placeholders."""

import numpy as np
import pytest

from protcontact.structure.alternatives import choose_alternatives, without_placeholders
from protcontact.structure.observed import Atoms

N, CA, C, CB = range(4)


def choose(rows, components=("ALA",), count=1):
    """Rows of (residue, name, alternative, component, occupancy); x counts the rows."""
    columns = list(zip(*rows, strict=True))
    atoms = Atoms(
        residue=np.array(columns[0]),
        name=np.array(columns[1]),
        alternative=np.array(columns[2]),
        component=np.array(columns[3]),
        components=components,
        occupancy=np.array(columns[4], dtype=np.float32),
        xyz=np.array([[index, 0, 0] for index in range(len(rows))], dtype=np.float32),
    )
    return choose_alternatives(atoms, count)


def test_highest_occupancy_wins():
    residues = choose([(0, CA, 1, 0, 0.4), (0, CA, 2, 0, 0.6)])
    assert residues.xyz[0, CA, 0] == 1
    assert residues.altloc.tolist() == [True]


def test_the_first_of_equals_wins():
    residues = choose([(0, CA, 2, 0, 0.5), (0, CA, 1, 0, 0.5)])
    assert residues.xyz[0, CA, 0] == 0


def test_equal_occupancies_stay_equal_whatever_the_number_of_atoms():
    """Means of 0.35 over three and over four atoms differ in the last bit of a float."""
    rows = [(0, name, 1, 0, 0.35) for name in (N, CA, C)]
    rows += [(0, name, 2, 0, 0.35) for name in (N, CA, C, CB)]
    assert choose(rows).xyz[0, CA, 0] == 1


def test_atoms_of_two_alternatives_are_never_mixed():
    """B has the best CB, A is better over the residue: CB must be that of A."""
    rows = [(0, CA, 1, 0, 0.7), (0, CB, 1, 0, 0.5), (0, CA, 2, 0, 0.3), (0, CB, 2, 0, 0.6)]
    residues = choose(rows)
    assert residues.xyz[0, [CA, CB], 0].tolist() == [0, 1]


def test_what_the_chosen_alternative_lacks_is_taken_from_another():
    """An atom is dropped only for another of the same name."""
    rows = [(0, CA, 1, 0, 0.7), (0, CA, 2, 0, 0.3), (0, CB, 2, 0, 0.3), (0, CB, 3, 0, 0.2)]
    residues = choose(rows)
    assert residues.xyz[0, [CA, CB], 0].tolist() == [0, 2]
    assert residues.altloc.tolist() == [True]


def test_nothing_is_taken_from_another_component():
    rows = [(0, CA, 1, 0, 0.7), (0, CA, 2, 1, 0.3), (0, CB, 2, 1, 0.3)]
    assert np.isnan(choose(rows, components=("GLY", "ALA")).xyz[0, CB]).all()


def test_labels_given_atom_by_atom_are_no_alternatives():
    """1PV5, residue 16: every atom once, N and C as A, CA and CB as B; it became unresolved."""
    rows = [(0, N, 1, 0, 0.5), (0, CA, 2, 0, 0.5), (0, C, 1, 0, 0.5), (0, CB, 2, 0, 0.5)]
    residues = choose(rows)
    assert residues.xyz[0, :, 0].tolist() == [0, 1, 2, 3]
    assert residues.altloc.tolist() == [False]


@pytest.mark.parametrize(("blank", "lettered", "chosen"), [(0.3, 0.7, 1), (0.6, 0.4, 0)])
def test_blank_atoms_beside_lettered_ones_are_an_alternative(blank, lettered, chosen):
    """Blank, then B: blank was not among the alternatives, whatever its occupancy."""
    rows = [(0, N, 0, 0, 1.0)]
    rows += [(0, CB, 0, 0, blank), (0, CB, 2, 0, lettered), (0, CA, 0, 0, 1.0)]
    residues = choose(rows)
    assert residues.xyz[0, [N, CB, CA], 0].tolist() == [0, 1 + chosen, 3]
    assert residues.altloc.tolist() == [True]


def test_a_blank_component_beside_a_lettered_one_is_an_alternative():
    rows = [(0, CA, 0, 0, 0.6), (0, CB, 0, 0, 0.6), (0, CA, 2, 1, 0.4)]
    residues = choose(rows, components=("ALA", "GLY"))
    assert residues.component == ("ALA",)
    assert residues.xyz[0, [CA, CB], 0].tolist() == [0, 1]


def placeholders(xyz, component="ALA"):
    """Of one residue with these N, CA, C, CB: which atoms stay, and whether that is told."""
    residues = choose([(0, name, 0, 0, 1.0) for name in range(4)], components=(component,))
    residues.xyz[0] = xyz
    cleared = without_placeholders(residues)
    return np.isfinite(cleared.xyz[0]).all(axis=1).tolist(), bool(cleared.placeholder[0])


REAL = np.float32([[0, 0, 0], [1.5, 0, 0], [2, 1.4, 0], [2, -1, 1]])


@pytest.mark.parametrize(
    ("rows", "value", "component", "stay", "told"),
    [
        ([], 0, "ALA", [True] * 4, False),  # N of the first residue may be the origin
        ([0, 1, 2, 3], 9999, "ALA", [False] * 4, True),
        ([0, 1, 2, 3], 9998, "ALA", [False] * 4, True),
        ([3], 9999, "ALA", [True, True, True, False], True),
        ([0, 1, 2, 3], 0, "ALA", [False] * 4, True),
        ([0, 3], 7, "ALA", [False] * 4, True),
        ([3], 0, "ALA", [False] * 4, True),
        ([1, 3], 7, "GLY", [True] * 4, False),  # some files give glycine its CA as CB
        ([0, 1, 2], 0, "GLY", [False] * 4, True),
    ],
)
def test_placeholders_are_no_coordinates(rows, value, component, stay, told):
    """9999.000 and 0.000 for "not known" became the labels of contacts."""
    xyz = REAL.copy()
    xyz[rows] = value
    if value == 0 and rows == [3]:
        xyz[0] = 5
    assert placeholders(xyz, component) == (stay, told)


def test_atoms_without_alternative_belong_to_all():
    rows = [(0, N, 0, 0, 1.0), (0, CA, 1, 0, 0.3), (0, CA, 2, 0, 0.7), (0, C, 0, 0, 1.0)]
    assert choose(rows).xyz[0, [N, CA, C], 0].tolist() == [0, 2, 3]


def test_residues_choose_for_themselves():
    rows = [(0, CA, 1, 0, 0.9), (0, CA, 2, 0, 0.1), (1, CA, 1, 0, 0.1), (1, CA, 2, 0, 0.9)]
    assert choose(rows, count=2).xyz[:, CA, 0].tolist() == [0, 3]


def test_microheterogeneity_chooses_the_component():
    rows = [(0, CA, 1, 0, 0.4), (0, CB, 1, 0, 0.4), (0, CA, 2, 1, 0.6), (0, CB, 2, 1, 0.6)]
    residues = choose(rows, components=("SER", "PRO"))
    assert residues.component == ("PRO",)
    assert residues.offered == {0: ("SER", "PRO")}
    assert residues.xyz[0, [CA, CB], 0].tolist() == [2, 3]


def test_two_components_without_alternate_locations():
    rows = [(0, CA, 0, 0, 0.6), (0, CA, 0, 1, 0.4), (0, CB, 0, 1, 0.4)]
    residues = choose(rows, components=("GLY", "ALA"))
    assert residues.component == ("GLY",)
    assert np.isnan(residues.xyz[0, CB]).all()


def test_three_alternatives_and_a_component_shared_by_two():
    """1CBN, residue 22: serine A and B at 0.2 each, proline C at 0.6."""
    rows = [(0, CA, 1, 0, 0.2), (0, CA, 2, 0, 0.2), (0, CA, 3, 1, 0.6)]
    assert choose(rows, components=("SER", "PRO")).component == ("PRO",)


def test_of_repeated_atoms_the_first_counts():
    residues = choose([(0, CA, 0, 0, 1.0), (0, CA, 0, 0, 1.0)])
    assert residues.xyz[0, CA, 0] == 0
    assert residues.altloc.tolist() == [False]


def test_zero_occupancy_is_told_and_absent_atoms_are_nan():
    residues = choose([(0, CA, 0, 0, 0.0), (1, CA, 0, 0, 1.0)], count=2)
    assert residues.zero_occupancy.tolist() == [True, False]
    assert np.isnan(residues.xyz[:, [N, C, CB]]).all()
