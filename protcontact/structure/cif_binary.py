"""Columns of a BinaryCIF file, each decoded when it is asked for.

A text column is stored as its distinct strings and an index per row, which is the form in which it
is handed out: the words are never written out row by row.

Reference: Sehnal et al. 2020, PLoS Comput. Biol. 16, e1008247 (BinaryCIF).
"""

from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from biotite.structure.io.pdbx import BinaryCIFData

from protcontact.structure.cif_columns import (
    NULLS,
    Block,
    Category,
    TextColumn,
    number_text,
    to_float,
    to_integers,
)

_Raw = dict[bytes, Any]
_TEXT_KEYS = ("kind", "stringData")
_NESTED_KEYS = ("dataEncoding", "offsetEncoding")


@dataclass(frozen=True, eq=False)
class _Encoded:
    """One array of a BinaryCIF file: its bytes and how to decode them."""

    data: bytes
    steps: list[dict[str, Any]]

    @property
    def is_text(self) -> bool:
        return bool(self.steps) and self.steps[0]["kind"] == "StringArray"

    def decode(self) -> np.ndarray:
        return BinaryCIFData.deserialize({"data": self.data, "encoding": self.steps}).array

    def codes(self) -> "_Encoded":
        """The indices of a StringArray into its distinct strings."""
        return _Encoded(self.data, self.steps[0]["dataEncoding"])

    def strings(self) -> list[str]:
        """The distinct strings of a StringArray."""
        step = self.steps[0]
        offsets = _Encoded(step["offsets"], step["offsetEncoding"]).decode().tolist()
        text = step["stringData"]
        return [text[start:stop] for start, stop in zip(offsets, offsets[1:], strict=False)]


def _describe(content: _Raw) -> _Encoded:
    return _Encoded(content[b"data"], [_decode_step(step) for step in content[b"encoding"]])


def _decode_step(step: _Raw) -> dict[str, Any]:
    """Encoding step with its texts as strings: the file is unpacked without decoding any text."""
    decoded: dict[str, Any] = {}
    for raw_key, value in step.items():
        key = raw_key.decode()
        if key in _TEXT_KEYS:
            decoded[key] = value.decode()
        elif key in _NESTED_KEYS:
            decoded[key] = [_decode_step(nested) for nested in value]
        else:
            decoded[key] = value
    return decoded


def _mask_text(column: TextColumn, absent: np.ndarray | None) -> TextColumn:
    """Append the empty string, for absent values and for index -1 (by the specification).

    Raises:
        ValueError: If an index lies outside the distinct strings.
    """
    codes = column.codes.astype(np.int64)
    if len(codes) and (codes.min() < -1 or codes.max() >= len(column.values)):
        raise ValueError("a string column points outside its table of strings")
    codes[codes == -1] = len(column.values)
    if absent is not None:
        codes[absent] = len(column.values)
    values = ["" if value in NULLS else value for value in column.values]
    return TextColumn(codes, [*values, ""])


class _BinaryCategory(Category):
    def __init__(self, content: _Raw) -> None:
        self._rows = int(content[b"rowCount"])
        self._columns = {column[b"name"].decode(): column for column in content[b"columns"]}
        self._described: dict[str, tuple[_Encoded, _Encoded | None]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def _column(self, name: str) -> tuple[_Encoded, _Encoded | None]:
        """Data and mask of a column, undecoded."""
        if name not in self._described:
            column = self._columns[name]
            mask = column.get(b"mask")
            self._described[name] = (_describe(column[b"data"]), mask and _describe(mask))
        return self._described[name]

    def _decode(self, encoded: _Encoded) -> np.ndarray:
        for step in encoded.steps:  # run lengths come in pairs: at most two values per row
            if step.get("srcSize", 0) > 2 * self._rows:
                raise ValueError(f"a column of {self._rows} rows claims {step['srcSize']} values")
        array = encoded.decode()
        if len(array) != self._rows:
            raise ValueError(f"a column has {len(array)} values for {self._rows} rows")
        return array

    def _absent(self, name: str, rows: np.ndarray | slice) -> np.ndarray | None:
        """Where the value is ``.`` or ``?``; None if nowhere."""
        mask = self._column(name)[1]
        return None if mask is None else self._decode(mask)[rows] != 0

    def text(self, name: str, rows: np.ndarray | None = None) -> TextColumn:
        wanted = slice(None) if rows is None else rows
        data = self._column(name)[0]
        if data.is_text:
            codes, values = self._decode(data.codes())[wanted], data.strings()
        else:
            distinct, codes = np.unique(self._decode(data)[wanted], return_inverse=True)
            values = [number_text(value) for value in distinct.tolist()]
        return _mask_text(TextColumn(codes, values), self._absent(name, wanted))

    def floats(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        wanted = slice(None) if rows is None else rows
        data = self._column(name)[0]
        if data.is_text:
            codes, values = self.text(name, rows)
            return np.array([to_float(value) for value in values])[codes]
        decoded = self._decode(data)[wanted].astype(np.float64)
        absent = self._absent(name, wanted)
        if absent is not None:
            decoded[absent] = np.nan
        return decoded

    def integers(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        return to_integers(self.floats(name, rows))


class _BinaryBlock(Block):
    def __init__(self, content: _Raw) -> None:
        self._categories = {
            category[b"name"].decode().lstrip("_"): category for category in content[b"categories"]
        }

    def category(self, name: str) -> Category | None:
        content = self._categories.get(name)
        return _BinaryCategory(content) if content and content[b"rowCount"] else None


def open_binary(content: bytes) -> list[Block]:
    """Data blocks of a BinaryCIF file.

    Raises:
        ValueError: If the content is MessagePack but not BinaryCIF.
    """
    document = msgpack.unpackb(content, raw=True)
    if not isinstance(document, dict) or not isinstance(document.get(b"dataBlocks"), list):
        raise ValueError("it has no dataBlocks")
    return [_BinaryBlock(block) for block in document[b"dataBlocks"]]
