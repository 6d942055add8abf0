"""Compare runs: what differs, which is better, and whether the difference is real.

RUN is the folder of a training (runs/bilstm, or one start of it: runs/bilstm/version_1), an offline
folder of wandb (.../wandb/offline-run-...), or a run on a wandb server (entity/project/run), in any
mixture. Runs whose settings agree in all but the seed are joined, with the spread over seeds.

The scores are those of single chains: of the test split where all runs have them (`protcontact
test` writes them), else those of the best validation. Every model is compared with the first RUN on
the same chains, by a paired bootstrap: better, worse, or not distinguishable. Runs that were scored
on other chains, labels or definitions are refused, unless --force.

--out DIR writes compare.md, compare.csv and chains.csv. --wandb-report makes a report of the runs
that are on a wandb server: precision by range, gradient flow, contact maps.

Examples:
  protcontact compare runs/bilstm runs/transformer
  protcontact compare runs/bilstm/version_* --each --split val
  protcontact compare runs/bilstm lab/protcontact/3xk2a9f1 --metric long/P@L/5 --out compared
"""

import argparse
import importlib.util
import sys
from pathlib import Path

from protcontact.report.compare import COLUMNS, compare
from protcontact.report.compare_text import TextTable, sentences, text_tables, write_comparison
from protcontact.report.run_sources import read_runs
from protcontact.report.runs import SPLITS
from protcontact.report.suite_tables import FIRST

WIDTH = 160  # of a table in a log file


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a folder, an offline folder of wandb, or a path there",
    )
    add("--split", choices=SPLITS, help="scores of which split (default: test if all have it)")
    add(
        "--metric",
        default=FIRST,
        choices=COLUMNS,
        metavar="SCORE",
        help="by which runs are judged: short, medium or long / P@L, P@L/2, P@L/5, R-precision or "
        "AUPRC (default: %(default)s)",
    )
    add("--reference", metavar="RUN", help="compare the others with it (default: the first RUN)")
    add("--each", action="store_true", help="keep runs apart that differ in the seed only")
    add("--force", action="store_true", help="compare scores of different data")
    add("--out", type=Path, metavar="DIR", help="write the tables here as well")
    add(
        "--wandb-report",
        metavar="ENTITY/PROJECT",
        help="make a report there of the runs that are on a wandb server",
    )


def run(args: argparse.Namespace) -> int:
    """Read, compare, print.

    Returns:
        0. An `InputError` tells which run cannot be compared.
    """
    found = compare(
        read_runs(args.runs), args.split, args.metric, args.reference, args.each, args.force
    )
    for table in text_tables(found):
        _print(table)
    for sentence in sentences(found):
        print(sentence)
    if args.out is not None:
        write_comparison(found, args.out)
        print(f"compare.md, compare.csv and chains.csv in {args.out}")
    if args.wandb_report is not None:
        from protcontact.report.wandb_report import publish

        print(f"report: {publish(found, args.wandb_report)}")
    return 0


def _print(table: TextTable) -> None:
    if importlib.util.find_spec("rich") is None:
        rows = [table.header, *table.rows]
        widths = [max(len(row[n]) for row in rows) for n in range(len(table.header))]
        print(table.title)
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        print()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=escape(table.title))  # a run may be called `b[lr=1]`
    for n, name in enumerate(table.header):
        drawn.add_column(escape(name), justify="left" if n < 2 else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(drawn)
