"""Which protein chains does an mmCIF or BinaryCIF file hold?

One chain per ``label_asym_id`` whose entity is a polymer of type ``polypeptide(L)``, on the full
sequence of ``entity_poly_seq``, each atom at its ``label_seq_id``. Files of other programs leave
categories out, so:

* no ``entity_poly``: the components decide whether a chain is protein;
* no ``entity_poly_seq``: ``label_seq_id`` still counts the residues between observed ones (X);
* no ``label_seq_id``: residues are placed as in a PDB file (see `polymer` and `placement`);
* no ``auth_*``: the label ids stand for them, as in viewers;
* no ``pdbx_poly_seq_scheme``: unresolved residues have no author number;
* no ``occupancy``: 1. No ``pdbx_PDB_model_num``: one model.

The first data block with atoms counts, and of it the first model that is mentioned.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from protcontact.structure.cif_columns import NO_INTEGER, Block, Category, TextColumn
from protcontact.structure.components import refusal
from protcontact.structure.mmcif_atoms import (
    Site,
    count_models,
    find_column,
    first_model,
    select_atoms,
)
from protcontact.structure.mmcif_entities import Entities
from protcontact.structure.mmcif_header import read_header
from protcontact.structure.observed import (
    Atoms,
    Monomer,
    Observed,
    ObservedChain,
    RejectedChain,
)
from protcontact.structure.placement import split_number
from protcontact.structure.polymer import NumberedAtoms, sort_into_residues

PROTEIN = "polypeptide(L)"

# No protein is longer: where no sequence bounds it, a larger label_seq_id is damage.
LONGEST_CHAIN = 100_000


@dataclass(frozen=True)
class _Asym:
    """One ``label_asym_id``: its code in the column, its first row, and its other names."""

    id: str
    code: int
    row: int
    entity: str
    chain_id: str


def read_blocks(blocks: list[Block]) -> Observed:
    """Find the protein chains of the first data block that has atoms.

    Raises:
        ValueError: If there are no atoms or a needed column is absent.
    """
    for block in blocks:
        table = block.category("atom_site")
        if table is not None:
            return _read_block(block, table)
    raise ValueError("it has no atom_site category, so no coordinates")


def _read_block(block: Block, table: Category) -> Observed:
    entities = Entities(block)
    model = first_model(table)
    column = table.text(find_column(table, "label_asym_id", "auth_asym_id"))
    site = select_atoms(table, model, column)
    chains: list[ObservedChain] = []
    rejected: list[RejectedChain] = []
    repeats: Counter[str] = Counter()
    for asym in _list_asyms(table, model, column, entities):
        rows = np.flatnonzero(site.asym == asym.code)
        if site.place is not None:
            rows = rows[site.place[rows] != NO_INTEGER]
        if not _is_polymer(asym, entities, rows):
            continue
        refused = _refuse(asym, entities, site, rows)
        if refused:
            rejected.append(refused)
            continue
        repeats[asym.chain_id] += 1
        repeat = repeats[asym.chain_id]
        name = asym.chain_id if repeat == 1 else f"{asym.chain_id}-{repeat}"
        chain = _build_chain(table, entities, asym, site, rows)
        chains.append(replace(chain, name=name))
    models = count_models(table)
    return Observed(tuple(chains), tuple(rejected), read_header(block), models)


def _list_asyms(
    table: Category, model: slice | np.ndarray, column: TextColumn, entities: Entities
) -> list[_Asym]:
    """Every ``label_asym_id``: in order of first mention, then those without atoms."""
    codes = column.codes[model]
    rows = np.arange(len(column.codes))[model]
    begins = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    first: dict[int, int] = {}
    for code, row in zip(codes[begins].tolist(), rows[begins].tolist(), strict=True):
        first.setdefault(code, row)
    starts = np.array(list(first.values()))
    chain_ids = table.strings(find_column(table, "auth_asym_id", "label_asym_id"), starts)
    own = table.strings("label_entity_id", starts) if "label_entity_id" in table else None
    asyms = []
    for index, (code, row) in enumerate(first.items()):
        name = column.values[code]
        entity = own[index] if own else entities.of_asym.get(name, "")
        asyms.append(_Asym(name, code, row, entity, chain_ids[index] or name))
    seen = {asym.id for asym in asyms}
    absent = [(name, entity) for name, entity in entities.of_asym.items() if name not in seen]
    return asyms + [_Asym(name, -1, -1, entity, name) for name, entity in absent]


def _is_polymer(asym: _Asym, entities: Entities, rows: np.ndarray) -> bool:
    """Whether to speak of this chain at all: ligands and waters are left out without a word."""
    if entities.types and asym.entity:
        return asym.entity in entities.types
    return asym.entity in entities.sequences or len(rows) > 0


def _refuse(asym: _Asym, entities: Entities, site: Site, rows: np.ndarray) -> RejectedChain | None:
    """Why a polymer is no chain for us; None if it is one."""
    polymer_type = entities.types.get(asym.entity, "")
    if polymer_type:
        if polymer_type.lower() != PROTEIN.lower():
            reason = f"polymer of type {polymer_type}, not {PROTEIN}"
            return RejectedChain(asym.chain_id, reason, is_protein=False)
    else:
        sequence = entities.sequences.get(asym.entity)
        names = [site.component.values[code] for code in site.component.codes[rows].tolist()]
        reason = refusal([names[0] for names in sequence] if sequence else names)
        if reason:
            return RejectedChain(asym.chain_id, reason, is_protein=False)
    if len(rows) == 0:
        return RejectedChain(asym.chain_id, "no residue with coordinates")
    length = len(entities.sequences.get(asym.entity, ())) or LONGEST_CHAIN
    places = site.place[rows] if site.place is not None else np.ones(1)
    if places.min() < 1 or places.max() > length:
        reason = f"label_seq_id from {places.min()} to {places.max()} on {length} residues"
        return RejectedChain(asym.chain_id, reason)
    return None


def _build_chain(
    table: Category, entities: Entities, asym: _Asym, site: Site, rows: np.ndarray
) -> ObservedChain:
    sequence = entities.sequence(asym.id, asym.entity)
    atoms = Atoms(
        residue=np.zeros(len(rows), dtype=np.int64),
        name=site.name[rows],
        alternative=site.alternative[rows],
        component=site.component.codes[rows],
        components=tuple(site.component.values),
        occupancy=site.occupancy[rows],
        xyz=site.xyz[rows],
    )
    chain = ObservedChain(
        atoms,
        numbers=(),
        sequence=sequence,
        chain_id=asym.chain_id,
        label_chain_id=asym.id,
        entity_id=asym.entity,
    )
    if site.place is None:
        return _by_author_numbers(table, chain, site.rows[rows])
    places, first, residue = np.unique(site.place[rows], return_index=True, return_inverse=True)
    numbers = _author_numbers(table, site.rows[rows][first])
    return replace(
        chain,
        atoms=replace(atoms, residue=residue),
        numbers=tuple(numbers),
        positions=places - (1 if sequence else places[0]),
    )


def _author_numbers(table: Category, rows: np.ndarray) -> list[str]:
    numbers = table.strings(find_column(table, "auth_seq_id", "label_seq_id"), rows)
    if "pdbx_PDB_ins_code" not in table:
        return numbers
    insertions = table.strings("pdbx_PDB_ins_code", rows)
    return [number + code for number, code in zip(numbers, insertions, strict=True)]


def _by_author_numbers(table: Category, chain: ObservedChain, rows: np.ndarray) -> ObservedChain:
    """Sort the atoms of a file without ``label_seq_id`` into residues."""
    names = _author_numbers(table, rows)
    for name in set(names):
        split_number(name)  # placement works with numbers; what is none is damage, told here
    distinct = tuple(dict.fromkeys(names))
    code = {name: index for index, name in enumerate(distinct)}
    hetero = np.zeros(len(rows), dtype=bool)
    if "group_PDB" in table:
        hetero = np.array([group == "HETATM" for group in table.strings("group_PDB", rows)])
    numbered = NumberedAtoms(
        chain.atoms,
        number=np.array([code[name] for name in names]),
        numbers=distinct,
        hetero=hetero,
        terminated=np.zeros(len(rows), dtype=bool),
    )
    sequence: tuple[Monomer, ...] = chain.sequence or ()
    named = frozenset(name for monomer in sequence for name in monomer.components)
    found = sort_into_residues(numbered, named)
    return replace(chain, atoms=found.atoms, numbers=found.numbers, skipped=found.skipped)
