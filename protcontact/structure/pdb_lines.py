"""The atom lines of a PDB file as arrays, by fixed columns.

The first model counts: reading stops at its ENDMDL, at a second MODEL, or at END. Residue numbers
beyond 9999 are understood as hybrid-36 (A000 is 10000) and as five digits that run into the column
of the insertion code; serial numbers beyond 99999 may push the rest of their line one column on.
Where a field is no number, an occupancy counts as 1; an atom with such coordinates, or whose line
ends before them (a file cut short), is left out. What is left out is counted.

References: Atomic Coordinate Entry Format 3.30, wwPDB 2008; R. Grosse-Kunstleve, hybrid-36, cctbx.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from protcontact.structure.cif_columns import TextColumn, factorise
from protcontact.structure.components import FORCE_FIELD, STANDARD
from protcontact.structure.observed import ATOM_NAMES, is_position, unreadable

_WIDTH = 80
_COORDINATES_END = 54
_SERIAL_END = 11
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
        segment: ``(A,)`` int, equal for equal segment ids (columns 73-76).
        occupancy: ``(A,)`` float32.
        xyz: ``(A, 3)`` float32, Angstrom, finite.
        models: Number of models in the file.
        skipped: What was left out, one sentence each.
    """

    name: np.ndarray
    alternative: np.ndarray
    component: TextColumn
    chain: TextColumn
    number: TextColumn
    hetero: np.ndarray
    part: np.ndarray
    ended: tuple[str, ...]
    segment: np.ndarray
    occupancy: np.ndarray
    xyz: np.ndarray
    models: int
    skipped: tuple[str, ...]


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

    def column(self, rows: np.ndarray, at: int) -> np.ndarray:
        """One column, as numbers, of lines that are long enough to have it."""
        return self._bytes[self.starts[rows] + at]

    def move(self, rows: np.ndarray) -> None:
        """Take the columns of some lines one further on from now."""
        self.starts[rows] += 1
        self.lengths[rows] -= 1


def read_atoms(content: bytes) -> PdbAtoms:
    """Read the atoms of the first model that decide contacts.

    Raises:
        ValueError: If there is no atom.
    """
    lines = Lines(content)
    record = lines.fields(np.arange(len(lines.starts)), 0, 6)
    models = int((record == b"MODEL ").sum())
    is_atom = (record == b"ATOM  ") | (record == b"HETATM")
    end = _model_end(record, is_atom)
    behind = int(is_atom[end:].sum()) if models < 2 else 0
    record, is_atom = record[:end], is_atom[:end]
    atom_rows = np.flatnonzero(is_atom & (lines.lengths[:end] >= _COORDINATES_END))
    short = int(is_atom.sum()) - len(atom_rows)
    if len(atom_rows) == 0:
        raise ValueError("it has no ATOM records with coordinates")
    ter_rows = np.flatnonzero(record == b"TER   ")
    _straighten(lines, atom_rows)
    name, rows = _select_names(lines, atom_rows)
    xyz = _coordinates(lines, rows)
    known = is_position(xyz)
    name, rows, xyz = name[known], rows[known], xyz[known]
    component, chain, number, two_letter = _residue_columns(lines.fields(rows, 17, 27))
    location = lines.fields(rows, 16, 17).view(np.uint8)
    return PdbAtoms(
        name=name,
        alternative=np.where(location == ord(" "), 0, location).astype(np.int64),
        component=component,
        chain=chain,
        number=number,
        hetero=record[rows] == b"HETATM",
        part=np.searchsorted(ter_rows, rows),
        ended=_ended_chains(lines, atom_rows, ter_rows, two_letter),
        segment=lines.fields(rows, 72, 76).view(np.uint32),
        occupancy=np.nan_to_num(_floats(lines.fields(rows, 54, 60)), nan=1.0).astype(np.float32),
        xyz=xyz.astype(np.float32),
        models=max(models, 1),
        skipped=(
            *unreadable(short + int((~known).sum())),
            *((f"{behind} atom lines behind the end of the first model",) if behind else ()),
        ),
    )


def _model_end(record: np.ndarray, is_atom: np.ndarray) -> int:
    """Number of lines up to the end of the first model."""
    first = int(is_atom.argmax())
    after = record[first:]
    ends = np.flatnonzero((after == b"ENDMDL") | (after == b"MODEL ") | (after == b"END   "))
    return first + int(ends[0]) if len(ends) else len(record)


def _straighten(lines: Lines, atom_rows: np.ndarray) -> None:
    """Move the lines that a serial number of six digits has pushed one column on.

    Other programs write six digits without pushing, so the line must be unreadable as it stands.
    """
    sixth = lines.column(atom_rows, _SERIAL_END)
    rows = atom_rows[(sixth >= ord("0")) & (sixth <= ord("9"))]
    if len(rows):
        rows = rows[lines.lengths[rows] > _COORDINATES_END]
        lines.move(rows[~is_position(_coordinates(lines, rows))])


def _coordinates(lines: Lines, rows: np.ndarray) -> np.ndarray:
    """``(A, 3)`` float64, NaN where the columns hold no number."""
    return np.stack([_floats(lines.fields(rows, at, at + 8)) for at in (30, 38, 46)], axis=1)


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


class _ResidueColumns(NamedTuple):
    """Residue name, chain id, number, and the chain ids that have two letters."""

    component: TextColumn
    chain: TextColumn
    number: TextColumn
    two_letter: frozenset[str]


def _residue_columns(fields: np.ndarray) -> _ResidueColumns:
    """Columns 18-27, parsed once per run of equal fields."""
    begins = np.concatenate([[True], fields[1:] != fields[:-1]])[: len(fields)]
    run = np.cumsum(begins) - 1
    texts = [field.decode("latin-1").ljust(10) for field in fields[begins].tolist()]
    two_letter = _two_letter_chains(texts)
    parsed = [_residue(text, two_letter) for text in texts]
    columns = []
    for part in range(3):
        column = factorise([row[part] for row in parsed])
        columns.append(TextColumn(column.codes[run], column.values))
    return _ResidueColumns(columns[0], columns[1], columns[2], two_letter)


def _two_letter_chains(texts: list[str]) -> frozenset[str]:
    """Chain ids of columns 21-22.

    Column 21 is blank by the format. Programs use it for a fourth letter of the residue name or for
    the first of a two-letter chain id. It is the latter if somewhere in the file the two letters
    stand behind a standard residue whose name, with the letter of column 21, is none of a force
    field: HISD A is not chain DA, except where ALADA is found too.
    """
    words = {text[:5] for text in texts if text[3] != " " and text[4] != " "}
    return frozenset(w[3:5] for w in words if w[:3] in STANDARD and w[:4] not in FORCE_FIELD)


def _residue(field: str, two_letter: frozenset[str]) -> tuple[str, str, str]:
    """``"ALA A  12A"`` -> ALA, A, 12A; see `_two_letter_chains`."""
    component, chain = field[:3], field[4]
    if field[3:5] in two_letter and component in STANDARD:
        chain = field[3:5]
    elif field[3] != " ":
        component = field[:4]
    return component.strip().upper(), chain.strip(), _number(field[5:9], field[9])


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


def _ended_chains(
    lines: Lines, atom_rows: np.ndarray, ter_rows: np.ndarray, two_letter: frozenset[str]
) -> tuple[str, ...]:
    """For each TER the chain id of the last atom before it."""
    before = np.searchsorted(atom_rows, ter_rows)
    last = atom_rows[np.maximum(before - 1, 0)]
    fields = [field.decode("latin-1").ljust(5) + "   0 " for field in lines.fields(last, 17, 22)]
    return tuple(_residue(field, two_letter)[1] for field in fields)
