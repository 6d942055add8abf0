"""What is written of one predicted map, and how does a later run know that it is all there?

NAME.rr (of a complex NAME.intra.rr and NAME.inter.rr), NAME.png, of structures NAME.pml and
NAME.cxc, and NAME.npz. The npz is removed first and written last, each file whole or not at all,
and carries a record: a hash of everything that the numbers depend on, and the numbers of the
report. So if the record fits and the other files are there, all of them belong together.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from protcontact.atomic import replacing
from protcontact.figures.contact_map import draw_contact_map
from protcontact.report.contact_inputs import Wanted, stems
from protcontact.report.prediction import calibration_note
from protcontact.structure.contacts import contact_map
from protcontact.structure.export import write_chimerax, write_npz, write_pymol
from protcontact.structure.rr import write_rr

RECORD = "record"
RECORD_FORMAT = 1
# A picture is 572 points wide: of longer chains it would show one pair in 50, and drawing takes
# more memory than predicting.
PICTURED = 4000


@dataclass(frozen=True)
class Numbers:
    """What the report tells of a prediction.

    Attributes:
        tiles: Windows; 1 if the input was read as a whole.
        seam_pairs: How often two windows held the same pair.
        seam_mean: Mean ``|difference|`` of their probabilities; None without such pairs.
        seam_largest: Largest ``|difference|``.
        unpredicted: Share of the pairs that no window held.
        inter_top_l: Mean probability of the L best pairs between chains, L of the shortest chain;
            None of a single chain.
        scores: Against the structure; empty without one.
    """

    tiles: int = 1
    seam_pairs: int = 0
    seam_mean: float | None = None
    seam_largest: float | None = None
    unpredicted: float = 0.0
    inter_top_l: float | None = None
    scores: dict[str, float] = field(default_factory=dict)


def fingerprint(wanted: Wanted, made_with: dict[str, object]) -> str:
    """Hash of everything that the files of an input depend on.

    Args:
        wanted: The input.
        made_with: Checkpoint and options, plain.
    """
    chain = wanted.target.chain
    told = json.dumps(
        [RECORD_FORMAT, wanted.chains, chain.numbering, chain.chain_id, made_with], sort_keys=True
    )
    return hashlib.sha256(told.encode() + chain.coordinates.tobytes()).hexdigest()


def read_finished(out: Path, wanted: Wanted, mark: str) -> Numbers | None:
    """Look whether an earlier run did this input.

    Args:
        out: Folder of the files.
        wanted: The input.
        mark: Its `fingerprint`.

    Returns:
        The numbers of the report; None if a file is missing, or was made of something else.
    """
    name = wanted.target.name
    if not all((out / f"{name}{suffix}").is_file() for suffix in _suffixes(wanted)):
        return None
    try:
        with np.load(out / f"{name}.npz", allow_pickle=False) as held:
            record = json.loads(str(held[RECORD]))
        if record["mark"] == mark:
            return Numbers(**record["numbers"])
    except (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError, TypeError):
        return None  # not a file of ours: it is made anew
    return None


def _suffixes(wanted: Wanted) -> list[str]:
    endings = [".npz"] + [f"{stem}.rr" for stem in stems("", wanted.is_complex)]
    if len(wanted.target.chain) <= PICTURED:
        endings.append(".png")
    return [*endings, ".pml", ".cxc"] if wanted.is_shown else endings


def write_contacts(
    out: Path, wanted: Wanted, probabilities: np.ndarray, mark: str, numbers: Numbers
) -> None:
    """Write all files of one input.

    Args:
        out: Existing folder.
        wanted: The input, of L residues.
        probabilities: ``(L, L)`` symmetric, in ``[0, 1]``, NaN where not predicted.
        mark: The input's `fingerprint`.
        numbers: For the report.
    """
    target, chain = wanted.target, wanted.target.chain

    def write(suffix: str, writer: Callable[..., object], *args: object, **options: object) -> None:
        with replacing(out / f"{target.name}{suffix}") as temporary:
            writer(temporary, *args, **options)

    (out / f"{target.name}.npz").unlink(missing_ok=True)
    _write_rr(write, wanted, probabilities)
    if len(chain) <= PICTURED:
        write(".png", _draw, wanted, probabilities)
    if wanted.is_shown:
        drawable = np.nan_to_num(probabilities, nan=0.0)
        write(".pml", write_pymol, chain, drawable, top=len(chain))
        write(".cxc", write_chimerax, chain, drawable, top=len(chain))
    record = np.array(json.dumps({"mark": mark, "numbers": asdict(numbers)}))
    arrays = {"chain_of": wanted.chain_of, "temperature": np.array(np.nan), RECORD: record}
    write(".npz", write_npz, chain, probabilities, **arrays)


def _write_rr(write: Callable[..., None], wanted: Wanted, probabilities: np.ndarray) -> None:
    """Pairs of one chain from separation 6 on; between chains all, for there is no separation."""
    predicted = ~np.isnan(probabilities)
    sequence = wanted.target.chain.sequence
    said = {"target": wanted.target.name, "remark": calibration_note(None)}
    if not wanted.is_complex:
        write(".rr", write_rr, sequence, probabilities, **said, among=predicted)
        return
    owner = wanted.chain_of
    same = owner[:, None] == owner[None, :]
    intra, inter = stems("", is_complex=True)
    write(f"{intra}.rr", write_rr, sequence, probabilities, **said, among=predicted & same)
    write(
        f"{inter}.rr",
        write_rr,
        sequence,
        probabilities,
        **said,
        among=predicted & ~same,
        min_separation=1,
    )


def _draw(path: Path, wanted: Wanted, probabilities: np.ndarray) -> None:
    """The map; of a complex with lines between the chains."""
    labels = contact_map(wanted.target.chain) if wanted.target.has_truth else None
    missing = np.isnan(probabilities)
    title = wanted.target.name
    if missing.any():
        title += " (far pairs: not predicted)"
    figure = draw_contact_map(np.where(missing, 0.0, probabilities), labels, title)
    for place in np.flatnonzero(np.diff(wanted.chain_of)) + 0.5:
        figure.axes[0].axhline(place, color="0.4", linewidth=0.6, linestyle="--")
        figure.axes[0].axvline(place, color="0.4", linewidth=0.6, linestyle="--")
    figure.savefig(path, format="png")
