"""Check that no validation or test chain has a homologue in training.

Searches them against the training chains with MMseqs2, writes audit.tsv (id, split, nearest
training chain, identity, coverage; one line for every validation and test chain, the last three
empty where nothing was found) into DIR, and ends with status 1 if the split leaks. Works on any
splits.tsv with the columns id, split, cluster and length, also one that you wrote.

Examples:
  protcontact audit data
  protcontact audit data --min-identity 0.25
"""

import argparse
import sys
from pathlib import Path

from protcontact.commands.split import add_threads
from protcontact.data.audit import audit
from protcontact.data.homology import MMseqs, Threshold
from protcontact.data.splits import check_threshold, read_facts


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set with splits")
    source = "(default: what the split was made with, else"
    add(
        "--min-identity",
        type=float,
        metavar="X",
        help=f"identical residues / aligned columns of homologues {source} {Threshold().identity})",
    )
    add(
        "--coverage",
        type=float,
        metavar="X",
        help=f"aligned part, of the chain that is covered more {source} {Threshold().coverage})",
    )
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Audit, print the summary, and return 1 if the split leaks."""
    facts = read_facts(args.folder)
    default = facts.threshold if facts else Threshold()
    threshold = Threshold(
        default.identity if args.min_identity is None else args.min_identity,
        default.coverage if args.coverage is None else args.coverage,
    )
    check_threshold(threshold)
    mmseqs = MMseqs(args.threads)
    print("searching val and test against train with MMseqs2 ...", file=sys.stderr, flush=True)
    report = audit(args.folder, threshold, mmseqs)
    print(report)
    if report.leaks:
        print("the split LEAKS; make another with `protcontact split`", file=sys.stderr)
    return 1 if report.leaks else 0
