"""A folder of synthetic folds: structure files, what was planted in them, and a word of warning."""

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protcontact import __version__
from protcontact.atomic import write_bytes, write_text
from protcontact.data.progress import progress
from protcontact.data.synthetic.code import HYDROPHOBIC, POLAR, draw_sequence
from protcontact.data.synthetic.files import SyntheticChain, mmcif_text, pdb_text
from protcontact.data.synthetic.fold import (
    LENGTH_MIN,
    SEPARATION_MAX,
    SEPARATION_MIN,
    SEPARATION_ROOM,
    Fold,
    draw_fold,
)
from protcontact.errors import InputError

LENGTH_MAX = 2000
STRUCTURES = "structures"
GZIPPED = 0.3  # share of files
UNRESOLVED = 0.4  # share of chain ends of which some residues have no atoms
UNRESOLVED_MOST = 3

Format = tuple[str, Callable[[SyntheticChain], str]]
MMCIF: Format = (".cif", mmcif_text)
PDB: Format = (".pdb", pdb_text)
FORMATS: dict[str, tuple[Format, ...]] = {"mmcif": (MMCIF,), "pdb": (PDB,), "mixed": (MMCIF, PDB)}

TRUTH_COLUMNS = (
    "id",
    "file",
    "length",
    "first_1",
    "last_1",
    "first_2",
    "last_2",
    "direction",
    "separation_min",
    "separation_max",
)
README = """\
# Synthetic folds

The files in `structures/` are SYNTHETIC: folds and sequences were made up by a program. They are no
proteins, and nothing about proteins can be learned from them; they are for trying out models.

Made by protcontact {version}: `protcontact synth {options}`

The sequences carry the contacts between neighbouring strands: at each place that two strands share,
the letter of one is the successor of the other's in the cycle {hydrophobic} or {polar} (the last
letter is followed by the first). `truth.tsv` has one row per pair of strands that lie side by side:
first and last residue of each (numbered from 1, as in the files), whether they run parallel or
antiparallel, and the smallest and largest separation of a residue of one from one of the other.
"""


@dataclass(frozen=True)
class SynthOptions:
    """What to make.

    Attributes:
        chains: Number of chains.
        length: Smallest and largest number of residues.
        separation: Smallest separation of the planted pairs of strands; None: as they fall.
        seed: Equal options with equal seeds give equal files; chain k does not depend on `chains`.
        format: A key of `FORMATS`.

    Raises:
        InputError: If a number is out of range, or the length has no room for the separation.
    """

    chains: int = 600
    length: tuple[int, int] = (60, 120)
    separation: int | None = None
    seed: int = 0
    format: str = "mixed"

    def __post_init__(self) -> None:
        shortest, longest = self.length
        if self.chains < 1:
            raise InputError(f"--chains must be 1 or more, not {self.chains}")
        if self.seed < 0:
            raise InputError(f"--seed must be 0 or more, not {self.seed}")
        if not LENGTH_MIN <= shortest <= longest <= LENGTH_MAX:
            raise InputError(
                f"--length must be MIN MAX with {LENGTH_MIN} <= MIN <= MAX <= {LENGTH_MAX}, "
                f"not {shortest} {longest}"
            )
        if self.format not in FORMATS:
            raise InputError(f"--format must be one of {', '.join(FORMATS)}, not {self.format}")
        if self.separation is None:
            return
        if not SEPARATION_MIN <= self.separation <= SEPARATION_MAX:
            raise InputError(
                f"--separation must be between {SEPARATION_MIN} and {SEPARATION_MAX} residues, "
                f"not {self.separation}"
            )
        if shortest < self.separation + SEPARATION_ROOM:
            raise InputError(
                f"--length {shortest} {longest} has no room for --separation {self.separation}; "
                f"use --length {self.separation + SEPARATION_ROOM} or more"
            )


def draw_chain(options: SynthOptions, number: int) -> tuple[SyntheticChain, Fold, Format, bool]:
    """Make chain `number` of a set: the chain, its fold, its format, and whether to gzip it."""
    rng = np.random.default_rng([options.seed, number])
    length = int(rng.integers(options.length[0], options.length[1] + 1))
    fold = draw_fold(rng, length, options.separation)
    sequence = draw_sequence(rng, fold)
    resolved = np.ones(length, dtype=bool)
    tails = fold.elements[0].start, length - fold.elements[-1].stop
    gone = [
        int(rng.integers(1, min(tail, UNRESOLVED_MOST) + 1)) if rng.random() < UNRESOLVED else 0
        for tail in tails
    ]
    resolved[: gone[0]] = False
    resolved[length - gone[1] :] = False
    formats = FORMATS[options.format]
    chosen = formats[int(rng.integers(len(formats)))]
    chain = SyntheticChain(f"synth_{number + 1:05d}", sequence, fold.atoms, resolved)
    return chain, fold, chosen, bool(rng.random() < GZIPPED)


def truth_rows(chain: SyntheticChain, fold: Fold, file: str) -> list[str]:
    """One line of truth.tsv for each pair of strands."""
    rows = []
    for first, second in fold.pairs:
        a, b = fold.elements[first], fold.elements[second]
        direction = "parallel" if a.up == b.up else "antiparallel"
        spans = (a.start + 1, a.stop, b.start + 1, b.stop)
        separations = (b.start - a.stop + 1, b.stop - 1 - a.start)
        cells = (f"{chain.name}_A", file, len(chain.sequence), *spans, direction, *separations)
        rows.append("\t".join(map(str, cells)))
    return rows


def write_folds(options: SynthOptions, out: Path, overwrite: bool = False) -> int:
    """Write a set of synthetic folds.

    Files appear whole or not at all; truth.tsv and README.md come last, so a folder that has them
    is complete.

    Args:
        options: What to make.
        out: Folder; made if absent.
        overwrite: Replace an older set in `out`.

    Returns:
        The number of pairs of strands in all chains.

    A folder that cannot be written, or is not empty, is an `InputError`.
    """
    structures = _emptied(out, overwrite)
    truth = ["\t".join(TRUTH_COLUMNS)]
    with progress("folds", options.chains) as advance:
        for number in range(options.chains):
            chain, fold, (suffix, text), zipped = draw_chain(options, number)
            content = text(chain).encode("ascii")
            name = f"{chain.name}{suffix}{'.gz' if zipped else ''}"
            # no time of day and no file name in the gzip header: equal bytes every time
            write_bytes(
                structures / name, gzip.compress(content, 6, mtime=0) if zipped else content
            )
            truth += truth_rows(chain, fold, f"{STRUCTURES}/{name}")
            advance(1, name)
    write_text(out / "truth.tsv", "\n".join(truth) + "\n")
    write_text(out / "README.md", _readme(options))
    return len(truth) - 1


def _readme(options: SynthOptions) -> str:
    made = f"--chains {options.chains} --length {options.length[0]} {options.length[1]}"
    if options.separation is not None:
        made += f" --separation {options.separation}"
    made += f" --seed {options.seed} --format {options.format}"
    return README.format(version=__version__, options=made, hydrophobic=HYDROPHOBIC, polar=POLAR)


def _emptied(out: Path, overwrite: bool) -> Path:
    """Make the folder of the structures; an older set is removed if that was asked for.

    Raises:
        InputError: If `out` cannot be written, is not empty, or holds what no synth made.
    """
    structures = out / STRUCTURES
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = sorted(path.name for path in out.iterdir())
        foreign = [name for name in there if name not in (STRUCTURES, "truth.tsv", "README.md")]
        if there and not overwrite:
            raise InputError(f"--out {out} is not empty; choose another, or add --overwrite")
        if foreign:
            raise InputError(
                f"--out {out} holds {foreign[0]}, which no synth made; choose another folder"
            )
        for name in ("README.md", "truth.tsv"):
            (out / name).unlink(missing_ok=True)
        if structures.is_dir():
            shutil.rmtree(structures)
        structures.mkdir()
    except OSError as error:
        raise InputError(
            f"--out {out} cannot be written ({error.strerror}); choose another"
        ) from error
    return structures
