"""Of what are contacts wanted? Records of FASTA files, ``SEQ1:SEQ2`` among them, and structures.

An unusable record does not hide the others: it becomes `Unreadable`, and the report names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from protcontact.atomic import file_name
from protcontact.models.pretrained.complexes import SEPARATOR
from protcontact.report.targets import Target, Unreadable, read_targets
from protcontact.structure.chain import Chain
from protcontact.structure.fasta import read_records


@dataclass(frozen=True)
class Wanted:
    """One map to predict.

    Attributes:
        target: Name of the files, all chains in one sequence, and the truth if there is one.
        chains: The chains' sequences.
    """

    target: Target
    chains: tuple[str, ...]

    @property
    def is_complex(self) -> bool:
        """Whether there is more than one chain."""
        return len(self.chains) > 1

    @property
    def chain_of(self) -> np.ndarray:
        """``(L,)`` int64: number of each residue's chain, from 0."""
        return np.repeat(np.arange(len(self.chains)), [len(chain) for chain in self.chains])


def read_wanted(
    fasta: Sequence[str], structures: Sequence[str], spool: Path, allow_ca_only: bool = False
) -> tuple[list[Wanted], list[Unreadable]]:
    """Read everything that the user named.

    Args:
        fasta: FASTA files.
        structures: Structure files, folders, globs, tar archives.
        spool: Folder in which compressed archives may be unpacked.
        allow_ca_only: Score chains that have only CA atoms by CA distances.

    Returns:
        What to predict, with unique names, and the inputs of which nothing can be predicted.

    A file that is no FASTA file, or does not exist, is an `InputError`.
    """
    wanted: list[Wanted] = []
    failed: list[Unreadable] = []
    for source in fasta:
        for record in read_records(source, SEPARATOR):
            if record.problem:
                failed.append(Unreadable(record.id, source, record.problem))
            else:
                wanted.append(_without_truth(record.id, record.chains, source))
    targets, unread = read_targets(structures, spool, allow_ca_only) if structures else ([], [])
    wanted += [Wanted(target, (target.chain.sequence,)) for target in targets]
    return _unique(wanted), failed + unread


def _without_truth(name: str, chains: tuple[str, ...], source: str) -> Wanted:
    sequence = "".join(chains)
    nowhere = np.full((len(sequence), 3), np.nan, dtype=np.float32)
    numbering = tuple(str(place + 1) for chain in chains for place in range(len(chain)))
    chain = Chain(name, sequence, nowhere, nowhere, numbering, chain_id="A", source=source)
    return Wanted(Target(name, chain, source), chains)


def stems(name: str, is_complex: bool) -> tuple[str, ...]:
    """Names of the RR files of an input, without ``.rr``."""
    return (f"{name}.intra", f"{name}.inter") if is_complex else (name,)


def _unique(wanted: list[Wanted]) -> list[Wanted]:
    """Give each a name that can be a file name, and whose files no other input writes."""
    taken: set[str] = set()
    named = []
    for item in wanted:
        safe = file_name(item.target.name)
        name, number = safe, 2
        while taken & (own := {s.lower() for s in (name, *stems(name, item.is_complex))}):
            name, number = f"{safe}-{number}", number + 1
        taken |= own
        named.append(replace(item, target=replace(item.target, name=name)))
    return named
