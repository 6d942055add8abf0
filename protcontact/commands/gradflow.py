"""The vanishing gradient as ten experiments that anyone can run and check.

Each measures one claim on real modules, compares it with a closed form or a slow dense truth, and
writes DIR/readings.csv (every number), checks.csv (how far apart the two were), figure.png and
conclusion.txt. `all` runs the ten, in a few minutes, each into a folder of its own, and writes
DIR/index.html: a page that explains them from top to bottom. The exit status is 1 if a check fails.

  protcontact gradflow all --out gradient
  protcontact gradflow memory --length 2000 --out memory
  protcontact gradflow memory --help
"""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

from protcontact.atomic import write_text
from protcontact.data.progress import progress
from protcontact.errors import InputError
from protcontact.gradflow.experiment import Experiment, Result
from protcontact.gradflow.experiments import ORDER, experiment
from protcontact.report.experiment_files import write_result
from protcontact.report.experiment_page import Section, page

ALL = "all"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add a parser for each experiment; its options are the fields of its class."""
    names = parser.add_subparsers(dest="experiment", metavar="EXPERIMENT", required=True)
    every = names.add_parser(ALL, help="the ten, and a page that explains them", allow_abbrev=False)
    _add_out(every)
    every.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    for name in ORDER:
        kind = experiment(name)
        one = names.add_parser(
            name,
            help=kind.title,
            description=f"{kind.title}.\n\n{kind.explanation}\n\n{kind.formula}\n\n({kind.source})",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_out(one)
        for field in dataclasses.fields(kind):
            _add_field(one, field)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")


def _add_field(parser: argparse.ArgumentParser, field: "dataclasses.Field[Any]") -> None:
    default: Any = field.default
    several = isinstance(default, tuple)
    example = default[0] if several else default
    shown = " ".join(map(str, default)) if several else default
    parser.add_argument(
        f"--{field.name.replace('_', '-')}",
        type=type(example),
        nargs="+" if several else None,
        default=default,
        metavar=type(example).__name__.upper(),
        help=f"{field.metadata['help']} (default: {shown})",
    )


def run(args: argparse.Namespace) -> int:
    """Run, and print what was found.

    Returns:
        0, or 1 if a check fails.
    """
    if args.experiment == ALL:
        return _run_all(args.out, args.seed)
    kind = experiment(args.experiment)
    result = _made(kind, args).run()
    write_result(result, args.out)
    _print(args.experiment, result)
    print(f"readings, checks, figure and conclusion in {args.out}")
    return 0 if result.holds else 1


def _made(kind: type[Experiment], args: argparse.Namespace) -> Experiment:
    values: dict[str, Any] = {f.name: getattr(args, f.name) for f in dataclasses.fields(kind)}
    values = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise InputError(str(error)) from error


def _run_all(out: Path, seed: int) -> int:
    out.mkdir(parents=True, exist_ok=True)
    sections = []
    with progress("experiments", len(ORDER)) as advance:
        for name in ORDER:
            advance(0, name)
            start = time.monotonic()
            kind = experiment(name)
            result = kind(seed=seed).run()
            picture = write_result(result, out / name)
            seconds = time.monotonic() - start
            sections.append(Section(name, kind, result, picture, seconds))
            advance(1, f"{name}: {seconds:.0f} s")
    write_text(out / "index.html", page(sections))
    for section in sections:
        _print(section.name, section.result)
    print(f"the page: {out / 'index.html'}")
    return 0 if all(section.result.holds for section in sections) else 1


def _print(name: str, result: Result) -> None:
    held = sum(check.holds for check in result.checks)
    print(f"{name}: {held} of {len(result.checks)} checks hold. {result.conclusion}")
    for check in result.checks:
        if not check.holds:
            print(f"  FAILS: {check.claim}: {check.error:.2e}, allowed {check.bound:.2e}")
