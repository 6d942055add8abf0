import itertools

import numpy as np
import pytest

from protcontact.data.synthetic import backbone, geometry
from protcontact.data.synthetic.geometry import CA, HELIX, STRAND, C, N, bond_angle, dihedral


def phi_psi(atoms):
    phi = dihedral(atoms[:-1, C], atoms[1:, N], atoms[1:, CA], atoms[1:, C])[:-1]
    psi = dihedral(atoms[:-1, N], atoms[:-1, CA], atoms[:-1, C], atoms[1:, N])[1:]
    return phi, psi


def only_ca(atoms):
    known = np.full(atoms.shape, np.nan)
    known[:, CA] = atoms[:, CA]
    return known


@pytest.mark.parametrize("angles", [HELIX, STRAND])
def test_ideal_elements_are_found_again_from_their_ca_trace(angles):
    atoms = geometry.ideal_element(angles, 14)
    built = backbone.rebuild(atoms[:, CA], np.zeros(13, dtype=bool), only_ca(atoms))
    phi, psi = phi_psi(built)
    assert np.abs(phi - angles[0]).max() < 10 and np.abs(psi - angles[1]).max() < 10
    assert np.abs(built - atoms)[2:-2].max() < 0.25


def test_peptides_that_are_given_stay_exactly():
    atoms = geometry.ideal_element(HELIX, 14)
    given = np.ones(13, dtype=bool)
    given[5:8] = False
    known = atoms.copy()
    known[5:8, [C, geometry.O]] = np.nan
    known[6:9, N] = np.nan
    built = backbone.rebuild(atoms[:, CA], given, known)
    untouched = [0, 1, 2, 3, 4, 10, 11, 12, 13]
    np.testing.assert_array_equal(built[untouched], atoms[untouched])
    assert np.abs(built - atoms).max() < 0.3


def test_free_peptides_have_ideal_bonds_on_any_trace_with_ideal_steps():
    rng = np.random.default_rng(0)
    ca = [np.zeros(3), np.array([3.8, 0, 0])]
    step = geometry.peptide_plane()[3, 0]
    ca[1][0] = step
    ca.append(ca[1] + step * geometry.unit(np.array([0.5, 0.9, 0.0])))
    for _ in range(15):
        ca.append(geometry.place(*ca[-3:], step, rng.uniform(95, 125), rng.uniform(-180, 180)))
    ca = np.array(ca)
    built = backbone.rebuild(
        ca, np.zeros(17, dtype=bool), only_ca(np.empty((18, 5, 3)) * 0 + ca[:, None])
    )
    np.testing.assert_allclose(np.linalg.norm(built[:, N] - ca, axis=1), 1.458, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(built[:, C] - ca, axis=1), 1.525, atol=1e-6)
    omega = dihedral(ca[:-1], built[:-1, C], built[1:, N], ca[1:])
    np.testing.assert_allclose(np.abs(omega), 180.0, atol=1e-3)
    tau = bond_angle(built[1:-1, N], ca[1:-1], built[1:-1, C])
    assert np.median(np.abs(tau - geometry.N_CA_C)) < 4


def test_costs_are_those_of_the_angles_measured_one_by_one():
    atoms = geometry.ideal_element(STRAND, 3)
    angles = np.linspace(0, 2 * np.pi, 5, endpoint=False)[None].repeat(2, axis=0)
    planes = backbone.Planes.rotated(atoms[:, CA], np.arange(2), angles)
    before, behind = planes.taken(np.array([0])), planes.taken(np.array([1]))
    costs = backbone.residue_costs(atoms[1:2, CA], before, behind)
    table = backbone.ramachandran()
    for a, b in itertools.product(range(5), repeat=2):
        n, c = before.n[0, a], behind.c[0, b]
        ca = atoms[1, CA]
        phi, psi = dihedral(before.c[0, a], n, ca, c), dihedral(n, ca, c, behind.n[0, b])
        rows = [int((angle + 180) / 5 + 0.5) % 72 for angle in (phi, psi)]
        tau = bond_angle(n, ca, c)
        expected = 0.5 * ((tau - geometry.N_CA_C) / backbone.TAU_SPREAD) ** 2 + table[*rows]
        for atom in (behind.n[0, b], behind.o[0, b]):
            short = max(backbone.CLASH - np.linalg.norm(before.o[0, a] - atom), 0.0)
            expected += backbone.STIFFNESS * short**2
        assert costs[0, a, b] == pytest.approx(expected, abs=1e-6)


def test_shortest_path_is_the_best_of_all_paths():
    rng = np.random.default_rng(0)
    unary, pairwise = rng.normal(size=(5, 3)), rng.normal(size=(4, 3, 3))

    def total(path):
        return sum(unary[k, s] for k, s in enumerate(path)) + sum(
            pairwise[k, s, t] for k, (s, t) in enumerate(itertools.pairwise(path))
        )

    best = min(itertools.product(range(3), repeat=5), key=total)
    assert tuple(backbone.shortest_path(unary, pairwise)) == best


def test_surroundings_repel_by_the_overlap_and_spare_neighbours():
    atoms = np.full((6, 5, 3), np.nan)
    atoms[5, CA] = (0.0, 0, 0)
    atoms[1, CA] = (0.0, 0, 1.0)  # one residue from the probe: bonded, no clash
    around = backbone.Surroundings.around(np.zeros((1, 3)), atoms)
    probe = np.array([[[2.0, 0, 0]]])
    cost = around.cost(probe, np.array([2]), 3.0)
    assert cost[0, 0] == pytest.approx(backbone.STIFFNESS * 1.0)
    assert around.cost(probe + [9, 0, 0], np.array([2]), 3.0)[0, 0] == 0.0


def test_ramachandran_prefers_where_proteins_are():
    energy = backbone.ramachandran()

    def at(phi, psi):
        return energy[int((phi + 180) / 5), int((psi + 180) / 5)]

    assert at(-65, -40) < 1 and at(-120, 130) < 1
    assert at(60, 40) > 2 and at(60, -120) > 6
