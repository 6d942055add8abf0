"""How good is a prediction that is in a file, whoever made it?

The file (RR, or .npz of this program) is laid on one chain of a structure by `sequence_match`, and
scored as `protcontact.metrics.precision` scores a map: over the full sequence of the *structure*,
which decides L and the separations, and over all its known pairs. Pairs that the file does not list
rank behind every listed one, all alike and hence by (i, j): a file of few pairs has P@K like any
other, but some of the K best are then nobody's prediction, which is told. Listed pairs of residues
that the structure's sequence does not have, or that are unresolved, do not count.

Beside it stands a null that needs no training chains: all pairs, the nearest in the sequence first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from protcontact.atomic import write_text
from protcontact.errors import InputError
from protcontact.metrics.precision import ChainScores, score_chain
from protcontact.metrics.ranges import RANGES
from protcontact.structure.chain import Chain
from protcontact.structure.contacts import CONTACT, UNKNOWN_PAIR, contact_map
from protcontact.structure.export import read_npz
from protcontact.structure.read import StructureRecord, read_structure
from protcontact.structure.rr import Contacts
from protcontact.structure.rr_read import read_rr
from protcontact.structure.sequence_match import SequenceMatch, match_sequences

UNLISTED = -1.0  # below every probability


@dataclass(frozen=True, eq=False)
class FileScore:
    """A prediction, the chain it was laid on, and its scores.

    Attributes:
        contacts: What the file says.
        chain: Of the structure.
        match: Of the sequence of the file with that of the chain; None if the file has none.
        scores: Of the chain.
        null: Of the same chain, the nearest pairs first.
        placed: Pairs of the file whose residues both stand in the chain.
        listed: Name of a separation range -> candidates (known pairs) that the file lists.
        notes: What the user should know, one sentence each.
    """

    contacts: Contacts
    chain: Chain
    match: SequenceMatch | None
    scores: ChainScores
    null: ChainScores
    placed: int
    listed: dict[str, int]
    notes: tuple[str, ...]


class _Chosen(NamedTuple):
    chain: Chain
    match: SequenceMatch | None
    notes: tuple[str, ...]


def read_prediction(path: Path) -> Contacts:
    """Read an RR file, or an .npz of `predict` or `contacts`; its content decides which it is.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give an RR file") from error
    return read_npz(path) if start == b"PK" else read_rr(path)


def score_file(
    prediction: Path, structure: Path, chain: str | None = None, allow_ca_only: bool = False
) -> FileScore:
    """Score a prediction against one chain of a structure.

    Args:
        prediction: RR file, or .npz of `predict` or `contacts`.
        structure: PDB, mmCIF or BinaryCIF.
        chain: Author chain id, or the whole id of the chain; None for the one that matches best.
        allow_ca_only: Score chains that have only CA atoms by CA distances.

    A file that is unusable, a structure without such a chain or of another protein, and a choice
    of chains that is not clear, is an `InputError`.
    """
    contacts = read_prediction(prediction)
    record = read_structure(structure, allow_ca_only=allow_ca_only)
    chains = _named(record, structure, chain)
    choose = _matching if contacts.sequence else _unnamed
    chosen = choose(contacts, chains, prediction, structure)
    own, match = chosen.chain, chosen.match
    places = np.arange(len(own)) if match is None else match.places
    labels = contact_map(own)
    scores, placed = lay_out(contacts, places, len(own))
    along = np.arange(len(own), dtype=np.float64)
    near = -np.abs(along[:, None] - along[None, :])
    row, null = (_scored(own, labels, one) for one in (scores, near))
    listed = _listed(scores, labels != UNKNOWN_PAIR)
    notes = (*contacts.notes, *chosen.notes, *_filled(row, listed))
    return FileScore(contacts, own, match, row, null, placed, listed, notes)


def _scored(chain: Chain, labels: np.ndarray, scores: np.ndarray) -> ChainScores:
    ranges = score_chain(
        torch.from_numpy(scores),
        torch.from_numpy(labels == CONTACT),
        torch.from_numpy(labels != UNKNOWN_PAIR),
        chain=chain.id,
    )
    return ChainScores(chain.id, len(chain), ranges)


def lay_out(contacts: Contacts, places: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """Probabilities as a map of another sequence.

    Args:
        contacts: Of a sequence of Q residues.
        places: ``(Q,)`` int64, where they stand in the other sequence; -1 if nowhere.
        length: Residues L of the other sequence.

    Returns:
        ``(L, L)`` float64, symmetric, -1 where nothing is listed; and how many pairs have a place.
    """
    scores = np.full((length, length), UNLISTED)
    pairs = places[contacts.pairs]
    there = (pairs >= 0).all(axis=1)
    i, j = pairs[there].T
    scores[i, j] = scores[j, i] = contacts.probabilities[there]
    return scores, int(there.sum())


def _named(record: StructureRecord, structure: Path, wanted: str | None) -> Sequence[Chain]:
    """Chains that may be meant.

    Raises:
        InputError: If there is none.
    """
    found = [c for c in record.chains if wanted is None or wanted in (c.chain_id, c.id)]
    if found:
        return found
    names = ", ".join(c.id for c in record.chains) or "none"
    reasons = "; ".join(
        f"chain {bad.chain_id or '(blank)'}: {bad.reason}" for bad in record.rejected
    )
    which = "usable protein chain" if wanted is None else f"usable protein chain {wanted!r}"
    raise InputError(
        f"{structure}: has no {which}; usable are: {names}" + (f" ({reasons})" if reasons else "")
    )


def _matching(
    contacts: Contacts, chains: Sequence[Chain], prediction: Path, structure: Path
) -> _Chosen:
    """The chain whose sequence has most residues of the file's; of equals the best resolved.

    Raises:
        InputError: If none is the same protein.
    """
    by_sequence = {
        sequence: match_sequences(contacts.sequence, sequence)
        for sequence in dict.fromkeys(chain.sequence for chain in chains)
    }
    matches = [by_sequence[chain.sequence] for chain in chains]
    order = sorted(
        range(len(chains)),
        key=lambda n: (
            not matches[n].is_same_protein,
            -matches[n].identical,
            -int(chains[n].resolved.sum()),
        ),
    )
    best = order[0]
    chain, match = chains[best], matches[best]
    if not match.is_same_protein:
        raise InputError(
            f"{prediction}: is of another protein than {structure}: of chain {chain.id}, which is "
            f"nearest, {match.aligned} of {len(chain)} residues can be aligned with its "
            f"{len(contacts.sequence)}, {match.identity:.0%} of them identical; give the structure "
            "of this protein"
        )
    others = [chains[n].id for n in order[1:] if matches[n].is_same_protein]
    return _Chosen(chain, match, _choice(chain, others))


def _unnamed(
    contacts: Contacts, chains: Sequence[Chain], prediction: Path, structure: Path
) -> _Chosen:
    """The best resolved chain, for a file without a sequence.

    Raises:
        InputError: If chains differ, or the chain is shorter than the file says.
    """
    names = ", ".join(chain.id for chain in chains)
    if len({chain.sequence for chain in chains}) > 1:
        raise InputError(
            f"{prediction}: has no sequence, and {structure} has different chains ({names}); name "
            "one with --chain, or write the sequence behind the MODEL line"
        )
    chain = max(chains, key=lambda c: int(c.resolved.sum()))
    last = int(contacts.pairs.max()) + 1
    if last > len(chain):
        raise InputError(
            f"{prediction}: has residue {last}, and chain {chain.id} of {structure} has "
            f"{len(chain)}: another protein, or another numbering; write the sequence behind the "
            "MODEL line"
        )
    told = "the file has no sequence: residue 1 is taken for the first of the full sequence"
    others = [other.id for other in chains if other is not chain]
    return _Chosen(chain, None, (told, *_choice(chain, others)))


def _choice(chain: Chain, others: Sequence[str]) -> tuple[str, ...]:
    if not others:
        return ()
    also = ", ".join(others)
    return (f"chain {chain.id} is scored; also of this protein: {also} (choose with --chain)",)


def _listed(scores: np.ndarray, known: np.ndarray) -> dict[str, int]:
    i, j = np.nonzero(np.triu((scores != UNLISTED) & known, k=1))
    apart = torch.from_numpy(j - i)
    return {span.name: int(span.contains(apart).sum()) for span in RANGES}


def _filled(row: ChainScores, listed: dict[str, int]) -> tuple[str, ...]:
    """Name the ranges of which the file lists less than P@L looks at."""
    notes = []
    for name, score in row.ranges.items():
        best = min(row.length, score.candidates)
        if score.defined and listed[name] < best:
            notes.append(
                f"{name}: the file lists {listed[name]} of the {best} pairs of P@L; behind them "
                "stand pairs that it does not list, by (i, j)"
            )
    return tuple(notes)


def write_file_score(path: Path, prediction: Path, structure: Path, found: FileScore) -> None:
    """Write the scores as a table of one line, tabs between the columns.

    Args:
        path: The TSV file.
        prediction: What was scored.
        structure: Against what.
        found: Of `score_file`.
    """
    match = found.match
    cells: dict[str, object] = {
        "prediction": prediction.name,
        "structure": structure.name,
        "chain": found.chain.id,
        "length": len(found.chain),
        "pairs": len(found.contacts.pairs),
        "placed": found.placed,
        "aligned": match.aligned if match else "",
        "identity": f"{match.identity:.4f}" if match else "",
    }
    cells |= {f"{name}/listed": count for name, count in found.listed.items()}
    cells |= {name: f"{value:.6g}" for name, value in found.scores.columns().items()}
    null = found.null.columns()
    cells |= {f"separation:{name}": f"{null[name]:.6g}" for name in null if "/P@" in name}
    rows = [list(cells), [" ".join(str(cell).split()) for cell in cells.values()]]
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))
