"""How are the training chains found that resemble each chain?

One sensitive search of all distinct sequences against those of the train split. A chain of the
train split never sees its own cluster nor a chain above the homology threshold, so that its
templates are as remote as those of a held-out chain.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from protcontact.data import splitfile
from protcontact.data.alignment import Alignment
from protcontact.data.homology import MMseqs, Threshold, few
from protcontact.data.lock import exclusive
from protcontact.data.progress import Advance, progress
from protcontact.data.splits import TEMPLATES, read_facts, refuse_stale, split_fingerprint
from protcontact.data.store import ChainStore
from protcontact.data.templates import Template, write_file
from protcontact.errors import InputError

NOTED_EVERY = 100  # queries between two steps of the progress bar
EVALUES = (1e-3, 0.1, 1.0)  # by which chains are counted


@dataclass(frozen=True)
class TemplateOptions:
    """What to look for.

    Attributes:
        evalue: Hits with a larger expectation value are left out.
        per_chain: Most templates of a chain.
        exhaustive: Whether every pair is aligned, without the prefilter, which loses some of the
            remote ones; None: where there are few enough.

    Raises:
        InputError: If a number is out of its range.
    """

    evalue: float = 10.0
    per_chain: int = 20
    exhaustive: bool | None = None

    def __post_init__(self) -> None:
        if not 0 < self.evalue < float("inf"):
            raise InputError(f"--evalue must be a number above 0, not {self.evalue}")
        if self.per_chain < 1:
            raise InputError(f"--per-chain must be at least 1, not {self.per_chain}")

    def aligns_all(self, queries: Sequence[str], targets: Sequence[str]) -> bool:
        """Whether every pair of these is aligned."""
        return few(queries, targets) if self.exhaustive is None else self.exhaustive


def find_templates(
    sequences: Sequence[str], store: ChainStore, options: TemplateOptions, mmseqs: MMseqs
) -> list[list[Template]]:
    """Find the templates of new sequences among the training chains of a data set.

    Args:
        sequences: Of any chains; a training chain finds itself.
        store: A prepared and split data set.
        options: What to look for.
        mmseqs: The search program.

    Returns:
        The templates of each sequence, the nearest first.

    Raises:
        InputError: If the data set has no training chains.
    """
    given = {line.id: line for line in splitfile.read_assignments(store.path)}
    trained: dict[str, int] = {}
    for row, (name, text) in enumerate(zip(store.ids, store.column("sequence"), strict=True)):
        if name in given and given[name].split == "train":
            trained.setdefault(text, row)
    if not trained:
        raise InputError(
            f"the train split of {store.path} has no chains, so there are no templates in it"
        )
    targets = sorted(trained)
    exhaustive = options.aligns_all(sequences, targets)
    found = mmseqs.align(sequences, targets, options.evalue, exhaustive)
    return [
        [
            _template(hit._replace(target=trained[targets[hit.target]]))
            for hit in hits[: options.per_chain]
        ]
        for hits in found
    ]


def _template(hit: Alignment) -> Template:
    return Template(
        hit.target, hit.evalue, hit.identity, hit.coverage, hit.query_index, hit.target_index
    )


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
        about = {
            "data": split_fingerprint(store),
            "mmseqs": mmseqs.version,
            **asdict(options),
            "exhaustive": search.exhaustive,
        }
        write_file(store.path / TEMPLATES, len(store), found, about)
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
        self.exhaustive = options.aligns_all(self.queries, self.targets)

    def run(self, mmseqs: MMseqs, advance: Advance) -> dict[int, list[Alignment]]:
        """Row -> its templates; their `target` is a row of the store."""
        found: dict[int, list[Alignment]] = {}
        evalue = self.options.evalue
        hits_of = mmseqs.align(self.queries, self.targets, evalue, self.exhaustive)
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
