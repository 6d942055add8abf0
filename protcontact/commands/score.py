"""Score a prediction of contacts, whoever made it, against a structure.

PREDICTION is a CASP RR file (lines "i j 0 8 p", "i j p", or with ten bins of distance; also
gzipped) or an .npz of protcontact predict or contacts. STRUCTURE is a PDB, mmCIF or BinaryCIF file.
The sequence of the file is aligned with that of each chain, so tags, missing ends and a few
mutations do no harm; the chain that matches best is scored, unless --chain names one. A file of
another protein is refused. Without a sequence, residue 1 of the file is the first of the chain's
full sequence (SEQRES).

Contacts are CB-CB (CA for glycine) below 8 Angstrom. P@L is the fraction of true contacts among the
L best pairs of a range of separations (short 6-11, medium 12-23, long 24 and more), L residues of
the full sequence of the structure, unresolved ones included. Pairs with an unresolved residue are
left out. Pairs that the file does not list come behind those it lists, by (i, j): if it lists fewer
than L, that is told, and the number says little. Beside the scores stand those of a null, which
ranks all pairs by how near they are in the sequence.

Examples:
  protcontact score --prediction T1024.rr --structure 6t1z.cif
  protcontact score --prediction predicted/1abc_A.npz --structure 1abc.pdb --chain A --out a.tsv
"""

import argparse
from pathlib import Path

from protcontact.commands.tables import print_scores
from protcontact.metrics.running import ContactScores
from protcontact.report.score_file import FileScore, score_file, write_file_score


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("--prediction", required=True, type=Path, metavar="FILE", help="RR file, or .npz")
    add("--structure", required=True, type=Path, metavar="FILE", help="PDB, mmCIF or BinaryCIF")
    add("--chain", metavar="ID", help="author chain id (default: the one that matches best)")
    add("--out", type=Path, metavar="FILE.tsv", help="write the scores as a table, too")
    add(
        "--allow-ca-only",
        action="store_true",
        help="score chains that have only CA atoms by CA distances (default: refuse them)",
    )


def run(args: argparse.Namespace) -> int:
    """Score, and print the table.

    Returns:
        0.
    """
    found = score_file(args.prediction, args.structure, args.chain, args.allow_ca_only)
    _print_what(args, found)
    both = {"prediction": ContactScores(), "separation": ContactScores()}
    both["prediction"].add(found.scores)
    both["separation"].add(found.null)
    summaries = {name: scores.summary() for name, scores in both.items()}
    print_scores(summaries, f"{args.prediction.name}, {found.chain.id}")
    if args.out is not None:
        write_file_score(args.out, args.prediction, args.structure, found)
        print(f"written to {args.out}")
    return 0


def _print_what(args: argparse.Namespace, found: FileScore) -> None:
    """Say what was laid on what, and how much of it counts."""
    chain, match = found.chain, found.match
    resolved = int(chain.resolved.sum())
    print(f"{args.structure}: chain {chain.id}, {len(chain)} residues, {resolved} resolved")
    if match is not None:
        print(
            f"{args.prediction}: {match.aligned} of its {len(match.places)} residues are aligned "
            f"with the chain, {match.identity:.1%} of them identical"
        )
    total = len(found.contacts.pairs)
    print(f"{total} pairs, {found.placed} of them of residues of the chain; of known truth:")
    for name, count in found.listed.items():
        print(f"  {name:<8}{count} of {found.scores.ranges[name].candidates} pairs are listed")
    for note in found.notes:
        print(f"note: {note}")
