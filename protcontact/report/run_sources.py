"""Where is a run that was named on the command line?"""

import re
from collections.abc import Sequence
from pathlib import Path

from protcontact.errors import InputError
from protcontact.report.run_folder import is_run_folder, read_run_folder
from protcontact.report.run_wandb import offline_log, read_offline_run, read_online_run
from protcontact.report.runs import Run

_ONLINE = re.compile(r"[\w.-]+/[\w.-]+/[\w.-]+")


def read_run(name: str) -> Run:
    """Read one run.

    Args:
        name: A folder of a run, an offline folder of wandb, or ``entity/project/run``.

    Returns:
        The run.

    Raises:
        InputError: If it is none of them, or cannot be read.
    """
    path = Path(name)
    if is_run_folder(path):
        return read_run_folder(path)
    if offline_log(path) is not None:
        return read_offline_run(path)
    if not path.exists() and _ONLINE.fullmatch(name):
        return read_online_run(name)
    what = "holds no run" if path.exists() else "does not exist"
    raise InputError(
        f"{name} {what}; name the folder of a run (runs/bilstm or runs/bilstm/version_0), an "
        "offline folder of wandb (.../wandb/offline-run-...), or entity/project/run"
    )


def read_runs(names: Sequence[str]) -> list[Run]:
    """Read several runs, each named once.

    Raises:
        InputError: As `read_run`, or if two names are the same run.
    """
    runs: dict[str, Run] = {}
    for name in names:
        run = read_run(name)
        place = Path(run.source)
        own = str(place.resolve()) if place.exists() else run.source
        if own in runs:
            raise InputError(f"{name} is named twice; name each run once")
        runs[own] = run
    return list(runs.values())
