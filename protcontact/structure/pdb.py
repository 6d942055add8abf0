"""Which protein chains does a PDB file hold?

Where a TER or another segment id splits an author chain, the parts are one chain if the residue
numbers go on rising and two if they start again (a copy under the same id). Where chain ids are
blank, every TER and segment id is a chain of its own, for nothing else tells. A copy without any of
these marks is found by its residues, see `copies`. What stands after the TER of its chain as HETATM
is a ligand or water.
"""

from functools import partial
from itertools import pairwise

import numpy as np

from protcontact.structure.components import refusal
from protcontact.structure.copies import copy_starts
from protcontact.structure.observed import (
    Atoms,
    Observed,
    ObservedChain,
    RejectedChain,
    name_chains,
)
from protcontact.structure.pdb_header import PdbHeader, read_pdb_header
from protcontact.structure.pdb_lines import PdbAtoms, read_atoms
from protcontact.structure.placement import split_number
from protcontact.structure.polymer import NumberedAtoms, sort_into_residues

_NONE = np.empty(0, dtype=np.int64)


def read_pdb(content: bytes) -> Observed:
    """Find the protein chains of a PDB file."""
    header = read_pdb_header(content)
    atoms = read_atoms(content)
    present = atoms.chain.values
    chains: list[ObservedChain] = []
    rejected: list[RejectedChain] = []
    for chain_id in dict.fromkeys([*present, *header.sequences]):
        rows = (
            np.flatnonzero(atoms.chain.codes == present.index(chain_id))
            if chain_id in present
            else _NONE
        )
        sequence = header.sequences.get(chain_id)
        reason = refusal([monomer.components[0] for monomer in sequence]) if sequence else ""
        parts = [] if reason else _parts(atoms, chain_id, rows)
        found = [chain for part in parts if (chain := _read_part(atoms, header, chain_id, part))]
        chains += [chain for chain in found if isinstance(chain, ObservedChain)]
        rejected += [chain for chain in found if isinstance(chain, RejectedChain)]
        if sequence and not found:
            why = reason or "no residue with coordinates"
            rejected.append(RejectedChain(chain_id, why, is_protein=not reason))
    named = name_chains(chains)
    return Observed(named, tuple(rejected), header.header, atoms.models, atoms.skipped)


def _parts(atoms: PdbAtoms, chain_id: str, rows: np.ndarray) -> list[np.ndarray]:
    """Rows of one author chain id, divided into chains."""
    parts: list[np.ndarray] = []
    last_number = 0
    for part in np.unique(atoms.part[rows]).tolist():
        members = rows[atoms.part[rows] == part]
        if parts and not _is_ended(atoms, chain_id, part):
            members = members[~atoms.hetero[members]]
        for piece in _pieces(atoms, members):
            first, last = (atoms.number.values[atoms.number.codes[piece[at]]] for at in (0, -1))
            if parts and chain_id and split_number(first)[0] > last_number:
                parts[-1] = np.concatenate([parts[-1], piece])
            else:
                parts.append(piece)
            last_number = split_number(last)[0]
    return parts


def _pieces(atoms: PdbAtoms, rows: np.ndarray) -> list[np.ndarray]:
    """Rows without a TER between them, divided where the segment id changes or a copy begins."""
    if len(rows) == 0:
        return []
    number, segment = atoms.number.codes[rows], atoms.segment[rows]
    changes = (segment[1:] != segment[:-1]) & (number[1:] != number[:-1])
    pieces = []
    for piece in _divide(rows, (np.flatnonzero(changes) + 1).tolist()):
        starts = copy_starts(atoms.number.codes[piece], partial(_atoms, atoms, piece))
        pieces += _divide(piece, starts)
    return pieces


def _divide(rows: np.ndarray, starts: list[int]) -> list[np.ndarray]:
    return [rows[first:stop] for first, stop in pairwise([0, *starts, len(rows)])]


def _atoms(atoms: PdbAtoms, rows: np.ndarray) -> Atoms:
    """The rows as atoms that are not yet sorted into residues."""
    return Atoms(
        residue=np.zeros(len(rows), dtype=np.int64),
        name=atoms.name[rows],
        alternative=atoms.alternative[rows],
        component=atoms.component.codes[rows],
        components=tuple(atoms.component.values),
        occupancy=atoms.occupancy[rows],
        xyz=atoms.xyz[rows],
    )


def _is_ended(atoms: PdbAtoms, chain_id: str, part: int) -> bool:
    """Whether the chain's own TER ends this part."""
    return part < len(atoms.ended) and atoms.ended[part] == chain_id


def _read_part(
    atoms: PdbAtoms, header: PdbHeader, chain_id: str, rows: np.ndarray
) -> ObservedChain | RejectedChain | None:
    """One chain from its rows; None if it has no residue of a protein."""
    ended = [_is_ended(atoms, chain_id, part) for part in range(len(atoms.ended) + 1)]
    numbered = NumberedAtoms(
        _atoms(atoms, rows),
        number=atoms.number.codes[rows],
        numbers=tuple(atoms.number.values),
        hetero=atoms.hetero[rows],
        terminated=np.array(ended)[atoms.part[rows]],
    )
    sequence = header.sequences.get(chain_id)
    named = frozenset(monomer.components[0] for monomer in sequence or ())
    found = sort_into_residues(numbered, named)
    if not found.numbers:
        return None
    reason = refusal(found.components)
    if reason and not sequence:
        return RejectedChain(chain_id, reason, is_protein=False)
    return ObservedChain(
        found.atoms,
        found.numbers,
        skipped=found.skipped,
        sequence=sequence,
        missing=header.missing.get(chain_id, ()),
        chain_id=chain_id,
        label_chain_id=chain_id,
    )
