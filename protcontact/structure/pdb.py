"""Which protein chains does a PDB file hold?

Where a TER splits an author chain, the parts are one chain if the residue numbers go on rising and
two if they start again (a copy under the same id). Where chain ids are blank, every TER ends a
chain, for nothing else would. What stands after the TER of its chain as HETATM is a ligand or
water.
"""

from collections import Counter
from dataclasses import replace
from string import ascii_lowercase, ascii_uppercase

import numpy as np

from protcontact.structure.components import refusal
from protcontact.structure.observed import Atoms, Observed, ObservedChain, RejectedChain
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
    return Observed(tuple(_named(chains)), tuple(rejected), header.header, atoms.models)


def _parts(atoms: PdbAtoms, chain_id: str, rows: np.ndarray) -> list[np.ndarray]:
    """Rows of one author chain id, divided into chains by the TER records."""
    parts: list[np.ndarray] = []
    last_number = 0
    for part in np.unique(atoms.part[rows]).tolist():
        members = rows[atoms.part[rows] == part]
        if parts and not _is_ended(atoms, chain_id, part):
            members = members[~atoms.hetero[members]]
        if len(members) == 0:
            continue
        first_number = split_number(atoms.number.values[atoms.number.codes[members[0]]])[0]
        if parts and chain_id and first_number > last_number:
            parts[-1] = np.concatenate([parts[-1], members])
        else:
            parts.append(members)
        last_number = split_number(atoms.number.values[atoms.number.codes[members[-1]]])[0]
    return parts


def _is_ended(atoms: PdbAtoms, chain_id: str, part: int) -> bool:
    """Whether the chain's own TER ends this part."""
    return part < len(atoms.ended) and atoms.ended[part] == chain_id


def _read_part(
    atoms: PdbAtoms, header: PdbHeader, chain_id: str, rows: np.ndarray
) -> ObservedChain | RejectedChain | None:
    """One chain from its rows; None if it has no residue of a protein."""
    ended = [_is_ended(atoms, chain_id, part) for part in range(len(atoms.ended) + 1)]
    numbered = NumberedAtoms(
        Atoms(
            residue=np.zeros(len(rows), dtype=np.int64),
            name=atoms.name[rows],
            alternative=atoms.alternative[rows],
            component=atoms.component.codes[rows],
            components=tuple(atoms.component.values),
            occupancy=atoms.occupancy[rows],
            xyz=atoms.xyz[rows],
        ),
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
    reason = refusal([found.atoms.components[code] for code in found.atoms.component.tolist()])
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


def _named(chains: list[ObservedChain]) -> list[ObservedChain]:
    """Give each chain its part of the id: see `read` for blank and repeated chain ids."""
    used = {chain.chain_id for chain in chains}
    free = (letter for letter in ascii_uppercase + ascii_lowercase if letter not in used)
    repeats: Counter[str] = Counter()
    named = []
    for index, chain in enumerate(chains):
        name = chain.chain_id or next(free, f"chain{index + 1}")
        repeats[name] += 1
        if repeats[name] > 1:
            name = f"{name}-{repeats[name]}"
        named.append(replace(chain, name=name))
    return named
