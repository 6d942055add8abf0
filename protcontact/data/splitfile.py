"""Which chain belongs to which split? ``splits.tsv``, in and out.

Tab-separated, one line per chain under the header ``id split cluster length``. ``excluded`` chains
are homologues of an outside benchmark and belong to no split.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from protcontact.atomic import write_text
from protcontact.errors import InputError

NAME = "splits.tsv"
SPLITS = ("train", "val", "test", "excluded")


class Assignment(NamedTuple):
    """One line: the chain, its split, the id that names its cluster, its length in residues."""

    id: str
    split: str
    cluster: str
    length: int


def write_assignments(path: Path, rows: Sequence[Assignment]) -> None:
    """Write ``splits.tsv`` atomically."""
    lines = ["\t".join(Assignment._fields), *("\t".join(map(str, row)) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def read_assignments(path: str | Path) -> list[Assignment]:
    """Read ``splits.tsv``.

    Args:
        path: The file, or the data set that it lies in.

    Returns:
        One entry per chain, in the order of the file.

    Raises:
        InputError: If the file is absent, no text, or not what ``protcontact split`` writes.
    """
    file = Path(path)
    if file.is_dir():
        file = file / NAME
    if not file.is_file():
        raise InputError(f"{file} does not exist; make it with `protcontact split {file.parent}`")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8 or "
            f"write it again with `protcontact split {file.parent}`"
        ) from error
    if not lines or lines[0].split("\t") != list(Assignment._fields):
        raise InputError(
            f"{file} must start with the columns {' '.join(Assignment._fields)} (tab-separated); "
            f"write it again with `protcontact split {file.parent}`"
        )
    rows: dict[str, Assignment] = {}
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split("\t")
        if len(cells) != 4 or cells[1] not in SPLITS or not cells[3].isdigit():
            raise InputError(
                f"{file} line {number}: expected id, one of {', '.join(SPLITS)}, cluster and "
                f"length, tab-separated, not {line!r}"
            )
        if cells[0] in rows:
            raise InputError(f"{file} line {number}: chain {cells[0]!r} stands there twice")
        rows[cells[0]] = Assignment(cells[0], cells[1], cells[2], int(cells[3]))
    return list(rows.values())


def read_splits(path: str | Path) -> dict[str, str]:
    """Read ``splits.tsv`` (or that of a data set) as ``{chain id: split}``."""
    return {row.id: row.split for row in read_assignments(path)}
