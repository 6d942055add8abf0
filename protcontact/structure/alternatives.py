"""Which of several alternate locations counts?

One alternative per residue, all its atoms together, never atoms of A mixed with atoms of B: the one
with the highest mean occupancy over its N, CA, C and CB atoms, and among equals the one the file
mentions first. Atoms without an alternate location belong to every alternative. Where a residue has
several components (microheterogeneity), the alternative that is chosen decides the component too.
Of two atoms with the same name that then remain, the first counts.
"""

from dataclasses import dataclass

import numpy as np

from protcontact.structure.observed import ATOM_NAMES, Atoms

# Occupancies are written with 2 or 3 decimals: what differs less is a rounding of the mean.
OCCUPANCY_DECIMALS = 4


@dataclass(frozen=True, eq=False)
class Residues:
    """The R observed residues of a chain after one alternative was chosen for each.

    Attributes:
        xyz: ``(R, 4, 3)`` float32, Angstrom: N, CA, C, CB; NaN where absent.
        component: R names of components.
        offered: Components among which one was chosen, by residue; only where there are several.
        altloc: ``(R,)`` bool, one of several alternate locations was chosen.
        zero_occupancy: ``(R,)`` bool, an atom that counts has occupancy 0.
    """

    xyz: np.ndarray
    component: tuple[str, ...]
    offered: dict[int, tuple[str, ...]]
    altloc: np.ndarray
    zero_occupancy: np.ndarray


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
        chosen, kept, alternatives = _choose(atoms, rows)
        component[residue] = chosen
        keep[rows] = kept
        altloc[residue] = alternatives > 1
        if several[residue]:
            codes = dict.fromkeys(atoms.component[rows].tolist())
            offered[int(residue)] = tuple(atoms.components[code] for code in codes)
    xyz, zero = _scatter(atoms, np.flatnonzero(keep), count)
    names = tuple(atoms.components[code] for code in component.tolist())
    return Residues(xyz, names, offered, altloc, zero)


def _first_component(atoms: Atoms, count: int) -> tuple[np.ndarray, np.ndarray]:
    """``(R,)`` component of each residue's first atom, ``(R,)`` bool whether there are others."""
    first = np.zeros(count, dtype=np.int64)
    first[atoms.residue[::-1]] = atoms.component[::-1]
    several = np.zeros(count, dtype=bool)
    several[atoms.residue[atoms.component != first[atoms.residue]]] = True
    return first, several


def _choose(atoms: Atoms, rows: np.ndarray) -> tuple[int, np.ndarray, int]:
    """Component chosen for one residue, which of its atoms stay, how many alternatives it had."""
    keys = list(zip(atoms.component[rows].tolist(), atoms.alternative[rows].tolist(), strict=True))
    named = list(dict.fromkeys(key for key in keys if key[1] != 0))
    alternatives = named or list(dict.fromkeys(keys))
    occupancy = atoms.occupancy[rows].astype(np.float64)

    def mean_occupancy(alternative: tuple[int, int]) -> float:
        members = [key == alternative for key in keys]
        return round(float(occupancy[members].mean()), OCCUPANCY_DECIMALS)

    component, location = max(alternatives, key=mean_occupancy)  # max takes the first of equals
    kept = np.array([key[0] == component and key[1] in (0, location) for key in keys])
    return component, kept, len(alternatives)


def _scatter(atoms: Atoms, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort atoms into ``(R, 4, 3)``, the first of each name; and who has zero occupancy."""
    xyz = np.full((count, len(ATOM_NAMES), 3), np.nan, dtype=np.float32)
    occupancy = np.ones((count, len(ATOM_NAMES)), dtype=np.float32)
    backwards = rows[::-1]  # of repeated indices numpy keeps the last assignment
    place = (atoms.residue[backwards], atoms.name[backwards])
    xyz[place] = atoms.xyz[backwards]
    occupancy[place] = atoms.occupancy[backwards]
    return xyz, (occupancy == 0).any(axis=1)
