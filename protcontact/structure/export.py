"""Predicted contacts for molecular viewers, in the numbering that the viewer shows.

PyMOL (``.pml``) and ChimeraX (``.cxc``) scripts draw the strongest predicted contacts of a chain as
dashed lines between CB atoms (CA for glycine), in author chain id and author residue numbers with
insertion codes; blue if the pair is in contact in the structure, red if not, grey if unknown.
`write_npz` keeps the numbers themselves, and `read_npz` reads them as it reads an RR file.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from protcontact.errors import InputError
from protcontact.structure.alphabet import encode
from protcontact.structure.chain import Chain
from protcontact.structure.contacts import CONTACT, NO_CONTACT, UNKNOWN_PAIR, contact_map
from protcontact.structure.rr import Contacts, rank_pairs

_PYMOL_COLOURS = {CONTACT: "marine", NO_CONTACT: "red", UNKNOWN_PAIR: "grey"}
_CHIMERAX_COLOURS = {CONTACT: "dodger blue", NO_CONTACT: "red", UNKNOWN_PAIR: "gray"}
_BROKEN = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError)
_NAMES = {CONTACT: "contact", NO_CONTACT: "no_contact", UNKNOWN_PAIR: "unknown"}


def drawable_pairs(
    chain: Chain, scores: np.ndarray, min_separation: int, top: int
) -> list[tuple[int, int, int]]:
    """The strongest `top` pairs that a viewer can draw: ``(i, j, label)``.

    Pairs of residues without coordinates or without an author number have no ends to draw to, and
    are skipped after the choice, so that the same pairs are meant as in an RR file.

    Raises:
        ValueError: If the scores do not fit the chain.
    """
    if scores.shape != (len(chain), len(chain)):
        raise ValueError(
            f"scores must be ({len(chain)}, {len(chain)}) like the chain, not {scores.shape}"
        )
    labels = contact_map(chain)
    visible = np.isfinite(chain.coordinates).all(axis=1) & np.array(
        [number != "" for number in chain.numbering]
    )
    pairs = rank_pairs(scores, min_separation, top)
    pairs = pairs[visible[pairs].all(axis=1)]
    return [(i, j, int(labels[i, j])) for i, j in pairs.tolist()]


def write_pymol(
    path: str | Path, chain: Chain, scores: np.ndarray, *, min_separation: int = 6, top: int
) -> int:
    """Write a PyMOL script; load the structure before running it.

    Args:
        path: File to write (``.pml``).
        chain: The chain, length L.
        scores: ``(L, L)`` scores, symmetric.
        min_separation: Least ``|i - j|``.
        top: Number of strongest pairs.

    Returns:
        Number of lines drawn.
    """
    pairs = drawable_pairs(chain, scores, min_separation, top)
    lines = [
        f"# {_title(chain, len(pairs))}",
        f"# load the structure first, e.g. load {chain.source}",
    ]
    for i, j, label in pairs:
        ends = f"{_pymol_atom(chain, i)}, {_pymol_atom(chain, j)}"
        lines.append(f"distance predicted_{_NAMES[label]}, {ends}")
    for label in dict.fromkeys(label for _, _, label in pairs):
        name = f"predicted_{_NAMES[label]}"
        lines += [f"color {_PYMOL_COLOURS[label]}, {name}", f"hide labels, {name}"]
    lines += ["set dash_width, 2.5", "set dash_gap, 0.4", ""]
    Path(path).write_text("\n".join(lines), encoding="utf-8")
    return len(pairs)


def write_chimerax(
    path: str | Path, chain: Chain, scores: np.ndarray, *, min_separation: int = 6, top: int
) -> int:
    """Write a ChimeraX command file; open the structure before running it.

    Args:
        path: File to write (``.cxc``).
        chain: The chain, length L.
        scores: ``(L, L)`` scores, symmetric.
        min_separation: Least ``|i - j|``.
        top: Number of strongest pairs.

    Returns:
        Number of pseudobonds drawn.
    """
    pairs = drawable_pairs(chain, scores, min_separation, top)
    lines = [
        f"# {_title(chain, len(pairs))}",
        f"# open the structure first, e.g. open {chain.source}",
    ]
    for i, j, label in pairs:
        lines.append(
            f"pbond {_chimerax_atom(chain, i)} {_chimerax_atom(chain, j)} "
            f'color "{_CHIMERAX_COLOURS[label]}" radius 0.1 dashes 8 '
            f"name predicted_{_NAMES[label]}"
        )
    Path(path).write_text("\n".join([*lines, ""]), encoding="utf-8")
    return len(pairs)


def write_npz(path: str | Path, chain: Chain, scores: np.ndarray, **more: np.ndarray) -> None:
    """Write scores, labels and numbering of a chain as a compressed numpy archive.

    Arrays: ``scores`` (L, L) float32, NaN where not predicted; ``labels`` (L, L) int8, 1 contact,
    0 no contact, -1 unknown; ``sequence``; ``numbering`` (L,); ``chain_id``; ``id``; and those of
    `more`.

    Raises:
        ValueError: If the scores do not fit the chain.
    """
    if scores.shape != (len(chain), len(chain)):
        raise ValueError(
            f"scores must be ({len(chain)}, {len(chain)}) like the chain, not {scores.shape}"
        )
    with open(path, "wb") as file:  # given a name, numpy would add another suffix to it
        np.savez_compressed(
            file,
            scores=scores.astype(np.float32, copy=False),
            labels=contact_map(chain),
            sequence=np.array(chain.sequence),
            numbering=np.array(chain.numbering),
            chain_id=np.array(chain.chain_id),
            id=np.array(chain.id),
            **more,  # type: ignore[arg-type]  # mypy takes them for savez's own options
        )


def read_npz(path: str | Path) -> Contacts:
    """Read the scores that `write_npz` wrote; pairs whose score is NaN were not predicted.

    Raises:
        InputError: If it is no such file, or holds several chains or scores outside ``[0, 1]``.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            scores, sequence, name = held["scores"], str(held["sequence"]), str(held["id"])
            chains = int(held["chain_of"].max()) + 1 if "chain_of" in held else 1
        encode(sequence)  # refuses what is no letter
        scores = scores.astype(np.float64, casting="same_kind")
    except _BROKEN as error:
        raise InputError(
            f"{path}: is no prediction of protcontact ({error}); give a .npz of predict or "
            "contacts, or an RR file"
        ) from error
    length = len(sequence)
    if chains > 1:
        raise InputError(f"{path}: holds {chains} chains; give the prediction of one chain")
    if length == 0 or scores.shape != (length, length):
        raise InputError(f"{path}: scores {scores.shape} for {length} residues; write it again")
    rows, columns = np.nonzero(np.triu(~np.isnan(scores), k=1))
    values = scores[rows, columns]
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"{path}: has scores outside [0, 1]; give probabilities")
    if len(values) == 0:
        raise InputError(f"{path}: has no predicted pair; predict again")
    return Contacts(name, sequence, np.stack([rows, columns], axis=1), values)


def _title(chain: Chain, drawn: int) -> str:
    return f"protcontact: {drawn} strongest predicted contacts of {chain.id}"


def _atom_name(chain: Chain, index: int) -> str:
    """Atom that stands for a residue: CA where CB was built, for there is none to draw to."""
    built = index in chain.report.imputed_cb
    return "CA" if chain.ca_only or built or chain.sequence[index] == "G" else "CB"


def _pymol_atom(chain: Chain, index: int) -> str:
    number = chain.numbering[index].replace("-", "\\-")  # a bare minus means a range
    atom = _atom_name(chain, index)
    # of several alternate locations one: a line for each of them would be drawn
    return f"first (chain '{chain.chain_id}' and resi {number} and name {atom})"


def _chimerax_atom(chain: Chain, index: int) -> str:
    where = f"/{chain.chain_id}" if chain.chain_id else ""
    return f"{where}:{chain.numbering[index]}@{_atom_name(chain, index)}"
