"""Columns of an mmCIF text.

Keywords and the names of categories and items may be in any case.

Reference: Hall, Allen & Brown 1991, Acta Cryst. A47, 655 (CIF).
"""

import re
from abc import abstractmethod
from io import StringIO

import numpy as np
from biotite.structure.io.pdbx import CIFBlock, CIFCategory, CIFFile

from protcontact.structure.cif_columns import (
    Block,
    Category,
    TextColumn,
    factorise,
    to_float,
    to_integers,
)
from protcontact.structure.cif_loop import Loop, cut_loop

_KEYWORD = re.compile(rb"^(?:data_|loop_|save_|stop_|global_)", re.MULTILINE | re.IGNORECASE)


class _StringCategory(Category):
    """A table whose columns are lists of strings."""

    @abstractmethod
    def _column(self, name: str) -> list[str]: ...

    def _select(self, name: str, rows: np.ndarray | None) -> list[str]:
        column = self._column(name)
        return column if rows is None else [column[row] for row in rows.tolist()]

    def text(self, name: str, rows: np.ndarray | None = None) -> TextColumn:
        return factorise(self._select(name, rows))

    def floats(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        column = self._select(name, rows)
        try:
            return np.fromiter(map(float, column), dtype=np.float64, count=len(column))
        except ValueError:
            return np.array([to_float(value) for value in column], dtype=np.float64)

    def integers(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        codes, values = self.text(name, rows)
        return to_integers(np.array([to_float(value) for value in values]))[codes]


class _TextCategory(_StringCategory):
    def __init__(self, category: CIFCategory) -> None:
        self._category = category
        self._names = {name.lower(): name for name in category}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def _column(self, name: str) -> list[str]:
        column: list[str] = self._category[self._names[name.lower()]].data.array.tolist()
        return column


class _LoopCategory(_StringCategory):
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._names = {name.lower(): name for name in loop.names}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def _column(self, name: str) -> list[str]:
        return self._loop.column(self._names[name.lower()])


class _TextBlock(Block):
    def __init__(self, block: CIFBlock, loop: Loop | None = None) -> None:
        self._block = block
        self._loop = loop
        self._names = {key.lower(): key for key in block}

    def category(self, name: str) -> Category | None:
        if self._loop is not None and name == self._loop.category:
            return _LoopCategory(self._loop)
        key = self._names.get(name.lower())
        return None if key is None else _TextCategory(self._block[key])


def open_text(content: bytes) -> list[Block]:
    """Data blocks of an mmCIF file."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    cut = cut_loop(content, "atom_site")
    rest, loop = (content, None) if cut is None else cut
    if b"\ndata_" not in b"\n" + rest:  # biotite knows lower-case keywords only
        rest = _KEYWORD.sub(lambda keyword: keyword[0].lower(), rest)
    file = CIFFile.read(StringIO(rest.decode("utf-8", errors="replace")))
    return [_TextBlock(file[name], loop) for name in file]
