"""Which protein chains does an mmCIF or BinaryCIF file hold?

One chain per ``label_asym_id`` whose entity is a polymer of type ``polypeptide(L)``, on the full
sequence of ``entity_poly_seq``, each atom at its ``label_seq_id``. Files of other programs leave
categories out, so:

* no ``entity_poly``: the components decide whether a chain is protein;
* no ``entity_poly_seq``: nothing says what ``label_seq_id`` counts, and programs count residues of
  the file, repeat author numbers, or give each hetero residue a ``label_asym_id`` of its own. So
  the atoms of one ``auth_asym_id`` are a chain, or several (see `copies`), read as in a PDB file by
  author numbers (see `polymer` and `gaps`); the report says so;
* no ``label_seq_id``: residues are placed as in a PDB file (see `polymer` and `placement`);
* no ``label_asym_id``, or none in some rows: ``auth_asym_id`` stands for it there;
* no ``auth_*``: the label ids stand for them, as in viewers; atoms that have neither number are
  left out, and the report counts them;
* no ``pdbx_poly_seq_scheme``: unresolved residues have no author number;
* no ``occupancy``: 1. No ``pdbx_PDB_model_num``: one model.

The first data block with atoms counts, and of it the first model that is mentioned.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from protcontact.structure.cif_columns import NO_INTEGER, Block, Category
from protcontact.structure.components import refusal
from protcontact.structure.copies import copy_starts
from protcontact.structure.mmcif_atoms import (
    AsymColumn,
    Site,
    author_numbers,
    count_models,
    first_model,
    read_asyms,
    select_atoms,
)
from protcontact.structure.mmcif_entities import Entities
from protcontact.structure.mmcif_header import read_header
from protcontact.structure.observed import (
    Atoms,
    Observed,
    ObservedChain,
    RejectedChain,
    name_chains,
    unreadable,
)
from protcontact.structure.placement import split_number
from protcontact.structure.polymer import NumberedAtoms, sort_into_residues

PROTEIN = "polypeptide(L)"


@dataclass(frozen=True)
class _Asym:
    """One ``label_asym_id``, or several of one author chain: codes in the column, other names."""

    id: str
    codes: tuple[int, ...]
    entity: str
    chain_id: str


def read_blocks(blocks: list[Block]) -> Observed:
    """Find the protein chains of the first data block that has atoms.

    Raises:
        ValueError: If there are no atoms or a needed column is absent.
    """
    tables = [(block, block.category("atom_site")) for block in blocks]
    found = [(block, table) for block, table in tables if table is not None]
    if not found:
        raise ValueError("it has no atom_site category, so no coordinates")
    observed = _read_block(*found[0])
    others = (f"{len(found) - 1} further data blocks with atoms",) if len(found) > 1 else ()
    return replace(observed, skipped=(*others, *observed.skipped))


def _read_block(block: Block, table: Category) -> Observed:
    entities = Entities(block)
    model = first_model(table)
    column = read_asyms(table)
    site = select_atoms(table, model, column)
    chains: list[ObservedChain] = []
    rejected: list[RejectedChain] = []
    for asym in _list_asyms(table, model, column, entities):
        of_asym = (
            site.asym == asym.codes[0] if len(asym.codes) == 1 else np.isin(site.asym, asym.codes)
        )
        rows = np.flatnonzero(of_asym)
        if site.place is not None and entities.sequences:
            rows = rows[site.place[rows] != NO_INTEGER]
        if not _is_polymer(asym, entities, rows):
            continue
        reason = _refusal(asym, entities, site, rows)
        if reason:
            rejected.append(reason)
        elif site.place is not None and asym.entity in entities.sequences:
            chains.append(_at_stated_places(table, entities, asym, site, rows))
        else:
            parts = _by_author_numbers(table, entities, asym, site, rows)
            chains += [part for part in parts if isinstance(part, ObservedChain)]
            rejected += [part for part in parts if isinstance(part, RejectedChain)]
    return Observed(
        name_chains(chains),
        tuple(rejected),
        read_header(block),
        count_models(table),
        unreadable(site.unreadable),
    )


def _list_asyms(
    table: Category, model: slice | np.ndarray, column: AsymColumn, entities: Entities
) -> list[_Asym]:
    """Every chain, see the module: in order of first mention, then those without atoms."""
    codes = column.codes[model]
    rows = np.arange(len(column.codes))[model]
    begins = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    first: dict[int, int] = {}
    for code, row in zip(codes[begins].tolist(), rows[begins].tolist(), strict=True):
        first.setdefault(code, row)
    starts = np.array(list(first.values()))
    own = [""] * len(first)
    if "label_entity_id" in table:
        own = table.strings("label_entity_id", starts)
    asyms: dict[tuple[str, ...], _Asym] = {}
    for entity, code in zip(own, first, strict=True):
        name, chain_id = column.names(code)
        asym = _Asym(name, (code,), entity or entities.of_asym.get(name, ""), chain_id)
        polymer_type = entities.types.get(asym.entity, "")
        is_known = bool(asym.entity and entities.types) and not polymer_type  # and no polymer
        has_sequence = asym.entity in entities.sequences
        key = (name, chain_id) if has_sequence or is_known else ("", chain_id, polymer_type)
        earlier = asyms.get(key)
        asyms[key] = replace(earlier, codes=(*earlier.codes, code)) if earlier else asym
    seen = {column.names(code)[0] for code in first}
    absent = [(name, entity) for name, entity in entities.of_asym.items() if name not in seen]
    return [*asyms.values(), *(_Asym(name, (), entity, name) for name, entity in absent)]


def _is_polymer(asym: _Asym, entities: Entities, rows: np.ndarray) -> bool:
    """Whether to speak of this chain at all: ligands and waters are left out without a word."""
    if entities.types and asym.entity:
        return asym.entity in entities.types
    return asym.entity in entities.sequences or len(rows) > 0


def _refusal(asym: _Asym, entities: Entities, site: Site, rows: np.ndarray) -> RejectedChain | None:
    """Why a polymer is no chain for us, as far as entities and places tell; None if it may be."""
    polymer_type = entities.types.get(asym.entity, "")
    sequence = entities.sequences.get(asym.entity, ())
    if polymer_type:
        if polymer_type.lower() != PROTEIN.lower():
            reason = f"polymer of type {polymer_type}, not {PROTEIN}"
            return RejectedChain(asym.chain_id, reason, is_protein=False)
    elif sequence:
        reason = refusal([names[0] for names in sequence])
        if reason:
            return RejectedChain(asym.chain_id, reason, is_protein=False)
    if len(rows) == 0:
        return RejectedChain(asym.chain_id, "no residue with coordinates")
    if sequence and site.place is not None:
        places = site.place[rows]
        if places.min() < 1 or places.max() > len(sequence):
            span = f"label_seq_id from {places.min()} to {places.max()}"
            return RejectedChain(asym.chain_id, f"{span} on {len(sequence)} residues")
    return None


def _atoms(site: Site, rows: np.ndarray) -> Atoms:
    """The rows as atoms that are not yet sorted into residues."""
    return Atoms(
        residue=np.zeros(len(rows), dtype=np.int64),
        name=site.name[rows],
        alternative=site.alternative[rows],
        component=site.component.codes[rows],
        components=tuple(site.component.values),
        occupancy=site.occupancy[rows],
        xyz=site.xyz[rows],
    )


def _at_stated_places(
    table: Category, entities: Entities, asym: _Asym, site: Site, rows: np.ndarray
) -> ObservedChain:
    """A chain whose atoms have their ``label_seq_id`` on a full sequence."""
    assert site.place is not None
    places, first, residue = np.unique(site.place[rows], return_index=True, return_inverse=True)
    return ObservedChain(
        replace(_atoms(site, rows), residue=residue),
        numbers=tuple(author_numbers(table, site.rows[rows][first])),
        positions=places - 1,
        sequence=entities.sequence(asym.id, asym.entity),
        chain_id=asym.chain_id,
        label_chain_id=asym.id,
        entity_id=asym.entity,
    )


def _by_author_numbers(
    table: Category, entities: Entities, asym: _Asym, site: Site, rows: np.ndarray
) -> list[ObservedChain | RejectedChain]:
    """The chains of an author chain id whose residues only author numbers tell apart."""
    sequence = entities.sequence(asym.id, asym.entity)
    named = frozenset(name for monomer in sequence or () for name in monomer.components)
    numbered, unnumbered = _numbered(table, site, rows)
    skipped = (f"{unnumbered} atoms without residue number",) if unnumbered else ()
    note = "no full sequence of this chain in the file: gaps by numbers, not by label_seq_id"
    starts = copy_starts(numbered.number, lambda: numbered.atoms)
    bounds = [0, *starts, len(numbered.number)]
    found: list[ObservedChain | RejectedChain] = []
    for part in (numbered.select(slice(*ends)) for ends in pairwise(bounds)):
        sorted_part = sort_into_residues(part, named)
        reason = refusal(sorted_part.components)
        if not sorted_part.numbers:
            continue
        if reason and not sequence:
            found.append(RejectedChain(asym.chain_id, reason, is_protein=False))
            continue
        found.append(
            ObservedChain(
                sorted_part.atoms,
                sorted_part.numbers,
                sequence=sequence,
                chain_id=asym.chain_id,
                label_chain_id=asym.id,
                entity_id=asym.entity,
                skipped=(*skipped, *sorted_part.skipped),
                notes=() if sequence or site.place is None else (note,),
            )
        )
    if not found and (sequence or asym.entity in entities.types):
        found.append(RejectedChain(asym.chain_id, "no residue with coordinates"))
    return found


def _numbered(table: Category, site: Site, rows: np.ndarray) -> tuple[NumberedAtoms, int]:
    """The rows that have an author number, and how many have none."""
    names = author_numbers(table, site.rows[rows])
    has = np.array([name != "" for name in names], dtype=bool)
    rows, names = rows[has], [name for name in names if name]
    distinct = tuple(dict.fromkeys(names))
    for name in distinct:
        split_number(name)  # placement works with numbers; what is none is damage, told here
    code = {name: index for index, name in enumerate(distinct)}
    hetero = np.zeros(len(rows), dtype=bool)
    if "group_PDB" in table:
        groups = table.strings("group_PDB", site.rows[rows])
        hetero = np.array([group == "HETATM" for group in groups], dtype=bool)
    numbered = NumberedAtoms(
        _atoms(site, rows),
        number=np.array([code[name] for name in names], dtype=np.int64),
        numbers=distinct,
        hetero=hetero,
        terminated=np.zeros(len(rows), dtype=bool),
    )
    return numbered, int((~has).sum())
