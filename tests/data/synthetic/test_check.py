import numpy as np
import pytest

from protcontact.data.synthetic import geometry
from protcontact.data.synthetic.check import flaws, gyration_law, neighbours, radius_of_gyration
from protcontact.data.synthetic.geometry import CA, CB, C, N

HELIX = geometry.ideal_element(geometry.HELIX, 14)


def test_an_ideal_helix_has_no_flaw():
    assert flaws(HELIX) == {}


def test_each_rule_refuses_its_flaw_and_names_the_residues():
    stretched = HELIX.copy()
    stretched[7:] += 0.3 * geometry.unit(HELIX[7, CA] - HELIX[6, CA])
    assert flaws(stretched)["CA-CA bond"].tolist() == [6]

    bent = HELIX.copy()
    bent[5, N] = bent[5, CA] + 1.458 * geometry.unit(bent[5, C] - bent[5, CA] + [0.3, 0, 0])
    assert flaws(bent)["N-CA-C angle"].tolist() == [5]

    touching = HELIX.copy()
    touching[6, CB] = touching[2, CB] + [1.0, 0, 0]
    assert {2, 6} <= set(flaws(touching)["atom clash"])
    assert set(flaws(touching)["CB-CB clash"]) == {2, 6}

    folded = HELIX.copy()
    folded[10, CA] = folded[2, CA] + [3.0, 0, 0]
    assert {2, 10} <= set(flaws(folded)["CA-CA clash"])

    long_helix = geometry.ideal_element(geometry.HELIX, 60)
    assert len(flaws(long_helix)["not compact"]) == 60


def test_neighbours_are_found_as_by_a_double_loop():
    ca = np.random.default_rng(0).normal(scale=6, size=(40, 3))
    slow = [
        (i, j) for i in range(40) for j in range(i + 2, 40) if np.linalg.norm(ca[i] - ca[j]) < 7.5
    ]
    assert list(zip(*map(list, neighbours(ca)), strict=True)) == slow


def test_no_two_atoms_can_clash_beyond_the_reach():
    """The farthest atom from CA is O, 2.4 A: twice that and the gap are less than the reach."""
    farthest = np.linalg.norm(HELIX - HELIX[:, CA][:, None], axis=-1).max()
    assert 2 * farthest + 2.5 < 7.5


def test_radius_of_gyration_and_its_law():
    assert radius_of_gyration(np.array([[-3.0, 0, 0], [3.0, 0, 0]])) == pytest.approx(3.0)
    assert gyration_law(100) == pytest.approx(2.2 * 100**0.38)
