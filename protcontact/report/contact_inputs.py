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
    def is_shown(self) -> bool:
        """Whether viewers can show it: they number residues within a chain."""
        return self.target.has_truth and not self.is_complex

    @property
    def chain_of(self) -> np.ndarray:
        """``(L,)`` int64: number of each residue's chain, from 0."""
        return np.repeat(np.arange(len(self.chains)), [len(chain) for chain in self.chains])


def read_wanted(
    fasta: Sequence[str],
    structures: Sequence[str],
    spool: Path,
    allow_ca_only: bool = False,
    join: bool = False,
) -> tuple[list[Wanted], list[Unreadable]]:
    """Read everything that the user named.

    Args:
        fasta: FASTA files.
        structures: Structure files, folders, globs, tar archives.
        spool: Folder in which compressed archives may be unpacked.
        allow_ca_only: Score chains that have only CA atoms by CA distances.
        join: Take all chains of a structure for one complex.

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
    together = _entries(targets) if join else [[target] for target in targets]
    wanted += [_joined(members) for members in together]
    return _unique(wanted), failed + unread


def _entries(targets: Sequence[Target]) -> list[list[Target]]:
    """Chains of one structure together, in the order of the file."""
    found: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        entry = target.chain.id.removesuffix(f"_{target.chain.chain_id}")
        found.setdefault((target.source, entry), []).append(target)
    return list(found.values())


def _joined(members: Sequence[Target]) -> Wanted:
    """One map of all chains, with the contacts between them."""
    first = members[0].chain
    sequences = tuple(member.chain.sequence for member in members)
    if len(members) == 1:
        return Wanted(members[0], sequences)
    name = first.id.removesuffix(f"_{first.chain_id}")
    chain = Chain(
        name,
        "".join(sequences),
        np.concatenate([member.chain.coordinates for member in members]),
        np.concatenate([member.chain.ca for member in members]),
        tuple(number for member in members for number in member.chain.numbering),
        source=first.source,
        ca_only=any(member.chain.ca_only for member in members),
    )
    return Wanted(Target(name, chain, members[0].source), sequences)


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
