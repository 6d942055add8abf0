"""Which rows of ``atom_site`` decide contacts, and of which chain and residue are they?"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from protcontact.structure.cif_columns import NO_INTEGER, Category, TextColumn
from protcontact.structure.observed import ATOM_NAMES, is_position


@dataclass(frozen=True, eq=False)
class Site:
    """The A atoms of the first model that decide contacts, of all chains, in file order.

    `rows` are their rows in the table, `asym` their chain (see `AsymColumn`), `place` their
    ``label_seq_id`` (None if the file has none); for the others see `Atoms`. `unreadable` counts
    those that were left out for want of coordinates.
    """

    rows: np.ndarray
    asym: np.ndarray
    place: np.ndarray | None
    name: np.ndarray
    alternative: np.ndarray
    component: TextColumn
    occupancy: np.ndarray
    xyz: np.ndarray
    unreadable: int


class AsymColumn(NamedTuple):
    """The chain of each row: a code for each pair of ``label_asym_id`` and ``auth_asym_id``."""

    codes: np.ndarray
    labels: list[str]
    authors: list[str]

    def names(self, code: int) -> tuple[str, str]:
        """Label and author id of a code, each standing for the other where that is null."""
        label, author = divmod(code, len(self.authors))
        return (
            self.labels[label] or self.authors[author],
            self.authors[author] or self.labels[label],
        )


def read_asyms(table: Category) -> AsymColumn:
    """Read the columns of chain ids; one that is absent is taken to be the other."""
    label = table.text(find_column(table, "label_asym_id", "auth_asym_id"))
    author = table.text(find_column(table, "auth_asym_id", "label_asym_id"))
    codes = label.codes.astype(np.int64) * len(author.values) + author.codes
    return AsymColumn(codes, label.values, author.values)


def author_numbers(table: Category, rows: np.ndarray) -> list[str]:
    """Author number with insertion code of some rows, ``label_seq_id`` where there is none."""
    numbers = table.strings(find_column(table, "auth_seq_id", "label_seq_id"), rows)
    if "label_seq_id" in table and not all(numbers):
        labels = table.strings("label_seq_id", rows)
        numbers = [number or label for number, label in zip(numbers, labels, strict=True)]
    if "pdbx_PDB_ins_code" not in table:
        return numbers
    insertions = table.strings("pdbx_PDB_ins_code", rows)
    return [number and number + code for number, code in zip(numbers, insertions, strict=True)]


def find_column(table: Category, *names: str) -> str:
    """The first of several columns that a table has.

    Raises:
        ValueError: If it has none of them.
    """
    for name in names:
        if name in table:
            return name
    raise ValueError(f"its atom_site has no column {' or '.join(names)}")


def count_models(table: Category) -> int:
    """Number of models in the file."""
    if "pdbx_PDB_model_num" not in table:
        return 1
    return len(np.unique(table.integers("pdbx_PDB_model_num")))


def first_model(table: Category) -> slice | np.ndarray:
    """Rows of the first model, as an index of a column."""
    if "pdbx_PDB_model_num" not in table:
        return slice(None)
    model = table.integers("pdbx_PDB_model_num")
    other = np.flatnonzero(model != model[0])
    if len(other) == 0:
        return slice(None)
    rows = np.flatnonzero(model == model[0])
    return slice(0, int(other[0])) if len(rows) == other[0] else rows


def select_atoms(table: Category, model: slice | np.ndarray, asym: AsymColumn) -> Site:
    """Select the atoms of one model that decide contacts; `asym` is the column of chains."""
    atom = table.text(find_column(table, "label_atom_id", "auth_atom_id"))
    index = np.array([_atom_index(name) for name in atom.values])
    of_row = index[atom.codes]
    wanted = np.zeros(len(of_row), dtype=bool)
    wanted[model] = of_row[model] >= 0
    rows = np.flatnonzero(wanted)
    axes = ("Cartn_x", "Cartn_y", "Cartn_z")
    xyz = np.stack([table.floats(name, rows) for name in axes], axis=1)
    known = is_position(xyz)
    rows, xyz = rows[known], xyz[known]
    place = table.integers("label_seq_id", rows) if "label_seq_id" in table else None
    if place is not None and (place == NO_INTEGER).all():
        place = None
    component = table.text(find_column(table, "label_comp_id", "auth_comp_id"), rows)
    return Site(
        rows=rows,
        asym=asym.codes[rows],
        place=place,
        name=of_row[rows],
        alternative=_alternatives(table, rows),
        component=TextColumn(component.codes, [name.upper() for name in component.values]),
        occupancy=_occupancy(table, rows),
        xyz=xyz.astype(np.float32),
        unreadable=int((~known).sum()),
    )


def _atom_index(name: str) -> int:
    return ATOM_NAMES.index(name) if name in ATOM_NAMES else -1


def _alternatives(table: Category, rows: np.ndarray) -> np.ndarray:
    if "label_alt_id" not in table:
        return np.zeros(len(rows), dtype=np.int64)
    column = table.text("label_alt_id", rows)
    number = np.array([0 if value == "" else code + 1 for code, value in enumerate(column.values)])
    return number[column.codes]


def _occupancy(table: Category, rows: np.ndarray) -> np.ndarray:
    if "occupancy" not in table:
        return np.ones(len(rows), dtype=np.float32)
    return np.nan_to_num(table.floats("occupancy", rows), nan=1.0).astype(np.float32)
