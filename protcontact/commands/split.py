"""Divide a data set into train, val and test so that no homologues are parted.

Chains with at least 30 % identical residues over at least 80 % of either chain end up in one
homology cluster (sensitive MMseqs2 search of all against all, connected components), and clusters
go to a split as a whole, by seed. The result is checked by searching test and val against train.
Writes splits.tsv (id, split, cluster, length) and split.json into DIR.

Examples:
  protcontact split data
  protcontact split data --seed 1 --fractions 0.7 0.15 0.15
  protcontact split data --exclude cameo.fasta
"""

import argparse
import sys
from pathlib import Path

from protcontact.data.homology import MMseqs, Threshold
from protcontact.data.pool import usable_cores
from protcontact.data.splits import FRACTIONS, SplitOptions, split


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set made by `protcontact prepare`")
    add("--seed", type=int, default=0, help="another seed, another split (default: %(default)s)")
    add(
        "--fractions",
        type=float,
        nargs=3,
        default=list(FRACTIONS.values()),
        metavar=("TRAIN", "VAL", "TEST"),
        help="parts of the chains, together 1 (default: 0.8 0.1 0.1)",
    )
    add(
        "--min-identity",
        type=float,
        default=Threshold().identity,
        metavar="X",
        help="identical residues / aligned columns of homologues (default: %(default)s)",
    )
    add(
        "--coverage",
        type=float,
        default=Threshold().coverage,
        metavar="X",
        help="aligned part, of the chain that is covered more (default: %(default)s)",
    )
    add(
        "--exclude",
        type=Path,
        metavar="FASTA",
        help="sequences of an outside benchmark: their homologues go to no split (`excluded`)",
    )
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads``, which split and audit share."""
    parser.add_argument(
        "--threads",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="threads of MMseqs2 (default: all cores, here %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Split and print the sizes."""
    fractions = dict(zip(FRACTIONS, args.fractions, strict=True))
    threshold = Threshold(args.min_identity, args.coverage)
    options = SplitOptions(args.seed, fractions, threshold, args.exclude)
    mmseqs = MMseqs(args.threads)
    print("searching all chains against all with MMseqs2 ...", file=sys.stderr, flush=True)
    print(split(args.folder, options, mmseqs))
    print(f"splits in {args.folder / 'splits.tsv'}; check them: protcontact audit {args.folder}")
    return 0
