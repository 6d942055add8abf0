"""Which training chains resemble a chain, and residue by residue, where?

``templates.parquet`` lies beside the shards: one row per chain of the data set, in the order of the
store, with the training chains that `template_search` found and their alignments, as O(L) numbers.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from protcontact.atomic import replacing
from protcontact.batch import AlignedTemplates
from protcontact.data.alignment import Alignment, pairs_of, runs_of
from protcontact.data.splits import TEMPLATES, split_fingerprint
from protcontact.data.store import ROWS_PER_GROUP, ChainStore
from protcontact.errors import InputError

FORMAT = 1
KEY = b"protcontact"  # of the facts among the file's metadata

_SCHEMA = pa.schema(
    [
        pa.field(name, pa.list_(pa.field("item", kind, nullable=False)), nullable=False)
        for name, kind in {
            "targets": pa.int32(),  # rows of the store
            "evalues": pa.float64(),
            "identities": pa.float32(),
            "coverages": pa.float32(),
            "counts": pa.int32(),  # runs of each template
            "runs": pa.int32(),  # flat, three numbers each
        }.items()
    ]
)


class Template(NamedTuple):
    """A training chain that resembles a chain.

    Attributes:
        row: Of the training chain in the store.
        evalue: Training chains as near as this one that chance would find.
        identity: Identical residues / aligned columns.
        coverage: Aligned part of the chain that is covered more.
        query_index: ``(n,)`` int64, aligned places in the chain, rising.
        target_index: ``(n,)`` int64, the places in the training chain.
    """

    row: int
    evalue: float
    identity: float
    coverage: float
    query_index: np.ndarray
    target_index: np.ndarray


class Templates:
    """Reads ``templates.parquet``.

    Picklable and safe to use after a fork, as `ChainStore` is.

    Args:
        store: The data set that it belongs to, with ``splits.tsv``.

    Attributes:
        path: The file.
        facts: How it was made.

    Raises:
        InputError: If the file is absent, damaged, or belongs to other chains or another split.
    """

    def __init__(self, store: ChainStore) -> None:
        self.path = store.path / TEMPLATES
        self._again = f"write it again with `protcontact templates {store.path}`, or remove it"
        self._file: pq.ParquetFile | None = None
        self._process = os.getpid()
        if not self.path.is_file():
            raise InputError(
                f"{self.path} does not exist; make it with `protcontact templates {store.path}`"
            )
        self.facts, rows = self._read_facts()
        if self.facts.get("format") != FORMAT:
            raise InputError(
                f"{self.path} has format {self.facts.get('format')!r}, this protcontact reads "
                f"format {FORMAT}; {self._again}"
            )
        if self.facts.get("data") != split_fingerprint(store) or rows != len(store):
            raise InputError(
                f"{self.path} was made for other chains or another split; {self._again}"
            )
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> list[Template]:
        """Return the templates of a chain, the nearest first; a damaged file is an `InputError`.

        Raises:
            IndexError: If there is no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of the templates of {len(self)} chains")
        group, place = divmod(row, ROWS_PER_GROUP)
        try:
            table = self._opened().read_row_group(group, use_threads=False)
            values = {
                name: table[name][place].values.to_numpy(zero_copy_only=False).copy()
                for name in _SCHEMA.names
            }
            return [*_unpacked(values)]
        except (OSError, ValueError, IndexError, KeyError, pa.ArrowException) as error:
            raise self._damaged(error) from error

    def _read_facts(self) -> tuple[dict[str, Any], int]:
        try:
            about = self._opened()
            facts = json.loads(about.schema_arrow.metadata[KEY])
            return dict(facts), about.metadata.num_rows
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return InputError(f"{self.path} is damaged ({reason}); {self._again}")

    def _opened(self) -> pq.ParquetFile:
        if self._process != os.getpid():  # a fork: the parent's open file is not ours
            self._file, self._process = None, os.getpid()
        if self._file is None:
            self._file = pq.ParquetFile(self.path, memory_map=True, page_checksum_verification=True)
        return self._file

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_file": None}


def open_templates(store: ChainStore) -> Templates | None:
    """Open the templates of a data set; None if it has none. Refuses what `Templates` refuses."""
    return Templates(store) if (store.path / TEMPLATES).exists() else None


Aligned = tuple[float, np.ndarray]  # E-value; (L, 3) float32, NaN where nothing is aligned


def aligned_template(template: Template, store: ChainStore, length: int) -> Aligned:
    """Coordinates of a template at the residues of a chain of `length` residues."""
    _, known = store.arrays(template.row)
    places = np.full((length, 3), np.nan, dtype=np.float32)
    places[template.query_index] = known[template.target_index]
    return template.evalue, places


def padded_templates(
    found: Sequence[Sequence[Aligned]], length: int, count: int
) -> AlignedTemplates:
    """Put the templates of several chains into one shape.

    Args:
        found: Of each chain, the nearest first.
        length: L, residues to pad to.
        count: T, how many of a chain are shown.
    """
    places = torch.full((len(found), count, length, 3), float("nan"))
    evalues = torch.full((len(found), count), float("inf"))
    for row, own in enumerate(found):
        for place, (evalue, coordinates) in enumerate(own[:count]):
            places[row, place, : len(coordinates)] = torch.from_numpy(coordinates)
            evalues[row, place] = evalue
    return AlignedTemplates(places, evalues)


def write_file(
    path: Path, chains: int, found: Mapping[int, Sequence[Alignment]], facts: Mapping[str, Any]
) -> None:
    """Write ``templates.parquet``, atomically.

    Args:
        path: The file.
        chains: Of the data set.
        found: Row of a chain -> its templates, whose `target` is a row; none for other chains.
        facts: How they were found; ``data`` is the identity of chains and split.
    """
    about = {"format": FORMAT, **facts}
    schema = _SCHEMA.with_metadata({KEY: json.dumps(about, sort_keys=True).encode()})
    rows = [_packed(found.get(row, ())) for row in range(chains)]
    with replacing(path) as temporary:
        pq.write_table(
            pa.Table.from_pylist(rows, schema=schema),
            temporary,
            row_group_size=ROWS_PER_GROUP,
            compression="zstd",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        )


def _packed(hits: Sequence[Alignment]) -> dict[str, object]:
    runs = [runs_of(hit.query_index, hit.target_index) for hit in hits]
    return {
        "targets": [hit.target for hit in hits],
        "evalues": [hit.evalue for hit in hits],
        "identities": [hit.identity for hit in hits],
        "coverages": [hit.coverage for hit in hits],
        "counts": [len(one) for one in runs],
        "runs": np.concatenate(runs).ravel() if runs else [],
    }


def _unpacked(values: Mapping[str, np.ndarray]) -> Iterator[Template]:
    ends = np.cumsum(values["counts"], dtype=np.int64)
    runs = values["runs"].reshape(-1, 3)
    if len(ends) and ends[-1] != len(runs):
        raise ValueError(f"{len(runs)} runs instead of {ends[-1]}")
    columns = (values[name].tolist() for name in ("targets", "evalues", "identities", "coverages"))
    starts = ends - values["counts"]
    for row, evalue, identity, coverage, start, end in zip(*columns, starts, ends, strict=True):
        yield Template(row, evalue, identity, coverage, *pairs_of(runs[start:end]))
