"""Where the gradient goes: ten experiments that check themselves, and two looks into a checkpoint.

Each measures one claim on real modules, compares it with a closed form or a slow dense truth, and
writes DIR/readings.csv (every number), checks.csv (how far apart the two were), figure.png and
conclusion.txt. `all` runs the ten, in about a minute on one core, each into a folder of its own,
and writes DIR/index.html: a page that explains them from top to bottom. The exit status is 1 if a
check fails.

`diagnose` and `jacobian-map` do the same with a trained model, on some chains of a data set.

Examples:
  protcontact gradflow all --out gradient
  protcontact gradflow diagnose --checkpoint best.ckpt --data data --out diagnosis
  protcontact gradflow memory --length 2000 --out memory
  protcontact gradflow memory --help
"""

import argparse
import dataclasses
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from protcontact.atomic import write_text
from protcontact.commands.trust import add_trust_package
from protcontact.data.progress import progress
from protcontact.errors import InputError
from protcontact.gradflow.diagnosis import measure_diagnosis
from protcontact.gradflow.experiment import Experiment, Result
from protcontact.gradflow.experiments import ORDER, experiment
from protcontact.gradflow.jacobian_map import measure_jacobian_map
from protcontact.gradflow.trained import refuse_broken
from protcontact.report.chains import chosen_chains
from protcontact.report.experiment_files import write_result
from protcontact.report.experiment_page import Section, page
from protcontact.training.checkpoint import KEY, load_model, prior_of, read_checkpoint

ALL = "all"
OBJECTIVE = ("min_separation", "positive_weight")  # what of a training the loss of contacts has


class Look(NamedTuple):
    """A measurement of a trained model on whole chains.

    Attributes:
        measure: Of the model, the chains, a null, a seed and a progress bar.
        title: In a line.
        chains: Looked at by default.
        shortest: Chain that has something to show.
        longest: Chain looked at by default.
        asks_objective: Whether it takes the loss as it was in training.
    """

    measure: Callable[..., Result]
    title: str
    chains: int
    shortest: int
    longest: int
    asks_objective: bool


LOOKS = {
    "diagnose": Look(
        measure_diagnosis,
        "where does precision die along the chain, and does the gradient die there, too?",
        chains=12,
        shortest=30,
        longest=512,
        asks_objective=True,
    ),
    "jacobian-map": Look(
        measure_jacobian_map,
        "the Jacobian of a trained model as a contact map, beside the model's own",
        chains=8,
        shortest=48,
        longest=128,
        asks_objective=False,
    ),
}


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

    for name, look in LOOKS.items():
        one = names.add_parser(
            name,
            help=look.title,
            description=inspect.getmodule(look.measure).__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_out(one)
        _add_subject(one, look)


def _add_subject(parser: argparse.ArgumentParser, look: Look) -> None:
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, metavar="FILE", help="written by protcontact fit")
    add("--data", required=True, type=Path, metavar="DIR", help="a prepared and split data set")
    add(
        "--split",
        choices=("train", "val", "test"),
        default="test",
        help="split whose chains are looked at (default: %(default)s)",
    )
    add(
        "--chains",
        type=int,
        default=look.chains,
        metavar="N",
        help="chains to look at, spread over all lengths (default: %(default)s)",
    )
    add(
        "--max-length",
        type=int,
        default=look.longest,
        metavar="L",
        help="longest chain to look at; time grows faster than it (default: %(default)s)",
    )
    add("--seed", type=int, default=0, metavar="INT", help="of random signs (default: %(default)s)")
    add_trust_package(parser)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")


def _add_field(parser: argparse.ArgumentParser, field: "dataclasses.Field[Any]") -> None:
    default: Any = field.default
    several = isinstance(default, tuple)
    example = default[0] if several else default
    shown = " ".join(map(str, default)) if several else default
    limits = f", {field.metadata['limits']}" if "limits" in field.metadata else ""
    parser.add_argument(
        f"--{field.name.replace('_', '-')}",
        type=type(example),
        nargs="+" if several else None,
        default=default,
        metavar=type(example).__name__.upper(),
        help=f"{field.metadata['help']}{limits} (default: {shown})",
    )


def run(args: argparse.Namespace) -> int:
    """Run, and print what was found.

    Returns:
        0, or 1 if a check fails.
    """
    if args.experiment == ALL:
        return _run_all(args.out, args.seed)
    if args.experiment in LOOKS:
        result = _looked(LOOKS[args.experiment], args)
    else:
        result = _made(experiment(args.experiment), args).run()
    write_result(result, args.out)
    _print(args.experiment, result)
    print(f"readings, checks, figure and conclusion in {args.out}")
    return 0 if result.holds else 1


def _looked(look: Look, args: argparse.Namespace) -> Result:
    model = load_model(args.checkpoint, args.trust_package)
    try:
        refuse_broken(model)
    except InputError as error:
        raise InputError(f"{args.checkpoint}: {error}") from error
    about = read_checkpoint(args.checkpoint)[KEY]
    chains = chosen_chains(args.data, args.split, args.chains, look.shortest, args.max_length)
    objective = about.get("objective", {}) if look.asks_objective else {}
    options = {name: objective[name] for name in OBJECTIVE if name in objective}
    prior = prior_of(about)
    if prior is not None:
        options = options | {"null": prior.scores}
    with progress("chains", len(chains)) as advance:
        return look.measure(model, chains, seed=args.seed, advance=advance, **options)


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
