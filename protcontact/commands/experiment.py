"""Compares architectures at equal size and equal compute: several seeds, intervals, one table.

SUITE.yaml names configs beside it, seeds, and the seconds of training steps that every run may
take. First each config's time per step is measured; that decides its number of steps (plan.json).
Then every config is trained with every seed, each in a process of its own, and its last weights are
scored on whole chains: nothing is validated during training and no checkpoint is chosen.

DIR gets runs.csv (one row per run), summary.csv (per config: mean and standard deviation over
seeds, 95 % bootstrap interval over chains), by_separation.csv, by_length.csv, chains.csv (per run
and chain), table.md and suite.png.

A run that fails is reported and the others go on; the exit status is then 1. The same command goes
on where it was interrupted, and makes failed runs again. Results of other data, another budget or
other settings are never mixed: they need another folder.

Examples:
  protcontact experiment configs/experiment/suite.yaml --data data --out comparison
  protcontact experiment configs/experiment/suite.yaml --data data --out comparison --jobs 2
"""

import argparse
import signal
from pathlib import Path

from protcontact.data.lock import exclusive
from protcontact.errors import InputError
from protcontact.report.suite import read_suite
from protcontact.report.suite_compare import compare
from protcontact.report.suite_runs import Processes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("suite", type=Path, metavar="SUITE.yaml", help="configs, seeds and budget")
    add(
        "--data",
        "--data.path",
        dest="data",
        type=Path,
        default=Path("data"),
        metavar="PATH",
        help="a prepared and split data set (default: %(default)s)",
    )
    add(
        "--out",
        type=Path,
        default=Path("runs/experiment"),
        metavar="DIR",
        help="folder of results (default: %(default)s)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="runs at a time (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train, score and tabulate.

    Returns:
        0, or 1 if a run failed.

    Raises:
        InputError: If the arguments are unusable.
    """
    if args.jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {args.jobs}")
    suite = read_suite(args.suite)
    # SIGTERM ends the trainings, too, as Ctrl-C does
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with exclusive(args.out):
            result = compare(suite, args.data, args.out, args.jobs, Processes())
    finally:
        signal.signal(signal.SIGTERM, before)
    print(result.table)
    for warning in result.warnings:
        print(f"warning: {warning}")
    for failure in result.failures:
        print(f"\nFAILED {failure.run.label}: {failure.reason}\n{failure.said}")
    if result.finished:
        print(f"tables and figure in {args.out}")
    if result.failures:
        print(f"{len(result.failures)} runs failed; the same command makes them again")
    return 1 if result.failures else 0
