"""Is a chain geometrically sound?

The rules that every written fold keeps. Within helices and strands all lengths and angles are
ideal; what loops cannot keep exactly is the angle N-CA-C, see `TAU_TOLERANCE`. Lengths in
Angstrom, angles in degrees.
"""

import numpy as np

from protcontact.data.synthetic.geometry import CA, CB, N_CA_C, C, N, bond_angle
from protcontact.data.synthetic.trace import BOND

CA_CA_TOLERANCE = 0.1  # from 3.80, consecutive residues
TAU_TOLERANCE = 15.0  # from 111.2, N-CA-C in loops
CA_GAP, CB_GAP, ATOM_GAP = 3.8, 3.2, 2.5  # between residues that are not neighbours
REACH = 7.5  # two CA farther apart than this: no backbone atom or CB of the two can clash
GYRATION_SLACK = 1.4  # times the law of globular proteins


def gyration_law(length: int) -> float:
    """Radius of gyration of a globular protein, Angstrom: 2.2 L^0.38 (Skolnick et al. 1997)."""
    return 2.2 * length**0.38


def radius_of_gyration(points: np.ndarray) -> float:
    """Root of the mean squared distance of ``(L, 3)`` from their middle."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))


def neighbours(ca: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs i < j - 1 of residues whose CA atoms ``(L, 3)`` are near enough for atoms to touch."""
    square = (ca**2).sum(axis=1)
    gap = square[:, None] + square - 2 * ca @ ca.T
    first, second = np.nonzero(gap < REACH**2)
    apart = second - first >= 2
    return first[apart], second[apart]


def flaws(atoms: np.ndarray) -> dict[str, np.ndarray]:
    """What is wrong with the geometry of a chain ``(L, 5, 3)``?

    Returns:
        The indices of the residues at fault under the name of each rule that is broken; empty for
        a good chain.
    """
    ca = atoms[:, CA]
    step = np.linalg.norm(ca[1:] - ca[:-1], axis=1)
    tau = bond_angle(atoms[:, N], ca, atoms[:, C])
    first, second = neighbours(ca)
    gap = np.linalg.norm(atoms[first][:, :, None] - atoms[second][:, None], axis=-1)  # (Q, 5, 5)
    clashes = {
        "CA-CA clash": gap[:, CA, CA] < CA_GAP,
        "CB-CB clash": gap[:, CB, CB] < CB_GAP,
        "atom clash": gap.min(axis=(1, 2)) < ATOM_GAP,
    }
    found = {
        "CA-CA bond": np.flatnonzero(np.abs(step - BOND) > CA_CA_TOLERANCE),
        "N-CA-C angle": np.flatnonzero(np.abs(tau - N_CA_C) > TAU_TOLERANCE),
        **{rule: np.concatenate([first[bad], second[bad]]) for rule, bad in clashes.items()},
    }
    if radius_of_gyration(ca) > GYRATION_SLACK * gyration_law(len(ca)):
        found["not compact"] = np.arange(len(ca))
    return {rule: where for rule, where in found.items() if len(where)}
