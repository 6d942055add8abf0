"""Write synthetic folds as ordinary structure files, to try everything without any data.

The folds are made up: ideal helices and strands packed in layers and joined by loops, with N, CA,
C, O and CB atoms. Their sequences carry the contacts: strands that lie side by side have letters
that follow each other in a fixed cycle, and which strands do is drawn anew for every chain. So the
sequence separation says little about the contacts, and a model that compares distant residues
learns them in a minute. Nothing about real proteins can be learned from them.

DIR gets structures/ (mmCIF and PDB files, some gzipped, some with unresolved ends), truth.tsv (the
pairs of strands and their separations) and a README.md. Equal options give equal files.

With --separation S, some sheets are made of strands from the two ends of the chain, so that all
their contacts are at least S residues apart: what a model can carry that far becomes visible. The
chains must be at least S + 40 residues long.

Examples:
  protcontact synth --out synthetic
  protcontact synth --out far --length 600 700 --separation 500 --chains 50 --seed 1
  protcontact prepare synthetic/structures --out data
"""

import argparse
import time
from pathlib import Path

from protcontact.data.synthetic.write import FORMATS, STRUCTURES, SynthOptions, write_folds


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    default = SynthOptions()
    add = parser.add_argument
    add("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    add(
        "--chains",
        type=int,
        default=default.chains,
        metavar="N",
        help="number of chains (default: %(default)s)",
    )
    add(
        "--length",
        type=int,
        nargs=2,
        default=default.length,
        metavar=("MIN", "MAX"),
        help="residues per chain, drawn evenly (default: {} {})".format(*default.length),
    )
    add(
        "--separation",
        type=int,
        metavar="S",
        help="plant pairs of strands at least S residues apart, 6 to 1000 (default: as they fall)",
    )
    add(
        "--seed",
        type=int,
        default=default.seed,
        metavar="K",
        help="another seed gives other folds (default: %(default)s)",
    )
    add(
        "--format",
        choices=tuple(FORMATS),
        default=default.format,
        help="format of the files; mixed: each chain in one of the two (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace an older set in DIR")


def run(args: argparse.Namespace) -> int:
    """Write the folds and say what was written."""
    start = time.monotonic()
    shortest, longest = args.length
    options = SynthOptions(
        args.chains, (shortest, longest), args.separation, args.seed, args.format
    )
    pairs = write_folds(options, args.out, args.overwrite)
    print(
        f"{options.chains} synthetic chains with {pairs} pairs of strands in {args.out} "
        f"({time.monotonic() - start:.1f} s)"
    )
    print(f"next: protcontact prepare {args.out / STRUCTURES} --out data")
    return 0
