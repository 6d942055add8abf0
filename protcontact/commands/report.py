"""One page about runs: contact maps to point at, precision, calibration, gradient flow, settings.

RUN is named as for `protcontact compare`. The page is one file that needs no network: true and
predicted contact maps with author numbering, sliders for the threshold and the separation, the
worst and the best chains; precision by separation beside the nulls; calibration; the gradient over
the training where it was measured; what differs between the runs, with a verdict; all settings.

Maps need the checkpoint in the run's folder and the data of the training, which is found where the
training found it, or by --data.

Examples:
  protcontact report runs/bilstm --out page.html
  protcontact report runs/bilstm runs/transformer --split test --chains 50 --out page.html
"""

import argparse
from dataclasses import replace
from pathlib import Path

from protcontact.atomic import write_text
from protcontact.commands.trust import add_trust_package
from protcontact.data.datamodule import ContactDataModule
from protcontact.data.progress import progress
from protcontact.errors import InputError
from protcontact.report.compare import compare
from protcontact.report.page import page
from protcontact.report.page_runs import RunPage, checkpoint_of, show_run
from protcontact.report.run_sources import read_runs
from protcontact.report.runs import SPLITS, Run


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="as for `protcontact compare`")
    add("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    add("--data", type=Path, metavar="PATH", help="data set (default: that of the training)")
    add(
        "--split", choices=SPLITS, help="whose chains (default: test if all runs have scores of it)"
    )
    add(
        "--chains",
        type=int,
        default=100,
        metavar="N",
        help="maps of all runs together; the same chains of each, from the worst of the first run "
        "to its best (default: %(default)s)",
    )
    add(
        "--longest",
        type=int,
        default=500,
        metavar="L",
        help="residues of the longest chain that is shown (default: %(default)s)",
    )
    add_trust_package(parser)
    add("--force", action="store_true", help="put scores of different data side by side")


def run(args: argparse.Namespace) -> int:
    """Write the page.

    Returns:
        0.

    Raises:
        InputError: If the arguments are unusable, or a run has no scores.
    """
    if args.chains < 1 or args.longest < 1:
        raise InputError(f"--chains and --longest must be >= 1, not {args.chains}, {args.longest}")
    runs = read_runs(args.runs)
    found = compare(runs, args.split, each=True, force=args.force)
    names = {run.source: model.name for model in found.models for run in model.runs}
    runs = [replace(run, name=names[run.source]) for run in runs]
    each = max(1, args.chains // len(runs))
    with progress("predicting", each * len(runs)) as advance:
        shown = []
        for one in runs:
            data = _data(one, args.data)
            if isinstance(data, str):
                shown.append(RunPage(one, found.split, missing=data))
            else:
                options = (each, args.longest, advance, args.trust_package, args.force)
                shown.append(show_run(one, runs[0], found.split, data, *options))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(args.out, page(found, shown))
    for drawn in shown:
        if drawn.missing:
            print(f"no maps of {drawn.run.name}: {drawn.missing}")
    maps = sum(len(drawn.maps) for drawn in shown)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {maps} maps")
    return 0


def _data(run: Run, given: Path | None) -> ContactDataModule | str:
    """The data set of a run, set up; or why there is none."""
    if not checkpoint_of(run).is_file():
        return f"there is no {checkpoint_of(run)}"
    path = given or Path(str(run.facts.get("data_path", "data")))
    if given is None and not path.is_dir():
        return f"its data set {path} is not here: give --data"
    templates = run.config.get("data.templates_per_chain", 0)
    data = ContactDataModule(str(path), templates_per_chain=int(templates))
    data.setup("test")
    return data
