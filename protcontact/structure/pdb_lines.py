"""The atom lines of a PDB file as arrays, by fixed columns.

The first model counts: reading stops at its ENDMDL, at a second MODEL, or at END. A line that ends
before its coordinates do (a file cut short) is no atom. Residue numbers beyond 9999 are understood
as hybrid-36 (A000 is 10000) and as five digits that run into the column of the insertion code.
Where a field is no number, an occupancy counts as 1 and an atom with such coordinates is left out.

References: Atomic Coordinate Entry Format 3.30, wwPDB 2008; R. Grosse-Kunstleve, hybrid-36, cctbx.
"""

from dataclasses import dataclass

import numpy as np

from protcontact.structure.cif_columns import TextColumn, factorise
from protcontact.structure.components import STANDARD
from protcontact.structure.observed import ATOM_NAMES, is_position

_WIDTH = 80
_COORDINATES_END = 54
_HYBRID_FIRST = 10 * 36**3  # A000 in base 36, which stands for 10000

# Atom names begin in the second of four columns; some programs write them elsewhere.
_NAME_FIELDS = {
    index: tuple((" " * lead + name).ljust(4).encode() for lead in range(5 - len(name)))
    for index, name in enumerate(ATOM_NAMES)
}


@dataclass(frozen=True, eq=False)
class PdbAtoms:
    """The A atoms of the first model that decide contacts, in file order.

    Attributes:
        name: ``(A,)`` int, index into `ATOM_NAMES`.
        alternative: ``(A,)`` int, 0 for none.
        component: Residue names.
        chain: Chain ids, ``""`` if blank.
        number: Residue numbers with insertion code.
        hetero: ``(A,)`` bool, HETATM.
        part: ``(A,)`` int, number of TER records before the atom.
        ended: For each TER, the chain id that it ends.
        occupancy: ``(A,)`` float32.
        xyz: ``(A, 3)`` float32, Angstrom, finite.
        models: Number of models in the file.
    """

    name: np.ndarray
    alternative: np.ndarray
    component: TextColumn
    chain: TextColumn
    number: TextColumn
    hetero: np.ndarray
    part: np.ndarray
    ended: tuple[str, ...]
    occupancy: np.ndarray
    xyz: np.ndarray
    models: int


class Lines:
    """The lines of a file as a byte matrix that is cut where it is looked at."""

    def __init__(self, content: bytes) -> None:
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._bytes = np.frombuffer(content + b"\n" + b" " * _WIDTH, dtype=np.uint8)
        ends = np.flatnonzero(self._bytes == ord("\n"))
        self.starts = np.concatenate([[0], ends[:-1] + 1])
        self.lengths = ends - self.starts

    def fields(self, rows: np.ndarray, first: int, stop: int) -> np.ndarray:
        """Columns ``[first, stop)`` of some lines as bytes strings; blank beyond the line's end."""
        columns = np.arange(first, stop)
        block = self._bytes[self.starts[rows, None] + columns]
        block[columns >= self.lengths[rows, None]] = ord(" ")
        return block.view(f"S{stop - first}")[:, 0]


def read_atoms(content: bytes) -> PdbAtoms:
    """Read the atoms of the first model that decide contacts.

    Raises:
        ValueError: If there is no atom.
    """
    lines = Lines(content)
    record = lines.fields(np.arange(len(lines.starts)), 0, 6)
    models = int((record == b"MODEL ").sum())
    record = record[: _model_end(record)]
    is_atom = (record == b"ATOM  ") | (record == b"HETATM")
    atom_rows = np.flatnonzero(is_atom & (lines.lengths[: len(record)] >= _COORDINATES_END))
    if len(atom_rows) == 0:
        raise ValueError("it has no ATOM records with coordinates")
    ter_rows = np.flatnonzero(record == b"TER   ")
    name, rows = _select_names(lines, atom_rows)
    xyz = np.stack([_floats(lines.fields(rows, at, at + 8)) for at in (30, 38, 46)], axis=1)
    known = is_position(xyz)
    name, rows, xyz = name[known], rows[known], xyz[known]
    component, chain, number = _residue_columns(lines.fields(rows, 17, 27))
    location = lines.fields(rows, 16, 17).view(np.uint8)
    return PdbAtoms(
        name=name,
        alternative=np.where(location == ord(" "), 0, location).astype(np.int64),
        component=component,
        chain=chain,
        number=number,
        hetero=record[rows] == b"HETATM",
        part=np.searchsorted(ter_rows, rows),
        ended=_ended_chains(lines, atom_rows, ter_rows),
        occupancy=np.nan_to_num(_floats(lines.fields(rows, 54, 60)), nan=1.0).astype(np.float32),
        xyz=xyz.astype(np.float32),
        models=max(models, 1),
    )


def _model_end(record: np.ndarray) -> int:
    """Number of lines up to the end of the first model."""
    atoms = np.flatnonzero((record == b"ATOM  ") | (record == b"HETATM"))
    first = int(atoms[0]) if len(atoms) else 0
    after = record[first:]
    ends = np.flatnonzero((after == b"ENDMDL") | (after == b"MODEL ") | (after == b"END   "))
    return first + int(ends[0]) if len(ends) else len(record)


def _select_names(lines: Lines, atom_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the atom name and line of each atom that decides contacts."""
    fields = lines.fields(atom_rows, 12, 16)
    name = np.full(len(atom_rows), -1, dtype=np.int64)
    for index, spellings in _NAME_FIELDS.items():
        for spelling in spellings:
            name[fields == spelling] = index
    chosen = np.flatnonzero(name >= 0)
    return name[chosen], atom_rows[chosen]


def _floats(fields: np.ndarray) -> np.ndarray:
    """Bytes strings as float64, NaN where they are no numbers."""
    try:
        return fields.astype(np.float64)
    except ValueError:
        return np.array([_float(field) for field in fields.tolist()], dtype=np.float64)


def _float(field: bytes) -> float:
    try:
        return float(field)
    except ValueError:
        return float("nan")


def _residue_columns(fields: np.ndarray) -> tuple[TextColumn, TextColumn, TextColumn]:
    """Residue name, chain id and number of columns 18-27, parsed once per run of equal fields."""
    begins = np.concatenate([[True], fields[1:] != fields[:-1]])[: len(fields)]
    run = np.cumsum(begins) - 1
    parsed = [_residue(field.decode("latin-1").ljust(10)) for field in fields[begins].tolist()]
    columns = []
    for part in range(3):
        column = factorise([row[part] for row in parsed])
        columns.append(TextColumn(column.codes[run], column.values))
    return columns[0], columns[1], columns[2]


def _residue(field: str) -> tuple[str, str, str]:
    """``"ALA A  12A"`` -> ALA, A, 12A.

    Column 21 is blank by the format. Programs use it for a fourth letter of the residue name or for
    the first of a two-letter chain id; it is the latter if three letters name a standard residue.
    """
    component, chain = field[:3], field[4]
    if field[3] != " " and field[4] != " " and component in STANDARD:
        chain = field[3:5]
    elif field[3] != " ":
        component = field[:4]
    return component.strip(), chain.strip(), _number(field[5:9], field[9])


def _number(field: str, insertion: str) -> str:
    """Residue number with insertion code.

    Raises:
        ValueError: If the field is no number, hybrid-36 included.
    """
    if insertion.isdigit():
        field, insertion = field + insertion, ""
    digits = field.strip()
    if digits.lstrip("-").isdigit():
        return f"{int(digits)}{insertion.strip()}"
    if len(digits) == 4 and digits.isalnum() and digits[0].isalpha() and digits.isascii():
        block = 0 if digits[0].isupper() else 26 * 36**3
        return f"{int(digits, 36) - _HYBRID_FIRST + 10000 + block}{insertion.strip()}"
    raise ValueError(f"{field!r} is not a residue number")


def _ended_chains(lines: Lines, atom_rows: np.ndarray, ter_rows: np.ndarray) -> tuple[str, ...]:
    """For each TER the chain id of the last atom before it."""
    before = np.searchsorted(atom_rows, ter_rows)
    last = atom_rows[np.maximum(before - 1, 0)]
    fields = [field.decode("latin-1").ljust(5) + "   0 " for field in lines.fields(last, 17, 22)]
    return tuple(_residue(field)[1] for field in fields)
