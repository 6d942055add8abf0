"""Tiny peptides with ideal geometry, written as PDB, mmCIF and BinaryCIF.

A structure is a list of `Atom`; tests change it and write it in the format
they need, so that every feature that breaks parsers can be made on purpose.
"""

import gzip
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from io import BytesIO, StringIO

import numpy as np
from biotite.structure.io.pdbx import (
    BinaryCIFBlock,
    BinaryCIFCategory,
    BinaryCIFColumn,
    BinaryCIFFile,
    CIFFile,
)

THREE = {
    "A": "ALA", "C": "CYS", "D": "ASP", "E": "GLU", "F": "PHE", "G": "GLY", "H": "HIS",
    "I": "ILE", "K": "LYS", "L": "LEU", "M": "MET", "N": "ASN", "P": "PRO", "Q": "GLN",
    "R": "ARG", "S": "SER", "T": "THR", "V": "VAL", "W": "TRP", "Y": "TYR",
}  # fmt: skip


@dataclass(frozen=True)
class Atom:
    """One atom record; `place` is ``label_seq_id`` (None for what is no polymer)."""

    name: str
    component: str
    xyz: tuple[float, float, float]
    chain: str = "A"
    number: int = 1
    insertion: str = ""
    place: int | None = 1
    alternative: str = ""
    occupancy: float = 1.0
    hetero: bool = False
    model: int = 1
    entity: str = "1"
    label_chain: str = ""


def _next_atom(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, torsion: float
) -> np.ndarray:
    """Atom d with |cd|, angle bcd and torsion abcd (degrees)."""
    angle, torsion = math.radians(angle), math.radians(torsion)
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    frame = np.stack([along, np.cross(normal, along), normal])
    local = np.array(
        [-math.cos(angle), math.sin(angle) * math.cos(torsion), math.sin(angle) * math.sin(torsion)]
    )
    return c + length * local @ frame


def backbone(length: int, phi: float = -60.0, psi: float = -45.0) -> np.ndarray:
    """``(length, 4, 3)`` N, CA, C, CB of L-amino acids by ideal internal coordinates."""
    n, ca = np.zeros(3), np.array([1.458, 0.0, 0.0])
    c = ca + 1.525 * np.array([-math.cos(math.radians(111)), math.sin(math.radians(111)), 0.0])
    residues = []
    for _ in range(length):
        cb = _next_atom(c, n, ca, 1.53, 110.5, -122.6)  # L-amino acids
        residues.append([n, ca, c, cb])
        next_n = _next_atom(n, ca, c, 1.329, 116.6, psi)
        next_ca = _next_atom(ca, c, next_n, 1.458, 121.7, 180.0)
        next_c = _next_atom(c, next_n, next_ca, 1.525, 111.0, phi)
        n, ca, c = next_n, next_ca, next_c
    return np.array(residues)


def peptide(
    sequence: str | Iterable[str],
    *,
    chain: str = "A",
    first: int = 1,
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
    phi: float = -60.0,
    psi: float = -45.0,
    entity: str = "1",
) -> list[Atom]:
    """A helix of one-letter or component names; glycine has no CB; modified residues are HETATM."""
    names = [THREE.get(name, name) for name in sequence]
    atoms = []
    for index, (name, xyz) in enumerate(zip(names, backbone(len(names), phi, psi), strict=True)):
        for atom, position in zip(("N", "CA", "C", "CB"), xyz, strict=True):
            if atom == "CB" and name == "GLY":
                continue
            x, y, z = (round(float(value), 3) for value in position + np.array(offset))
            atoms.append(
                Atom(
                    atom,
                    name,
                    (x, y, z),
                    chain=chain,
                    number=first + index,
                    place=index + 1,
                    hetero=name not in THREE.values(),
                    entity=entity,
                )
            )
    return atoms


def change(atoms: Iterable[Atom], where: Callable[[Atom], bool], **fields: object) -> list[Atom]:
    """Replace fields of the atoms for which `where` holds."""
    return [replace(atom, **fields) if where(atom) else atom for atom in atoms]  # type: ignore[arg-type]


def without(atoms: Iterable[Atom], where: Callable[[Atom], bool]) -> list[Atom]:
    """Leave out the atoms for which `where` holds."""
    return [atom for atom in atoms if not where(atom)]


def pdb_line(atom: Atom, serial: int = 1) -> str:
    """One coordinate record with standard columns."""
    record = "HETATM" if atom.hetero else "ATOM  "
    name = f" {atom.name:<3}" if len(atom.name) < 4 else atom.name
    x, y, z = atom.xyz
    return (
        f"{record}{serial % 100000:>5} {name}{atom.alternative or ' ':1}{atom.component:>3} "
        f"{atom.chain or ' '}{atom.number:>4}{atom.insertion or ' '}   "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{atom.occupancy:6.2f}{20:6.2f}          {atom.name[0]:>2}  "
    )


def seqres(sequences: dict[str, Iterable[str]]) -> list[str]:
    """SEQRES records by chain."""
    lines = []
    for chain, names in sequences.items():
        full = [THREE.get(name, name) for name in names]
        for row, at in enumerate(range(0, len(full), 13), 1):
            names_of_row = " ".join(f"{name:>3}" for name in full[at : at + 13])
            lines.append(f"SEQRES {row:>3} {chain or ' '} {len(full):>4}  {names_of_row}")
    return lines


def remark_465(missing: Iterable[tuple[str, str, int, str]]) -> list[str]:
    """REMARK 465 of ``(component, chain, number, insertion code)``."""
    lines = ["REMARK 465", "REMARK 465   M RES C SSSEQI"]
    for name, chain, number, insertion in missing:
        lines.append(f"REMARK 465     {name:>3} {chain or ' '} {number:>5}{insertion}")
    return lines


def to_pdb(
    atoms: Iterable[Atom], *, header: Iterable[str] = (), ter: bool = True, newline: str = "\n"
) -> bytes:
    """A PDB file; with `ter`, a TER behind the last atom with a `place` of each chain."""
    atoms = list(atoms)
    lines = list(header)
    models = sorted({atom.model for atom in atoms})
    last = {(a.model, a.chain): i for i, a in enumerate(atoms) if a.place is not None}
    for model in models:
        if len(models) > 1:
            lines.append(f"MODEL     {model:>4}")
        for index, atom in enumerate(atoms):
            if atom.model != model:
                continue
            lines.append(pdb_line(atom, index + 1))
            if ter and last.get((atom.model, atom.chain)) == index:
                lines.append(f"TER   {index + 2:>5}      {atom.component:>3} {atom.chain or ' '}")
        if len(models) > 1:
            lines.append("ENDMDL")
    return newline.join([*lines, "END", ""]).encode("latin-1")


_SITE = {
    "group_PDB": lambda a: "HETATM" if a.hetero else "ATOM",
    "label_atom_id": lambda a: f'"{a.name}"' if "'" in a.name else a.name,
    "label_alt_id": lambda a: a.alternative or ".",
    "label_comp_id": lambda a: a.component,
    "label_asym_id": lambda a: a.label_chain or a.chain,
    "label_entity_id": lambda a: a.entity,
    "label_seq_id": lambda a: "." if a.place is None else a.place,
    "pdbx_PDB_ins_code": lambda a: a.insertion or "?",
    "Cartn_x": lambda a: f"{a.xyz[0]:.3f}",
    "Cartn_y": lambda a: f"{a.xyz[1]:.3f}",
    "Cartn_z": lambda a: f"{a.xyz[2]:.3f}",
    "occupancy": lambda a: f"{a.occupancy:.2f}",
    "auth_seq_id": lambda a: a.number,
    "auth_asym_id": lambda a: a.chain,
    "pdbx_PDB_model_num": lambda a: a.model,
}


def loop(category: str, rows: Iterable[dict[str, object]]) -> list[str]:
    """A CIF loop; values are written as they are."""
    rows = list(rows)
    if not rows:
        return []
    names = [f"_{category}.{name}" for name in rows[0]]
    return ["loop_", *names, *(" ".join(str(value) for value in row.values()) for row in rows), "#"]


def to_mmcif(
    atoms: Iterable[Atom],
    *,
    sequences: dict[str, Iterable[str | tuple[str, ...]]] | None = None,
    types: dict[str, str] | None = None,
    asyms: dict[str, str] | None = None,
    scheme: Iterable[tuple[str, int, str, str]] = (),
    extra: Iterable[str] = (),
    omit: Iterable[str] = (),
) -> bytes:
    """An mmCIF file.

    Args:
        atoms: Atoms.
        sequences: Full sequence by entity id; a tuple for a heterogeneous place.
        types: ``entity_poly.type`` by entity id; polypeptide(L) for all `sequences` if None.
        asyms: Entity id by ``label_asym_id`` (``struct_asym``).
        scheme: ``(asym, place, author number, insertion code)`` of ``pdbx_poly_seq_scheme``.
        extra: Lines in front of the atoms.
        omit: Columns of ``atom_site`` to leave out.
    """
    sequences = sequences or {}
    if types is None:
        types = dict.fromkeys(sequences, "polypeptide(L)")
    lines = ["data_TEST", "#", *extra]
    lines += loop("entity_poly", [{"entity_id": e, "type": f"'{t}'"} for e, t in types.items()])
    places = []
    for entity, monomers in sequences.items():
        for number, names in enumerate(monomers, 1):
            for name in names if isinstance(names, tuple) else (names,):
                places.append({"entity_id": entity, "num": number, "mon_id": THREE.get(name, name)})
    lines += loop("entity_poly_seq", places)
    lines += loop("struct_asym", [{"id": a, "entity_id": e} for a, e in (asyms or {}).items()])
    numbering = [
        {"asym_id": a, "seq_id": p, "pdb_seq_num": n, "pdb_ins_code": c or "."}
        for a, p, n, c in scheme
    ]
    lines += loop("pdbx_poly_seq_scheme", numbering)
    columns = {name: value for name, value in _SITE.items() if name not in set(omit)}
    rows = [{name: value(atom) for name, value in columns.items()} for atom in atoms]
    lines += loop("atom_site", rows)
    return "\n".join([*lines, ""]).encode()


_NUMERIC = {
    **dict.fromkeys(("Cartn_x", "Cartn_y", "Cartn_z", "occupancy"), float),
    **dict.fromkeys(("label_seq_id", "auth_seq_id", "pdbx_PDB_model_num", "num", "seq_id"), int),
}


def to_bcif(mmcif: bytes) -> bytes:
    """The same content as BinaryCIF, numbers as numbers and ``.`` and ``?`` as masks."""
    source = CIFFile.read(StringIO(mmcif.decode()))
    block = BinaryCIFBlock()
    for name, category in source.block.items():
        columns = {}
        for key, column in category.items():
            kind = _NUMERIC.get(key, str)
            mask = None if column.mask is None else column.mask.array
            data = column.as_array(kind, masked_value="" if kind is str else 0)
            columns[key] = BinaryCIFColumn(data, mask)
        block[name] = BinaryCIFCategory(columns)
    file = BytesIO()
    BinaryCIFFile({"TEST": block}).write(file)
    return file.getvalue()


def gzipped(content: bytes) -> bytes:
    """Compressed without a time stamp, so that it is always the same."""
    return gzip.compress(content, mtime=0)
