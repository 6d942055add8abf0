"""Which of several alternate locations counts?

One alternative per residue, all its atoms together: the one with the highest mean occupancy over
its N, CA, C and CB atoms, and among equals the one the file mentions first. Atoms without an
alternate location belong to every alternative, except where the residue has the same atom with an
alternate location: such atoms are an alternative of their own (blank beside B). What the chosen
alternative lacks is taken from the first other of the same component that has it, for labels are
sometimes given atom by atom (N and CA as A, C and CB as B): an atom is dropped only for another of
the same name. Where a residue has several components (microheterogeneity), the alternative that is
chosen decides the component too. Of two atoms with the same name that then remain, the first
counts.

Placeholders are no coordinates: an atom 9998 Angstrom or more from the origin (9999.000 of CNS) is
absent, and a residue is unresolved of which two atoms coincide, or whose CB (CA where there is no
CB) stands exactly at the origin (0.000 of many programs). What files give as CB of glycine, often
a second CA, is not looked at.
"""

from dataclasses import dataclass, replace

import numpy as np

from protcontact.structure.components import letter
from protcontact.structure.observed import ATOM_NAMES, CA, CB, Atoms

# Occupancies are written with 2 or 3 decimals: what differs less is a rounding of the mean.
OCCUPANCY_DECIMALS = 4

# Where placeholders begin, and how near two atoms must be to coincide (no bond is below 0.7 A).
PLACEHOLDER_DISTANCE = 9_998.0
COINCIDENCE = 0.1

# Alternate location of blank atoms that have a lettered twin; 0 is that of those that have none.
_BLANK = -1

_PAIRS = np.triu_indices(len(ATOM_NAMES), k=1)


@dataclass(frozen=True, eq=False)
class Residues:
    """The R observed residues of a chain after one alternative was chosen for each.

    Attributes:
        xyz: ``(R, 4, 3)`` float32, Angstrom: N, CA, C, CB; NaN where absent.
        component: R names of components.
        offered: Components among which one was chosen, by residue; only where there are several.
        altloc: ``(R,)`` bool, one of several alternate locations was chosen.
        zero_occupancy: ``(R,)`` bool, an atom that counts has occupancy 0.
        placeholder: ``(R,)`` bool, coordinates were placeholders, and `without_placeholders` made
            them NaN.
    """

    xyz: np.ndarray
    component: tuple[str, ...]
    offered: dict[int, tuple[str, ...]]
    altloc: np.ndarray
    zero_occupancy: np.ndarray
    placeholder: np.ndarray


def choose_alternatives(atoms: Atoms, count: int) -> Residues:
    """Choose one alternative for each of `count` residues."""
    first, several = _first_component(atoms, count)
    contested = several.copy()
    contested[atoms.residue[atoms.alternative != 0]] = True
    keep = np.ones(len(atoms.residue), dtype=bool)
    altloc = np.zeros(count, dtype=bool)
    component = first.copy()
    offered: dict[int, tuple[str, ...]] = {}
    order = np.argsort(atoms.residue, kind="stable")
    bounds = np.searchsorted(atoms.residue[order], np.arange(count + 1))
    for residue in np.flatnonzero(contested):
        rows = order[bounds[residue] : bounds[residue + 1]]
        component[residue], kept = _choose(atoms, rows)
        keep[rows] = kept
        altloc[residue] = not all(kept)
        if several[residue]:
            codes = dict.fromkeys(atoms.component[rows].tolist())
            offered[int(residue)] = tuple(atoms.components[code] for code in codes)
    xyz, zero = _scatter(atoms, np.flatnonzero(keep), count)
    names = tuple(atoms.components[code] for code in component.tolist())
    return Residues(xyz, names, offered, altloc, zero, np.zeros(count, dtype=bool))


def _first_component(atoms: Atoms, count: int) -> tuple[np.ndarray, np.ndarray]:
    """``(R,)`` component of each residue's first atom, ``(R,)`` bool whether there are others."""
    first = np.zeros(count, dtype=np.int64)
    first[atoms.residue[::-1]] = atoms.component[::-1]
    several = np.zeros(count, dtype=bool)
    several[atoms.residue[atoms.component != first[atoms.residue]]] = True
    return first, several


def _choose(atoms: Atoms, rows: np.ndarray) -> tuple[int, list[bool]]:
    """Component chosen for one residue, which of its atoms stay."""
    names, places = atoms.name[rows].tolist(), atoms.alternative[rows].tolist()
    lettered = {name for name, place in zip(names, places, strict=True) if place != 0}
    own = [_BLANK if place == 0 and name in lettered else place
           for name, place in zip(names, places, strict=True)]  # fmt: skip
    keys = list(zip(atoms.component[rows].tolist(), own, strict=True))
    named = list(dict.fromkeys(key for key in keys if key[1] != 0))
    alternatives = named or list(dict.fromkeys(keys))
    occupancy = atoms.occupancy[rows].tolist()

    def mean_occupancy(alternative: tuple[int, int]) -> float:
        members = [occupancy[at] for at, key in enumerate(keys) if key == alternative]
        return round(sum(members) / len(members), OCCUPANCY_DECIMALS)

    best = max(alternatives, key=mean_occupancy)  # max takes the first of equals
    present: set[int] = set()
    kept = [False] * len(keys)
    rest = (key for key in dict.fromkeys(keys) if key[0] == best[0] and key[1] != 0)
    for group in ((best, (best[0], 0)), *((key,) for key in rest)):
        taken = [at for at, key in enumerate(keys) if key in group and names[at] not in present]
        for at in taken:
            kept[at] = True
        present.update(names[at] for at in taken)
    return best[0], kept


def _scatter(atoms: Atoms, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort atoms into ``(R, 4, 3)``, the first of each name; and who has zero occupancy."""
    xyz = np.full((count, len(ATOM_NAMES), 3), np.nan, dtype=np.float32)
    occupancy = np.ones((count, len(ATOM_NAMES)), dtype=np.float32)
    backwards = rows[::-1]  # of repeated indices numpy keeps the last assignment
    place = (atoms.residue[backwards], atoms.name[backwards])
    xyz[place] = atoms.xyz[backwards]
    occupancy[place] = atoms.occupancy[backwards]
    return xyz, (occupancy == 0).any(axis=1)


def without_placeholders(residues: Residues) -> Residues:
    """The same residues with NaN for placeholders (see the module)."""
    xyz = residues.xyz
    from_origin = np.einsum("rak,rak->ra", xyz, xyz)
    between = xyz[:, _PAIRS[0]] - xyz[:, _PAIRS[1]]
    near = np.einsum("rpk,rpk->rp", between, between) < COINCIDENCE**2
    far = from_origin >= PLACEHOLDER_DISTANCE**2
    suspicious = np.flatnonzero((far | (from_origin == 0)).any(axis=1) | near.any(axis=1))
    if len(suspicious) == 0:
        return residues
    xyz = xyz.copy()
    xyz[far] = np.nan
    void = np.zeros(len(xyz), dtype=bool)
    for row in suspicious.tolist():
        atoms = xyz[row, :CB] if letter(residues.component[row]) == "G" else xyz[row]
        known = atoms[np.isfinite(atoms).all(axis=1)]
        gaps = np.linalg.norm(known[:, None] - known[None, :], axis=2)
        twins = (gaps < COINCIDENCE).sum() > len(known)
        point = atoms[CB] if len(atoms) > CB and np.isfinite(atoms[CB]).all() else atoms[CA]
        void[row] = twins or (point == 0).all()
    xyz[void] = np.nan
    return replace(residues, xyz=xyz, placeholder=void | far.any(axis=1))
