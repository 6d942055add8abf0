"""Which atoms make up the residues of a chain, where only author numbers tell residues apart?

This is how PDB files are read, and mmCIF files without ``label_seq_id``. A new residue begins where
the number or the insertion code changes, or where the name changes, unless both atoms have an
alternate location or are partially occupied: then two names at one number are microheterogeneity.
Conformers that are listed one behind the other are put together again.

A residue belongs to the chain if it is an amino acid, or named by the chain's SEQRES (caps such as
ACE and NH2 are), or has a whole backbone whatever its name. A hetero residue must in addition stand
before the chain's TER, or be bonded to a residue of the chain: what is neither is a ligand or a
free amino acid.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from protcontact.structure.alternatives import choose_alternatives
from protcontact.structure.components import STANDARD, Kind, is_amino_acid, kind
from protcontact.structure.geometry import bonded_to_next
from protcontact.structure.observed import CA, Atoms, C, N


@dataclass(frozen=True, eq=False)
class NumberedAtoms:
    """A atoms of one author chain in file order, not yet sorted into residues.

    Attributes:
        atoms: The atoms; ``atoms.residue`` is not used.
        number: ``(A,)`` int, index into `numbers`.
        numbers: Author numbers with insertion code.
        hetero: ``(A,)`` bool, HETATM records.
        terminated: ``(A,)`` bool, records before a TER of the chain.
    """

    atoms: Atoms
    number: np.ndarray
    numbers: tuple[str, ...]
    hetero: np.ndarray
    terminated: np.ndarray


class SortedResidues(NamedTuple):
    """Residues of a chain: their atoms, their author numbers, and what was left out."""

    atoms: Atoms
    numbers: tuple[str, ...]
    skipped: tuple[str, ...]


def sort_into_residues(numbered: NumberedAtoms, named: frozenset[str]) -> SortedResidues:
    """Sort atoms into the residues of the chain and leave the rest out.

    Args:
        numbered: Atoms of one chain.
        named: Components of the chain's SEQRES; empty if the file has none.
    """
    numbered = _in_residues(numbered)
    atoms = numbered.atoms
    count = int(atoms.residue[-1]) + 1 if len(atoms.residue) else 0
    keep = _members(numbered, atoms, count, named)
    rows = np.flatnonzero(keep[atoms.residue])
    first = np.searchsorted(atoms.residue, np.arange(count))
    numbers = [numbered.numbers[code] for code in numbered.number[first].tolist()]
    names = [atoms.components[code] for code in atoms.component[first].tolist()]
    others = [f"{names[index]} {numbers[index]}" for index in np.flatnonzero(~keep).tolist()]
    return SortedResidues(
        atoms.select(rows, (np.cumsum(keep) - 1)[atoms.residue[rows]]),
        tuple(numbers[index] for index in np.flatnonzero(keep).tolist()),
        (f"no residues of the chain: {', '.join(others)}",) if others else (),
    )


def _in_residues(numbered: NumberedAtoms) -> NumberedAtoms:
    """The atoms with ``atoms.residue`` filled in, in its order."""
    atoms = numbered.atoms
    alternate = (atoms.alternative != 0) | (atoms.occupancy < 1)
    renamed = atoms.component[1:] != atoms.component[:-1]
    heterogeneous = alternate[1:] & alternate[:-1]
    begins = (numbered.number[1:] != numbered.number[:-1]) | (renamed & ~heterogeneous)
    run = np.concatenate([[0], np.cumsum(begins)])[: len(atoms.component)]
    residue = _rejoin(run, numbered.number, atoms.alternative != 0)
    order = np.argsort(residue, kind="stable")
    return NumberedAtoms(
        atoms.select(order, residue[order]),
        number=numbered.number[order],
        numbers=numbered.numbers,
        hetero=numbered.hetero[order],
        terminated=numbered.terminated[order],
    )


def _rejoin(run: np.ndarray, number: np.ndarray, alternate: np.ndarray) -> np.ndarray:
    """``(A,)`` residue of each atom, counting up from 0.

    Some files list one conformer of several residues and then the next (22 A, 23 A, 22 B, 23 B): a
    run of alternate locations is the residue of an earlier run of them with the same number.
    """
    if not alternate.any():
        return run
    count = int(run[-1]) + 1
    first = np.searchsorted(run, np.arange(count))
    is_alternate = np.zeros(count, dtype=bool)
    is_alternate[run[alternate]] = True
    known: dict[int, int] = {}
    residues: list[int] = []
    following = 0
    for code, again in zip(number[first].tolist(), is_alternate.tolist(), strict=True):
        residue = known.get(code, following) if again else following
        if again:
            known[code] = residue
        following += residue == following
        residues.append(residue)
    return np.array(residues)[run]


def _members(
    numbered: NumberedAtoms, atoms: Atoms, count: int, named: frozenset[str]
) -> np.ndarray:
    """``(R,)`` bool: residues that belong to the chain."""
    residues = choose_alternatives(atoms, count)
    backbone = np.isfinite(residues.xyz[:, (N, CA, C)]).all(axis=(1, 2))
    fits = np.array(
        [
            is_amino_acid(component)
            or component in named
            or (whole and kind(component) is not Kind.NUCLEOTIDE)
            for component, whole in zip(residues.component, backbone.tolist(), strict=True)
        ],
        dtype=bool,
    )
    free = np.zeros(count, dtype=bool)
    free[atoms.residue[numbered.hetero & ~numbered.terminated]] = True
    certain = np.array([name in named and name not in STANDARD for name in residues.component])
    free &= ~certain.astype(bool)
    candidates = np.flatnonzero(fits)
    xyz = residues.xyz[candidates]
    bonded = bonded_to_next(xyz[:, N], xyz[:, CA], xyz[:, C]) == 1
    linked = np.zeros(count, dtype=bool)
    linked[candidates[:-1]] |= bonded
    linked[candidates[1:]] |= bonded
    return fits & (~free | linked)
