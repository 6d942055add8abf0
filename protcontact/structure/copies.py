"""Where does a second copy of a chain begin, if no TER and no other chain id tells?

Programs that build oligomers, and trajectories, list molecules one behind the other under one chain
id. A copy begins with a residue whose number was seen before, with the same component, atom names
and alternate locations, and that is not bonded to the residue before it. Residues of partial
occupancy are no copies: they are conformers without a letter.
"""

from collections.abc import Callable

import numpy as np

from protcontact.structure.geometry import bonded_to_next
from protcontact.structure.observed import ATOM_NAMES, CA, Atoms, C, N

Label = tuple[int, int, int]


def label_atoms(atoms: Atoms) -> list[Label]:
    """Atom name, alternate location and component of each atom."""
    columns = (atoms.name, atoms.alternative, atoms.component)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def run_starts(values: np.ndarray) -> np.ndarray:
    """First index of each run of equal values."""
    starts = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate([[0], starts])[: len(values)]


def copy_starts(number: np.ndarray, atoms: Callable[[], Atoms]) -> list[int]:
    """First atoms of the copies of a chain, the chain itself not among them.

    Args:
        number: ``(A,)`` int, author number of each atom; equal numbers, equal integers.
        atoms: Gives the A atoms of one chain id in file order, if a number comes again.
    """
    first = run_starts(number)
    codes = number[first].tolist()
    if len(set(codes)) == len(codes):
        return []
    return _starts(codes, first, atoms())


def _starts(codes: list[int], first: np.ndarray, atoms: Atoms) -> list[int]:
    bonded = _bonded_to_previous(first, atoms)
    partial = (atoms.occupancy[first] > 0) & (atoms.occupancy[first] < 1)
    labels = label_atoms(atoms)
    bounds = [*first.tolist(), len(labels)]
    seen: dict[int, set[Label]] = {}
    starts = []
    for index, code in enumerate(codes):
        here = set(labels[bounds[index] : bounds[index + 1]])
        again = not here.isdisjoint(seen.get(code, ()))
        if again and not bonded[index] and not partial[index]:
            starts.append(bounds[index])
            seen = {}
        seen[code] = seen.get(code, set()) | here
    return starts


def _bonded_to_previous(first: np.ndarray, atoms: Atoms) -> list[bool]:
    """Whether each run of atoms is bonded to the one before it."""
    run = np.searchsorted(first, np.arange(len(atoms.name)), side="right") - 1
    xyz = np.full((len(first), len(ATOM_NAMES), 3), np.nan, dtype=np.float32)
    xyz[run[::-1], atoms.name[::-1]] = atoms.xyz[::-1]  # the first of each name
    return [False, *(bonded_to_next(xyz[:, N], xyz[:, CA], xyz[:, C]) == 1).tolist()]
