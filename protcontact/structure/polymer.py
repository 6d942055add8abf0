"""Which atoms make up the residues of a chain, where only author numbers tell residues apart?

This is how PDB files are read, and mmCIF files without a full sequence or ``label_seq_id``. A new
residue begins where the number or the insertion code changes; where the name changes, unless both
atoms have an alternate location or are partially occupied: then two names at one number are
microheterogeneity; and where an atom comes again with the same name and alternate location, 2
Angstrom or more away (nearer it is the same atom twice): then a number was given twice. Conformers
that are listed one behind the other are put together again, and so are atoms that are listed apart
from the others of their residue (all CB at the end): they have its number and component, and no
name that it has already.

A residue belongs to the chain if it is an amino acid, or named by the chain's SEQRES (caps such as
ACE and NH2 are), or has a whole backbone whatever its name. A hetero residue must in addition stand
before the chain's TER, or be bonded to a residue of the chain: what is neither is a ligand or a
free amino acid.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from protcontact.structure.alternatives import choose_alternatives
from protcontact.structure.components import STANDARD, Kind, is_amino_acid, kind
from protcontact.structure.copies import Label, label_atoms, run_starts
from protcontact.structure.geometry import bonded_to_next
from protcontact.structure.observed import ATOM_NAMES, CA, Atoms, C, N

# Alternate places of one atom are nearer, CA atoms of two residues never are; Angstrom.
_SAME_ATOM = 2.0


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

    def select(self, rows: np.ndarray | slice) -> "NumberedAtoms":
        """Some of the atoms, in the given order."""
        return replace(
            self,
            atoms=self.atoms.select(rows, self.atoms.residue[rows]),
            number=self.number[rows],
            hetero=self.hetero[rows],
            terminated=self.terminated[rows],
        )


class SortedResidues(NamedTuple):
    """Residues of a chain: their atoms, numbers, first components, and what was left out."""

    atoms: Atoms
    numbers: tuple[str, ...]
    components: tuple[str, ...]
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
        tuple(names[index] for index in np.flatnonzero(keep).tolist()),
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
    residue = _rejoin(_split(run, atoms), numbered.number, atoms)
    order = np.argsort(residue, kind="stable")
    return replace(numbered, atoms=replace(atoms, residue=residue)).select(order)


def _split(run: np.ndarray, atoms: Atoms) -> np.ndarray:
    """``(A,)`` runs of one number, divided where an atom comes again elsewhere."""
    if np.bincount(run * len(ATOM_NAMES) + atoms.name, minlength=1).max() == 1:
        return run
    keys = list(zip(run.tolist(), label_atoms(atoms), strict=True))
    begins = np.zeros(len(run), dtype=np.int64)
    seen: dict[tuple[int, Label], int] = {}
    for row, key in enumerate(keys):
        twin = seen.setdefault(key, row)
        if twin != row and np.linalg.norm(atoms.xyz[row] - atoms.xyz[twin]) >= _SAME_ATOM:
            begins[row] = 1
            seen = {key: row}
    return run + np.cumsum(begins)


def _rejoin(run: np.ndarray, number: np.ndarray, atoms: Atoms) -> np.ndarray:
    """``(A,)`` residue of each atom, counting up from 0.

    A run of atoms is part of an earlier residue with the same number and component if it has no
    atom that this has; or, whatever the component, if both have alternate locations and no atom
    of the same one (some files list 22 A, 23 A, 22 B, 23 B).
    """
    first = run_starts(run)
    codes = number[first].tolist()
    if len(set(codes)) == len(codes):
        return run
    bounds = [*first.tolist(), len(run)]
    labels, components = label_atoms(atoms), atoms.component[first].tolist()
    known: dict[tuple[int, int], int] = {}
    shared: dict[int, int] = {}
    has: list[set[Label]] = []
    residues: list[int] = []
    for index, code in enumerate(codes):
        here = set(labels[bounds[index] : bounds[index + 1]])
        lettered = {label for label in here if label[1] != 0}
        residue, other = known.get((code, components[index])), shared.get(code)
        if residue is None or not has[residue].isdisjoint(here):
            joins = bool(lettered) and other is not None and has[other].isdisjoint(lettered)
            residue = other if joins else None
        if residue is None:
            residue = len(has)
            has.append(set())
        known[code, components[index]] = residue
        if lettered:
            shared[code] = residue
        has[residue] |= here
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
