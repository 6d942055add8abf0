"""Read protein structures and write a data set of labelled chains.

STRUCTURES are folders (searched recursively), glob patterns, tar archives (plain, .gz, .xz, .bz2)
or single files: PDB, mmCIF and BinaryCIF, each also gzipped. The data set is a folder of Parquet
files with the full sequence and the coordinates of each protein chain, a manifest, and
rejected.tsv, in which every file that gave no chain stands with the reason.

A run that was interrupted continues when the same command is given again, and ends with the same
bytes as one that was not. Given again after files were corrected in place, it reads the Parquet
files anew that they went into (told by the time of modification, of archive members that of the
archive); files of another name or size make another data set, which needs --overwrite.

Examples:
  protcontact prepare structures/ --out data
  protcontact prepare 'pdb/*/*.cif.gz' more.tar 1abc.pdb --out data --workers 8
  protcontact prepare /shared/pdb --out /shared/data --scheduler tcp://node1:8786
"""

import argparse
import time
from pathlib import Path

from protcontact.data.pool import usable_cores
from protcontact.data.prepare import Where, prepare
from protcontact.data.shards import ReadOptions


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("structures", nargs="+", metavar="STRUCTURES", help="folders, globs, tar archives, files")
    add("--out", required=True, type=Path, metavar="DIR", help="folder of the data set")
    add(
        "--overwrite",
        action="store_true",
        help="replace a data set of other inputs or options in DIR, with its splits",
    )
    _configure_chains(parser)
    _configure_work(parser)


def _configure_chains(parser: argparse.ArgumentParser) -> None:
    default = ReadOptions()
    add = parser.add_argument_group("which chains").add_argument
    add(
        "--min-length",
        type=int,
        default=default.min_length,
        metavar="L",
        help="reject chains with fewer residues in their full sequence (default: %(default)s)",
    )
    add("--max-length", type=int, metavar="L", help="reject longer chains (default: no limit)")
    add(
        "--allow-ca-only",
        action="store_true",
        help="take chains that have only CA atoms; their contacts are not CB contacts, so keep "
        "them in a data set of their own (default: rejected)",
    )


def _configure_work(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how the work is done").add_argument
    add(
        "--workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="processes on this machine (default: its cores, here %(default)s)",
    )
    add(
        "--scheduler",
        default="",
        metavar="ADDRESS",
        help="use the workers of this Dask scheduler instead; they must see the same files under "
        "the same paths (extra `cluster`)",
    )
    add(
        "--shard-size",
        type=int,
        default=256,
        metavar="N",
        help="inputs per Parquet file (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Prepare and print what became of the inputs."""
    start = time.monotonic()
    report = prepare(
        args.structures,
        args.out,
        ReadOptions(args.min_length, args.max_length, args.allow_ca_only),
        args.shard_size,
        Where(args.workers, args.scheduler),
        args.overwrite,
    )
    print(report)
    print(f"data set in {args.out} ({time.monotonic() - start:.1f} s)")
    print(f"next: protcontact split {args.out}")
    return 0
