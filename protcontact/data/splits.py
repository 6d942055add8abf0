"""Which chains are for training, which for validation and test, so that the scores are honest?

Chains that are homologous (30 % identity over 80 % of the chain that is covered more) must not be
divided between training and the rest. The homology graph comes from one sensitive search of all
chains against all; its connected components are assigned whole. Then test and validation are
searched against training as `audit` does, and components that this search still connects are
merged, until there are none: a search is heuristic, and its E-values depend on what is searched.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from protcontact.atomic import write_text
from protcontact.data import splitfile
from protcontact.data.clusters import Clusters, assign, components, name_clusters
from protcontact.data.homology import SENSITIVITY, MMseqs, Threshold
from protcontact.data.lock import exclusive
from protcontact.data.manifest import file_sha256
from protcontact.data.splitfile import Assignment
from protcontact.data.store import ChainStore
from protcontact.errors import InputError
from protcontact.structure.fasta import read_fasta

FACTS = "split.json"
AUDIT = "audit.tsv"
TEMPLATES = "templates.parquet"
# E-values grow with the size of the set that is searched. What must not grow is the chance that two
# unrelated chains are taken for homologues (in a small set it would tie all chains together), so
# the limit is 1 for a set of a million residues and proportionally less for a smaller one.
RESIDUES_OF_EVALUE_1 = 1_000_000
# A chance similarity that keeps two unrelated chains together costs little, so the search for
# homologues is ten times more permissive than the one that accuses a split of leaking.
AUDIT_STRICTNESS = 10

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True)
class SplitOptions:
    """How to divide.

    Attributes:
        seed: Another seed, another assignment.
        fractions: Of the chains, ``{"train": ..., "val": ..., "test": ...}``.
        threshold: From where on two chains are homologous.
        exclude: FASTA file of an outside benchmark whose homologues are left out; None for none.

    Raises:
        InputError: If a number is out of its range.
    """

    seed: int = 0
    fractions: Mapping[str, float] = field(default_factory=lambda: dict(FRACTIONS))
    threshold: Threshold = Threshold()
    exclude: Path | None = None

    def __post_init__(self) -> None:
        values = list(self.fractions.values())
        possible = all(value >= 0 for value in values) and abs(sum(values) - 1) <= 1e-6
        if not possible or self.fractions["train"] == 0:
            raise InputError(
                f"--fractions must be three numbers (train, val, test) that add up to 1, with "
                f"some for train, not {' '.join(map(str, values))}"
            )
        check_threshold(self.threshold)


@dataclass(frozen=True)
class SplitReport:
    """What was divided.

    Attributes:
        chains: Number of chains in each split.
        clusters: Number of clusters.
        largest: Chains of the largest cluster.
        merges: Pairs of clusters that only the second search connected.
    """

    chains: dict[str, int]
    clusters: int
    largest: int
    merges: int

    def __str__(self) -> str:
        total = sum(self.chains.values())
        lines = [
            f"{split:<9}{count:>8,} chains {100 * count / total:>6.1f} %"
            for split, count in self.chains.items()
        ]
        lines.append(f"{self.clusters:,} homology clusters, the largest of {self.largest} chains")
        if self.merges:
            lines.append(f"{self.merges} pairs of clusters were merged by the check")
        return "\n".join(lines)


@dataclass(frozen=True)
class Facts:
    """What ``split.json`` says.

    Attributes:
        threshold: From where on two chains were homologous.
        data: Fingerprint of the data set that was divided.
    """

    threshold: Threshold
    data: str


def read_facts(folder: Path) -> Facts | None:
    """Read ``split.json``; None for a split that was made elsewhere.

    Raises:
        InputError: If it is damaged.
    """
    file = folder / FACTS
    if not file.exists():
        return None
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        threshold = Threshold(float(facts["min_identity"]), float(facts["coverage"]))
        return Facts(threshold, str(facts["data"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged ({error}); split again") from error


def refuse_stale(store: ChainStore) -> None:
    """Refuse a split that `split` made before the data set changed; one without facts passes.

    Args:
        store: The data set as it is now.

    Raises:
        InputError: If ``split.json`` belongs to other chains.
    """
    facts = read_facts(store.path)
    if facts is not None and facts.data != store.fingerprint:
        raise InputError(
            f"{store.path / FACTS} was made for another data set: the chains have changed since "
            f"they were divided; run `protcontact split {store.path}` again, or remove {FACTS} if "
            f"{splitfile.NAME} is your own"
        )


def split_fingerprint(store: ChainStore) -> str:
    """Identity of chains and split: changes whenever a chain, a label or the split does."""
    splits = (store.path / splitfile.NAME).read_bytes()
    return hashlib.sha256(store.fingerprint.encode() + splits).hexdigest()


def check_threshold(threshold: Threshold) -> None:
    """Refuse thresholds that are no fractions.

    Raises:
        InputError: If identity or coverage is not in (0, 1].
    """
    for name, value in (
        ("--min-identity", threshold.identity),
        ("--coverage", threshold.coverage),
    ):
        if not 0 < value <= 1:
            raise InputError(f"{name} must be a fraction above 0 and up to 1, not {value}")


def unique_sequences(store: ChainStore) -> tuple[list[str], list[int]]:
    """Return distinct sequences in an order of their own, and the place of each chain's."""
    texts = store.column("sequence")
    distinct = sorted(set(texts))
    place = {text: number for number, text in enumerate(distinct)}
    return distinct, [place[text] for text in texts]


def split(folder: Path, options: SplitOptions, mmseqs: MMseqs) -> SplitReport:
    """Divide a data set; write ``splits.tsv`` and ``split.json``.

    Args:
        folder: A prepared data set.
        options: How to divide.
        mmseqs: The search program.

    Returns:
        What was divided.
    """
    store = ChainStore(folder)
    with exclusive(folder, "make it writable: the split is written beside the chains"):
        return _split(store, options, mmseqs)


def _split(store: ChainStore, options: SplitOptions, mmseqs: MMseqs) -> SplitReport:
    lengths = dict(zip(store.ids, store.lengths.tolist(), strict=True))
    distinct, place = unique_sequences(store)
    evalue = largest_evalue(store)
    excluded = _excluded(store, distinct, place, options, mmseqs)
    hits = mmseqs.search(distinct, None, evalue)
    edges = {(hit.query, hit.target) for hit in hits if options.threshold.reached(hit)}
    merges = 0
    while True:
        labels = components(distinct, edges)
        clusters = name_clusters([labels[number] for number in place], lengths)
        kept = _without(clusters, excluded)
        given = assign(kept, options.fractions, options.seed)
        splits = {chain: given[name] for name, ids in kept.items() for chain in ids}
        leaks = _leaks(distinct, place, store, splits, options.threshold, mmseqs)
        if not leaks:
            break
        merges += len({(labels[one], labels[other]) for one, other in leaks})
        edges |= leaks
    rows = sorted(
        Assignment(chain, splits.get(chain, "excluded"), name, lengths[chain])
        for name, ids in clusters.items()
        for chain in ids
    )
    report = _report(rows, merges)
    _write(store, rows, report, options, mmseqs.version)
    return report


def largest_evalue(store: ChainStore) -> float:
    """E-value up to which two chains of a data set count as similar when it is divided."""
    return min(1.0, float(store.lengths.sum()) / RESIDUES_OF_EVALUE_1)


def _report(rows: list[Assignment], merges: int) -> SplitReport:
    chains = Counter(row.split for row in rows)
    sizes = Counter(row.cluster for row in rows)
    in_order = {name: chains[name] for name in splitfile.SPLITS if chains[name]}
    return SplitReport(in_order, len(sizes), max(sizes.values()), merges)


def _excluded(
    store: ChainStore,
    distinct: list[str],
    place: list[int],
    options: SplitOptions,
    mmseqs: MMseqs,
) -> set[str]:
    """Ids of chains with a homologue in the benchmark."""
    if options.exclude is None:
        return set()
    benchmark = list(read_fasta(options.exclude).values())
    hits = mmseqs.search(distinct, benchmark, largest_evalue(store))
    homologous = {hit.query for hit in hits if options.threshold.reached(hit)}
    return {chain for chain, number in zip(store.ids, place, strict=True) if number in homologous}


def _without(clusters: Clusters, excluded: set[str]) -> Clusters:
    left = {name: [one for one in ids if one not in excluded] for name, ids in clusters.items()}
    return {name: ids for name, ids in left.items() if ids}


def _leaks(
    distinct: list[str],
    place: list[int],
    store: ChainStore,
    splits: Mapping[str, str],
    threshold: Threshold,
    mmseqs: MMseqs,
) -> set[tuple[int, int]]:
    """Pairs of sequences, one in val or test and one in train, that `audit` would complain of."""
    sides: dict[bool, set[int]] = {True: set(), False: set()}
    for chain, number in zip(store.ids, place, strict=True):
        if chain in splits:
            sides[splits[chain] == "train"].add(number)
    train, held = sorted(sides[True]), sorted(sides[False])
    hits = mmseqs.search(
        [distinct[number] for number in held],
        [distinct[number] for number in train],
        largest_evalue(store) / AUDIT_STRICTNESS,
    )
    return {(held[hit.query], train[hit.target]) for hit in hits if threshold.reached(hit)}


def _write(
    store: ChainStore,
    rows: list[Assignment],
    report: SplitReport,
    options: SplitOptions,
    version: str,
) -> None:
    facts = {
        "seed": options.seed,
        "fractions": dict(options.fractions),
        "min_identity": options.threshold.identity,
        "coverage": options.threshold.coverage,
        "evalue": largest_evalue(store),
        "sensitivity": SENSITIVITY,
        "exclude": file_sha256(options.exclude) if options.exclude else "",
        "mmseqs": version,
        "data": store.fingerprint,
        **asdict(report),
    }
    for stale in (AUDIT, TEMPLATES, FACTS):
        (store.path / stale).unlink(missing_ok=True)
    splitfile.write_assignments(store.path / splitfile.NAME, rows)
    write_text(store.path / FACTS, json.dumps(facts, indent=1, sort_keys=True) + "\n")
