"""Fetch structures from the RCSB Protein Data Bank by id.

The file of ids holds PDB ids (1abc or pdb_00001abc) separated by blanks, commas or line ends;
what follows # is a comment. Files that are there already are not fetched again, so the same
command continues an interrupted download. failed.tsv in DIR lists the ids that could
not be fetched.

Examples:
  protcontact download --ids ids.txt --out structures
  protcontact prepare structures --out data
"""

import argparse
from pathlib import Path

from protcontact.data.download import FAILED, FORMATS, download, read_ids


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("--ids", required=True, type=Path, metavar="FILE", help="file with PDB ids")
    add("--out", required=True, type=Path, metavar="DIR", help="folder for the structures")
    add(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="BinaryCIF is the smallest and the fastest to read (default: %(default)s)",
    )
    add(
        "--workers",
        type=int,
        default=8,
        metavar="N",
        help="downloads at the same time (default: %(default)s)",
    )
    add(
        "--base-url",
        default="",
        metavar="URL",
        help="folder on another server that has the files as ID.FORMAT (default: the RCSB)",
    )


def run(args: argparse.Namespace) -> int:
    """Download; return 1 if an entry is missing."""
    report = download(read_ids(args.ids), args.out, args.format, args.workers, args.base_url)
    print(report)
    if report.failed:
        print(f"the reasons are in {args.out / FAILED}")
    return 1 if report.failed else 0
