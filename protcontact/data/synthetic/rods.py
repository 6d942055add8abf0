"""Where do the atoms of a helix or a strand lie in a layered fold?

Helices and strands are rods that stand side by side in layers, as in the architectures of Chothia
and Finkelstein (1990), Annu. Rev. Biochem. 59, 1007-1039: rods run along z, the strands of a sheet
stand 4.8 apart along x, layers lie 10 apart along y. Each rod leans with its x, which twists the
sheets the way real ones are twisted.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from protcontact.data.synthetic.geometry import CA, CB, HELIX, STRAND, ideal_element, unit

STRAND_SPACING = 4.8
LAYER_SPACING = 10.0
STRAND_RISE = 3.467  # Angstrom along the axis per residue of `STRAND`
HELIX_RISE = 1.5
TWIST = -1.2  # degrees per Angstrom along x: -6 degrees from strand to strand
SPINS = 12
ROD_GAP, ROD_CB_GAP = 2.6, 3.4  # Angstrom between atoms, and CB, of two elements
TWIST_MAX = 15.0  # to either side: a rod that leans more would reach into the next layer


@dataclass
class Element:
    """One helix or strand of n residues.

    Attributes:
        kind: ``"H"`` or ``"E"``.
        length: Number of residues n.
        x: Place of the rod along its layer, Angstrom.
        y: Place of its layer, Angstrom.
        low: Lower end on the lattice of residues of a sheet, whose middle is 0.
        spin: Rotation of a helix about its own axis, degrees.
        sheet: Number of the sheet; -1 for a helix.
        rank: Place of the strand in its sheet, counted along x; -1 for a helix.
        group: Which part of the chain it must lie in: 0 the middle, 1 the beginning, 2 the end.
        up: True if the chain runs towards +z.
        start: Index of its first residue in the chain.
    """

    kind: str
    length: int
    x: float
    y: float
    low: float
    spin: float = 0.0
    sheet: int = -1
    rank: int = -1
    group: int = 0
    up: bool = True
    start: int = 0

    @property
    def stop(self) -> int:
        """Index after its last residue."""
        return self.start + self.length

    def lattice(self) -> np.ndarray:
        """``(n,)`` int: place of each residue on the lattice of its sheet.

        Residues of neighbouring strands with the same place stand side by side.
        """
        places = int(self.low) + np.arange(self.length)
        return places if self.up else places[::-1]


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Matrix ``(3, 3)`` of the rotation about x (0), y (1) or z (2); apply as ``points @ R.T``."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = cosine
    matrix[i, j], matrix[j, i] = -sine, sine
    return matrix


@lru_cache(maxsize=256)
def _standing(kind: str, length: int) -> np.ndarray:
    """Ideal element along +z, centred; the side chain of its first residue points to +y."""
    atoms = ideal_element(HELIX if kind == "H" else STRAND, length)
    period = 4 if kind == "H" else 2  # averaging over a turn leaves the axis
    ca = atoms[:, CA]
    turns = np.stack([ca[k : length - period + 1 + k] for k in range(period)]).mean(axis=0)
    axis = np.linalg.svd(turns - turns.mean(axis=0))[2][0]
    axis = axis if axis @ (ca[-1] - ca[0]) > 0 else -axis
    side = atoms[::period, CB] - atoms[::period, CA] if kind == "E" else atoms[:1, CB] - ca[:1]
    side = side.mean(axis=0)
    across = unit(side - (side @ axis) * axis)
    frame = np.stack([np.cross(across, axis), across, axis])
    return (atoms - turns.mean(axis=0)) @ frame.T


def placed(element: Element) -> np.ndarray:
    """Atoms of an element in the fold, with one more residue of the same kind at either end.

    The two caps belong to the loops, but as part of the ideal element they let its first and last
    residue have the right phi and psi too.

    Args:
        element: The element.

    Returns:
        ``(n + 2, 5, 3)``: N, CA, C, O, CB of the residues in the order of the chain, Angstrom.
    """
    atoms = _standing(element.kind, element.length + 2)
    if element.kind == "E":
        # on even places of the lattice side chains point to +y, on odd places to -y
        turn = 180.0 * ((int(element.lattice()[0]) + 1) % 2)
        middle = STRAND_RISE * (element.low + 0.5 * (element.length - 1))
    else:
        turn, middle = element.spin, HELIX_RISE * element.low
    atoms = atoms @ rotation(2, turn).T
    if not element.up:
        atoms = atoms @ rotation(1, 180.0).T
    atoms = atoms + np.array([0.0, 0.0, middle])
    lean = float(np.clip(TWIST * element.x, -TWIST_MAX, TWIST_MAX))
    return atoms @ rotation(0, lean).T + np.array([element.x, element.y, 0.0])


def strand_pairs(elements: list[Element]) -> list[tuple[int, int]]:
    """Indices into `elements` of strands that are neighbours in a sheet, the lower index first."""
    place = {(e.sheet, e.rank): k for k, e in enumerate(elements) if e.kind == "E"}
    neighbours = ((k, place.get((sheet, rank + 1))) for (sheet, rank), k in place.items())
    return sorted((min(k, m), max(k, m)) for k, m in neighbours if m is not None)


def settled(rng: np.random.Generator, elements: list[Element]) -> bool:
    """Turn helices about their axes until no two elements clash.

    Args:
        rng: Source of randomness.
        elements: Elements of one fold; their `spin` may change.

    Returns:
        Whether no clash is left.
    """
    rods = [placed(element) for element in elements]
    for k, element in enumerate(elements):
        for _ in range(SPINS if element.kind == "H" else 1):
            others = rods[:k] + rods[k + 1 :]
            if not any(_clash(rods[k], other) for other in others):
                break
            if element.kind == "H":
                element.spin = float(rng.uniform(0.0, 360.0))
                rods[k] = placed(element)
        else:
            return False
    return True


def _clash(rod: np.ndarray, other: np.ndarray) -> bool:
    gap = rod[:, CA].mean(axis=0) - other[:, CA].mean(axis=0)
    if abs(gap[0]) > LAYER_SPACING + 2 or abs(gap[1]) > LAYER_SPACING + 2:
        return False
    atoms = rod.reshape(-1, 1, 3) - other.reshape(-1, 3)
    if (atoms**2).sum(axis=-1).min() < ROD_GAP**2:
        return True
    cb = rod[:, None, CB] - other[:, CB]
    return bool((cb**2).sum(axis=-1).min() < ROD_CB_GAP**2)
