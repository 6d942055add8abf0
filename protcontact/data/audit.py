"""Does any validation or test chain have a homologue in training?

Each is searched against the training chains. The nearest one is, among those aligned over enough
of the chain, that with the highest identity; if none is, that with the most identical residues in
proportion (identity x coverage).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protcontact.atomic import write_text
from protcontact.data.homology import Hit, MMseqs, Threshold
from protcontact.data.splitfile import read_splits
from protcontact.data.splits import (
    AUDIT,
    AUDIT_STRICTNESS,
    largest_evalue,
    refuse_stale,
    unique_sequences,
)
from protcontact.data.store import ChainStore
from protcontact.errors import InputError

HELD_OUT = ("val", "test")
_BINS = (0.0, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True)
class Nearest:
    """One line of ``audit.tsv``.

    Attributes:
        id: A validation or test chain.
        split: Which of them.
        nearest: The training chain; "" if none resembles it.
        identity: Identical residues / aligned columns.
        coverage: Aligned part of the chain that is covered more.
    """

    id: str
    split: str
    nearest: str = ""
    identity: float = 0.0
    coverage: float = 0.0

    def line(self) -> str:
        """Tab-separated."""
        if not self.nearest:
            return f"{self.id}\t{self.split}\t\t\t"
        return f"{self.id}\t{self.split}\t{self.nearest}\t{self.identity:.3f}\t{self.coverage:.3f}"


@dataclass(frozen=True)
class AuditReport:
    """What the audit found.

    Attributes:
        rows: One per validation and test chain, in the order of the data set.
        leaks: Those that reach the threshold.
        threshold: The threshold.
    """

    rows: tuple[Nearest, ...]
    leaks: tuple[Nearest, ...]
    threshold: Threshold

    def __str__(self) -> str:
        lines = []
        for name in HELD_OUT:
            rows = [row for row in self.rows if row.split == name]
            if rows:
                lines += self._histogram(name, rows)
        worst = sorted(self.leaks, key=lambda row: -row.identity)[:5]
        lines += [f"leak: {row.line()}" for row in worst]
        verdict = (
            f"{len(self.leaks)} of {len(self.rows)} chains have a homologue in training (identity "
            f">= {self.threshold.identity:g}, coverage >= {self.threshold.coverage:g})"
        )
        return "\n".join([*lines, verdict])

    def _histogram(self, name: str, rows: list[Nearest]) -> list[str]:
        covered = [row for row in rows if row.coverage >= self.threshold.coverage]
        lines = [f"{name}: {len(rows)} chains, identity of the nearest training chain"]
        counts = {"none": len(rows) - len(covered)}
        for low, high in zip(_BINS, _BINS[1:], strict=False):
            top = high if high < 1 else 1.01  # the last bin includes 1
            counts[f"{low:.2f}-{high:.2f}"] = sum(low <= row.identity < top for row in covered)
        widest = max(counts.values())
        for label, count in counts.items():
            lines.append(f"  {label:>9} {count:>7} {'#' * round(40 * count / widest)}".rstrip())
        return lines


def audit(folder: Path, threshold: Threshold, mmseqs: MMseqs) -> AuditReport:
    """Search validation and test against training; write ``audit.tsv``.

    Args:
        folder: A data set with ``splits.tsv``.
        threshold: From where on two chains are homologous.
        mmseqs: The search program.

    Returns:
        What was found.

    An `InputError` tells that data set and splits do not belong together, or that there is nothing
    to compare.
    """
    store = ChainStore(folder)
    splits = read_splits(folder)
    refuse_stale(store)
    _check_same_chains(store, splits)
    rows = _search(store, splits, threshold, mmseqs)
    leaks = tuple(
        row
        for row in rows
        if row.identity >= threshold.identity and row.coverage >= threshold.coverage
    )
    header = "id\tsplit\tnearest\tidentity\tcoverage"
    write_text(folder / AUDIT, "\n".join([header, *(row.line() for row in rows)]) + "\n")
    return AuditReport(tuple(rows), leaks, threshold)


def _search(
    store: ChainStore, splits: dict[str, str], threshold: Threshold, mmseqs: MMseqs
) -> list[Nearest]:
    """Find the nearest training chain of each held-out one.

    Raises:
        InputError: If there are none of either.
    """
    distinct, place = unique_sequences(store)
    trained: dict[int, str] = {}
    held: list[tuple[str, int]] = []
    for chain, number in zip(store.ids, place, strict=True):
        if splits[chain] == "train":
            trained.setdefault(number, chain)
        elif splits[chain] in HELD_OUT:
            held.append((chain, number))
    if not trained or not held:
        raise InputError(
            f"{store.path} has {len(trained)} training and {len(held)} validation or test chains; "
            "both are needed; make splits with `protcontact split`"
        )
    asked, targets = sorted({number for _, number in held}), sorted(trained)
    hits = mmseqs.search(
        [distinct[number] for number in asked],
        [distinct[number] for number in targets],
        largest_evalue(store) / AUDIT_STRICTNESS,
    )
    best = {asked[query]: hit for query, hit in _nearest(hits, threshold).items()}
    rows = []
    for chain, number in held:
        row = Nearest(chain, splits[chain])
        if number in best:
            hit = best[number]
            nearest = trained[targets[hit.target]]
            row = Nearest(chain, splits[chain], nearest, hit.identity, hit.coverage)
        rows.append(row)
    return rows


def _nearest(hits: Sequence[Hit], threshold: Threshold) -> dict[int, Hit]:
    """Return the nearest hit of each query."""

    def nearness(hit: Hit) -> tuple[bool, float, int, int]:
        covers = hit.coverage >= threshold.coverage
        score = hit.identity if covers else hit.identity * hit.coverage
        return covers, score, hit.columns, -hit.target

    best: dict[int, Hit] = {}
    for hit in hits:
        if hit.query not in best or nearness(hit) > nearness(best[hit.query]):
            best[hit.query] = hit
    return best


def _check_same_chains(store: ChainStore, splits: dict[str, str]) -> None:
    """Check that splits.tsv names every chain, and no other.

    Raises:
        InputError: If it does not.
    """
    missing = [chain for chain in store.ids if chain not in splits]
    unknown = set(splits) - set(store.ids)
    if missing or unknown:
        example = (missing or sorted(unknown))[0]
        raise InputError(
            f"splits.tsv of {store.path} lacks {len(missing)} chains and names {len(unknown)} that "
            f"are not in the data set (for example {example!r}); split again"
        )
