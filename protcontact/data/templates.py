"""Which training chains resemble a chain, and residue by residue, where?

``templates.parquet`` lies beside the shards: one row per chain of the data set, in the order of the
store, with the training chains that a sensitive search finds and their alignments, as O(L) numbers.
A chain of the train split never sees its own cluster nor a chain above the homology threshold, so
that its templates are as remote as those of a held-out chain.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from protcontact.atomic import replacing
from protcontact.data import splitfile
from protcontact.data.alignment import Alignment, pairs_of, runs_of
from protcontact.data.homology import MMseqs, Threshold
from protcontact.data.lock import exclusive
from protcontact.data.progress import Advance, progress
from protcontact.data.splits import TEMPLATES, read_facts, refuse_stale, split_fingerprint
from protcontact.data.store import ROWS_PER_GROUP, ChainStore
from protcontact.errors import InputError

FORMAT = 1
KEY = b"protcontact"  # of the facts among the file's metadata
NOTED_EVERY = 100  # queries between two steps of the progress bar

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


@dataclass(frozen=True)
class TemplateOptions:
    """What to look for.

    Attributes:
        evalue: Hits with a larger expectation value are left out.
        per_chain: Most templates of a chain.

    Raises:
        InputError: If a number is out of its range.
    """

    evalue: float = 10.0
    per_chain: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.evalue < float("inf"):
            raise InputError(f"--evalue must be a number above 0, not {self.evalue}")
        if self.per_chain < 1:
            raise InputError(f"--per-chain must be at least 1, not {self.per_chain}")


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


def write_templates(folder: Path, options: TemplateOptions, mmseqs: MMseqs) -> str:
    """Find the templates of all chains and write ``templates.parquet``, atomically.

    Args:
        folder: A prepared and split data set.
        options: What to look for.
        mmseqs: The search program.

    Returns:
        How many were found. An `InputError` tells that there is nothing to search, or that split
        and chains do not belong together.
    """
    store = ChainStore(folder)
    refuse_stale(store)
    with exclusive(folder, "make it writable: the templates are written beside the chains"):
        facts = read_facts(folder)
        search = _Search(store, facts.threshold if facts else Threshold(), options)
        with progress("templates", len(search.queries)) as advance:
            found = search.run(mmseqs, advance)
        about = {"format": FORMAT, "data": split_fingerprint(store), "mmseqs": mmseqs.version}
        about |= {"evalue": options.evalue, "per_chain": options.per_chain}
        _write(store.path / TEMPLATES, len(store), found, about)
    return search.summary(found)


class _Search:
    """All distinct sequences against the distinct sequences of the train split.

    Args:
        store: The chains.
        threshold: From where on two chains are homologous.
        options: What to look for.

    Raises:
        InputError: If the train split is empty or splits.tsv lacks a chain.
    """

    def __init__(self, store: ChainStore, threshold: Threshold, options: TemplateOptions) -> None:
        self.threshold, self.options = threshold, options
        given = {line.id: line for line in splitfile.read_assignments(store.path)}
        self.askers: dict[str, list[int]] = {}  # sequence -> rows of the store
        self.trained: dict[str, int] = {}  # sequence -> the first row that has it
        self.clusters: dict[str, set[str]] = {}  # of the training chains with a sequence
        self.lines: list[splitfile.Assignment] = []
        for row, (name, text) in enumerate(zip(store.ids, store.column("sequence"), strict=True)):
            if name not in given:
                raise InputError(
                    f"chain {name!r} of {store.path} is in no split; the data set has changed "
                    f"since it was divided: run `protcontact split {store.path}` again"
                )
            line = given[name]
            self.lines.append(line)
            if line.split == "excluded":
                continue
            self.askers.setdefault(text, []).append(row)
            if line.split == "train":
                self.trained.setdefault(text, row)
                self.clusters.setdefault(text, set()).add(line.cluster)
        if not self.trained:
            raise InputError(
                f"the train split of {store.path} has no chains, so there is nothing to copy from"
            )
        # by length: what one call of the program aligns takes about as long as the next one
        self.queries = sorted(self.askers, key=lambda text: (len(text), text))
        self.targets = sorted(self.trained)

    def run(self, mmseqs: MMseqs, advance: Advance) -> dict[int, list[Alignment]]:
        """Row -> its templates; their `target` is a row of the store."""
        found: dict[int, list[Alignment]] = {}
        hits_of = mmseqs.align(self.queries, self.targets, self.options.evalue)
        for number, (text, hits) in enumerate(zip(self.queries, hits_of, strict=True), start=1):
            for row in self.askers[text]:
                found[row] = [*self._kept(row, text, hits)][: self.options.per_chain]
            if number % NOTED_EVERY == 0 or number == len(self.queries):
                advance((number - 1) % NOTED_EVERY + 1, "")
        return found

    def _kept(self, row: int, text: str, hits: Sequence[Alignment]) -> Iterator[Alignment]:
        """Leave out homologues of a training chain.

        Yields:
            The others; their `target` is a row of the store.
        """
        line = self.lines[row]
        for hit in hits:
            other = self.targets[hit.target]
            near = other == text or line.cluster in self.clusters[other]
            if line.split == "train" and (near or self.threshold.reached(hit)):
                continue
            yield hit._replace(target=self.trained[other])

    def summary(self, found: Mapping[int, Sequence[Alignment]]) -> str:
        """Say for each split how many chains have a template that is so near."""
        lines = [f"{'split':<9}{'chains':>8}" + "".join(f"{f'E < {e:g}':>11}" for e in EVALUES)]
        for split in splitfile.SPLITS[:3]:
            nearest = [
                min((hit.evalue for hit in found[row]), default=float("inf"))
                for row, line in enumerate(self.lines)
                if line.split == split
            ]
            counts = "".join(f"{sum(one < limit for one in nearest):>11,}" for limit in EVALUES)
            lines.append(f"{split:<9}{len(nearest):>8,}{counts}")
        return "\n".join(lines)


EVALUES = (1e-3, 0.1, 1.0)  # by which chains are counted


def _write(
    path: Path, chains: int, found: Mapping[int, Sequence[Alignment]], about: dict[str, Any]
) -> None:
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
