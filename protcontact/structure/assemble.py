"""From what a file says about a chain to a labelled chain.

Coordinates of a residue are those of CB, of CA for glycine (letter G). Where CB is absent it is
built from N, CA and C and the report names the residue; a residue that allows neither is
unresolved. Atoms with occupancy 0 keep their coordinates, as the depositors gave them, and the
report counts them. Placeholders (see `alternatives`) are no coordinates, and the report names them.

A chain in which hardly any residue has more than CA has no CB and none can be built. Labels from CA
are not the same thing, so such a chain is refused unless it is asked for.
"""

from dataclasses import dataclass, replace

import numpy as np

from protcontact.structure.alternatives import Residues, choose_alternatives, without_placeholders
from protcontact.structure.chain import Chain, ChainReport
from protcontact.structure.components import UNKNOWN_LETTER, Kind, is_modified, kind, letter
from protcontact.structure.geometry import build_cb
from protcontact.structure.layout import Layout, lay_out, list_residues
from protcontact.structure.observed import CA, CB, C, Header, N, ObservedChain, RejectedChain
from protcontact.structure.placement import UNPLACED

# CA-only models may keep a few full residues, and full models a few bare CA.
CA_ONLY_FRACTION = 0.9


@dataclass(frozen=True)
class Source:
    """Where chains come from.

    Attributes:
        entry: First part of their ids.
        name: File name.
        header: The experiment.
        models: Number of models.
        skipped: What of the file was left out, for the report of every chain.
    """

    entry: str
    name: str
    header: Header
    models: int = 1
    skipped: tuple[str, ...] = ()


def assemble(
    observed: ObservedChain, source: Source, *, allow_ca_only: bool
) -> Chain | RejectedChain:
    """Turn one observed chain into a labelled chain, or say why it cannot be one."""
    residues = choose_alternatives(observed.atoms, len(observed.numbers))
    residues = without_placeholders(residues)
    present = np.isfinite(residues.xyz).all(axis=2)
    if not present.any():
        return RejectedChain(observed.chain_id, "no residue with coordinates")
    ca_only = _is_ca_only(present)
    if ca_only and not allow_ca_only:
        reason = "only CA atoms, so no CB; labels from CA are not the same (see allow_ca_only)"
        return RejectedChain(observed.chain_id, reason)
    atoms, imputed = _ca_atoms(residues) if ca_only else _contact_atoms(residues)
    layout = lay_out(observed, residues)
    coordinates = _spread(atoms, layout)
    if np.isnan(coordinates).any(axis=1).all():
        return RejectedChain(observed.chain_id, "no residue has CB or a backbone to build it from")
    report = _report(observed, residues, layout, coordinates, imputed)
    others = (f"{source.models - 1} further models",) if source.models > 1 else ()
    return Chain(
        id=f"{source.entry}_{observed.name}",
        sequence="".join(letter(component) for component in layout.components),
        coordinates=coordinates,
        ca=_spread(residues.xyz[:, CA], layout),
        numbering=tuple(layout.numbers),
        chain_id=observed.chain_id,
        label_chain_id=observed.label_chain_id,
        entity_id=observed.entity_id,
        source=source.name,
        method=source.header.method,
        resolution=source.header.resolution,
        release_date=source.header.release_date,
        ca_only=ca_only,
        report=replace(report, skipped=(*others, *source.skipped, *observed.skipped)),
    )


def _is_ca_only(present: np.ndarray) -> bool:
    """``(R, 4)`` bool of present atoms -> whether nearly all residues that have CA have no more."""
    bare = present[:, CA] & ~present[:, CB] & ~(present[:, N] & present[:, C])
    return bool(bare.any() and bare.sum() >= CA_ONLY_FRACTION * present[:, CA].sum())


def _ca_atoms(residues: Residues) -> tuple[np.ndarray, np.ndarray]:
    """``(R, 3)`` coordinates of CA, ``(R,)`` False: nothing is built."""
    return residues.xyz[:, CA].copy(), np.zeros(len(residues.xyz), dtype=bool)


def _contact_atoms(residues: Residues) -> tuple[np.ndarray, np.ndarray]:
    """``(R, 3)`` coordinates of CB (CA for Gly), ``(R,)`` bool where CB was built."""
    xyz = residues.xyz
    coordinates = xyz[:, CB].copy()
    glycine = np.array([letter(component) == "G" for component in residues.component], dtype=bool)
    coordinates[glycine] = xyz[glycine, CA]
    rows = np.flatnonzero(np.isnan(coordinates).any(axis=1) & ~glycine)
    mirrored = np.array([kind(residues.component[row]) is Kind.D_PEPTIDE for row in rows], bool)
    backbone = xyz[rows].astype(np.float64)
    coordinates[rows] = build_cb(backbone[:, N], backbone[:, CA], backbone[:, C], mirrored)
    imputed = np.zeros(len(xyz), dtype=bool)
    imputed[rows] = np.isfinite(coordinates[rows]).all(axis=1)
    return coordinates, imputed


def _spread(values: np.ndarray, layout: Layout) -> np.ndarray:
    """``(R, 3) -> (L, 3)`` float32, NaN where no residue was placed."""
    spread = np.full((len(layout.components), 3), np.nan, dtype=np.float32)
    placed = layout.positions != UNPLACED
    spread[layout.positions[placed]] = values[placed]
    spread[np.isnan(spread).any(axis=1)] = np.nan
    return spread


def _report(
    observed: ObservedChain,
    residues: Residues,
    layout: Layout,
    coordinates: np.ndarray,
    imputed: np.ndarray,
) -> ChainReport:
    def places(which: np.ndarray) -> tuple[int, ...]:
        positions = layout.positions[which]
        return tuple(np.sort(positions[positions != UNPLACED]).tolist())

    several = np.zeros(len(imputed), dtype=bool)
    several[list(residues.offered)] = True
    letters = [letter(component) for component in layout.components]
    zero = int(residues.zero_occupancy.sum())
    occupancy = (f"{zero} residues have an atom of occupancy 0; coordinates kept",) if zero else ()
    void = [observed.numbers[index] for index in np.flatnonzero(residues.placeholder)]
    empty = list_residues("placeholders instead of coordinates, not used: author", void)
    return ChainReport(
        imputed_cb=places(imputed),
        unresolved=tuple(np.flatnonzero(np.isnan(coordinates).any(axis=1)).tolist()),
        modified=tuple(
            (place, component, letters[place])
            for place, component in enumerate(layout.components)
            if is_modified(component)
        ),
        unknown=tuple(place for place, code in enumerate(letters) if code == UNKNOWN_LETTER),
        altlocs=places(residues.altloc),
        microheterogeneous=places(several),
        notes=(*observed.notes, *layout.notes, *occupancy, *empty),
    )
