"""How long are the bonds of a peptide, and how does one place an atom from them?

Bond lengths and angles of Engh and Huber (1991), Acta Cryst. A47, 392-400; atoms are placed from
internal coordinates by the natural extension of the reference frame (NeRF: Parsons et al. 2005,
J. Comput. Chem. 26, 1063-1068). Lengths in Angstrom, angles in degrees.
"""

from functools import lru_cache

import numpy as np

N_CA, CA_C, C_N, C_O, CA_CB = 1.458, 1.525, 1.329, 1.231, 1.530
N_CA_C, CA_C_N, C_N_CA, CA_C_O = 111.2, 116.2, 121.7, 120.8
N_CA_CB, C_CA_CB = 110.4, 110.1
OMEGA = 180.0

# (phi, psi). Helix: Arnott and Wonacott (1966) as measured in crystals; strand: the antiparallel
# sheet of Arnott et al. (1967), whose residues alternate exactly (almost 180 degrees per residue).
HELIX = (-63.0, -42.0)
STRAND = (-139.0, 135.0)

ATOMS = ("N", "CA", "C", "O", "CB")
N, CA, C, O, CB = range(5)  # noqa: E741, the names of the atoms


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors ``(..., 3)`` to length 1."""
    return vectors / np.sqrt((vectors**2).sum(axis=-1, keepdims=True))


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of ``(..., 3)``; several times faster than ``numpy.cross`` on short arrays."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def place(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, bond: float, angle: float, torsion: float
) -> np.ndarray:
    """Place the atom d of a chain a-b-c-d (NeRF).

    Args:
        a: ``(..., 3)``, first atom.
        b: ``(..., 3)``, second atom.
        c: ``(..., 3)``, third atom, bonded to d.
        bond: Length c-d.
        angle: Angle b-c-d.
        torsion: Dihedral a-b-c-d.

    Returns:
        ``(..., 3)``, where d is.
    """
    along = unit(c - b)
    normal = unit(cross(b - a, along))
    across = cross(normal, along)
    theta, chi = np.radians(angle), np.radians(torsion)
    return c + bond * (
        -np.cos(theta) * along
        + np.sin(theta) * np.cos(chi) * across
        + np.sin(theta) * np.sin(chi) * normal
    )


def dihedral(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Dihedral a-b-c-d of points ``(..., 3)`` in degrees, ``(-180, 180]``, IUPAC sign."""
    axis = unit(c - b)
    first, last = a - b, d - c
    first = first - (first * axis).sum(axis=-1, keepdims=True) * axis
    last = last - (last * axis).sum(axis=-1, keepdims=True) * axis
    sine = (cross(axis, first) * last).sum(axis=-1)
    return np.degrees(np.arctan2(sine, (first * last).sum(axis=-1)))


def bond_angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Angle a-b-c of points ``(..., 3)`` in degrees."""
    cosine = (unit(a - b) * unit(c - b)).sum(axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _cb_components() -> tuple[float, float, float]:
    """Components of CA-CB along N-CA + C-CA (bisector), their difference, and their normal.

    With unit vectors n (CA to N) and c (CA to C) at the angle tau, ``cb = p (n + c) + q (n - c) +
    r (n x c)`` has the two wished angles where the dot products with n and c have their cosines.
    """
    tau, to_n, to_c = np.cos(np.radians([N_CA_C, N_CA_CB, C_CA_CB]))
    p = (to_n + to_c) / (2 * (1 + tau))
    q = (to_n - to_c) / (2 * (1 - tau))
    square = 1 - p**2 * 2 * (1 + tau) - q**2 * 2 * (1 - tau)
    return p, q, float(np.sqrt(square / (1 - tau**2)))


def build_cb(n: np.ndarray, ca: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Place CB of L-amino acids from N, CA and C, ``(..., 3)`` each.

    The sign of the normal is the chirality: ``(N - CA) x (C - CA) . (CB - CA) > 0`` in L-residues
    (seen with H towards the viewer, CO, R and N run clockwise).
    """
    p, q, r = _cb_components()
    to_n, to_c = unit(n - ca), unit(c - ca)
    direction = p * (to_n + to_c) + q * (to_n - to_c) + r * cross(to_n, to_c)
    return ca + CA_CB * unit(direction)


@lru_cache(maxsize=256)
def _ideal_element(phi: float, psi: float, length: int) -> np.ndarray:
    n = np.zeros(3)
    ca = np.array([N_CA, 0.0, 0.0])
    tau = np.radians(N_CA_C)
    c = ca + CA_C * np.array([-np.cos(tau), np.sin(tau), 0.0])
    residues = []
    for _ in range(length):
        next_n = place(n, ca, c, C_N, CA_C_N, psi)
        next_ca = place(ca, c, next_n, N_CA, C_N_CA, OMEGA)
        next_c = place(c, next_n, next_ca, CA_C, N_CA_C, phi)
        # O stands opposite the next N in the plane of the peptide
        residues.append((n, ca, c, place(n, ca, c, C_O, CA_C_O, psi + 180.0), build_cb(n, ca, c)))
        n, ca, c = next_n, next_ca, next_c
    atoms = np.array(residues)
    atoms.flags.writeable = False
    return atoms


def ideal_element(angles: tuple[float, float], length: int) -> np.ndarray:
    """Build a helix or strand in which every residue has the same phi and psi.

    Args:
        angles: ``(phi, psi)``, e.g. `HELIX`.
        length: Number of residues n.

    Returns:
        ``(n, 5, 3)``: N, CA, C, O, CB. Read-only: it is cached.
    """
    return _ideal_element(*angles, length)


@lru_cache(maxsize=1)
def peptide_plane() -> np.ndarray:
    """Atoms C, O, N and the next CA of a trans peptide with its first CA at the origin.

    Returns:
        ``(4, 2)``: coordinate along the CA-CA axis, and across it. C and O are across on the
        positive side, N on the negative. The last row is ``(3.80, 0)``.
    """
    ca = np.zeros(3)
    c = np.array([CA_C, 0.0, 0.0])
    above = np.array([-1.0, 1.0, 0.0])  # any point of the plane: fixes which side N is on
    n = place(above, ca, c, C_N, CA_C_N, 180.0)
    o = place(above, ca, c, C_O, CA_C_O, 0.0)
    next_ca = place(ca, c, n, N_CA, C_N_CA, OMEGA)
    along = unit(next_ca)
    across = np.array([-along[1], along[0], 0.0])
    if c @ across < 0:
        across = -across
    atoms = np.array([c, o, n, next_ca])
    return np.stack([atoms @ along, atoms @ across], axis=1)
