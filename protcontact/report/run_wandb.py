"""How is a run read from wandb, offline or from a server?

An offline run is a folder with a log of records, which wandb's own ``wandb leet inspect --json``
prints; a run on a server is asked for through `wandb.Api`. In both, the scores of every chain are
files of the run.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from protcontact.errors import InputError
from protcontact.report.runs import SPLITS, Run, make_run
from protcontact.training.score_files import score_files

STEP = "trainer/global_step"  # what wandb's own steps are translated to


def offline_log(path: Path) -> Path | None:
    """The log of records of an offline run: the file itself, or the one in its folder."""
    if path.suffix == ".wandb" and path.is_file():
        return path
    found = sorted(path.glob("*.wandb")) if path.is_dir() else []
    return found[0] if found else None


def read_offline_run(path: Path) -> Run:
    """Read an offline run.

    Args:
        path: Its folder (``wandb/offline-run-...``) or the ``.wandb`` file in it.

    Returns:
        The run, under the name that it has in wandb.

    Raises:
        InputError: If there is none, it is damaged, or wandb cannot read it.
    """
    log = offline_log(path)
    if log is None:
        raise InputError(f"{path} has no .wandb file; name the folder of an offline run of wandb")
    name, settings, history = log.parent.name, {}, []
    for kind, content in _records(log):
        if kind == "run":
            name = content.get("display_name") or name
            settings.update(content.get("config", {}).get("update", {}))
        elif kind == "config":
            settings.update(content.get("update", {}))
        elif kind == "history":
            history.append(content.get("item", {}))
    if not settings.keys() - {"_wandb"}:
        raise InputError(f"{log} holds no settings: the run ended before it had begun")
    files = {}
    for file in (log.parent / "files" / one for one in _wanted()):
        if file.is_file():
            try:
                files[file.name] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"{file} cannot be read ({error}); score the checkpoint again"
                ) from error
    return make_run(name, str(log.parent), settings, _curves(history), files)


def _wanted() -> list[str]:
    return [name for split in SPLITS for name in score_files(split)]


def _records(log: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What stands in a log, one record after the other.

    Yields:
        Kind of a record and its content.

    Raises:
        InputError: If wandb is missing or cannot read the log.
    """
    if importlib.util.find_spec("wandb") is None:
        raise InputError(f"{log} is a log of wandb: `pip install wandb` to read it")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    problem = done.stderr.strip().splitlines()
    if done.returncode != 0:
        reason = problem[-1] if problem else f"exit status {done.returncode}"
        raise InputError(f"{log} cannot be read by wandb ({reason}); is it whole?")
    for line in done.stdout.splitlines():
        try:
            record = json.loads(line)
            kind = record["type"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{log}: wandb printed no record: {line[:80]!r}") from error
        yield kind, record.get(kind) or {}


def _curves(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Name of a logged number -> its values by step of the optimizer."""
    history: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        step = row.get(STEP)
        for name, value in row.items():
            if name.startswith("_") or name in (STEP, "epoch") or step is None:
                continue
            if isinstance(value, int | float) or value in ("NaN", "Infinity", "-Infinity"):
                history.setdefault(name, []).append((int(step), float(value)))
    return history


def read_online_run(path: str, api: Any = None) -> Run:
    """Read a run from a server.

    Args:
        path: ``entity/project/run``.
        api: A `wandb.Api`; by default that of the account that is logged in.

    Returns:
        The run, under its name there.

    Raises:
        InputError: If wandb is missing, nobody is logged in, or there is no such run.
    """
    if api is None:
        api = _api(path)
    try:
        run = api.run(path)
        with tempfile.TemporaryDirectory(prefix="protcontact-wandb-") as folder:
            files = {}
            held = {file.name: file for file in run.files()}
            for name in _wanted():
                if name in held:
                    held[name].download(root=folder, replace=True).close()
                    files[name] = (Path(folder) / name).read_text(encoding="utf-8")
        rows = [*run.scan_history()]
        return make_run(run.name, path, dict(run.config), _curves(rows), files)
    except _refusals() as error:
        raise InputError(f"wandb gives no run {path}: {error}") from error


def _refusals() -> tuple[type[Exception], ...]:
    """What wandb raises, and what its answers may be unfit for."""
    own: tuple[type[Exception], ...] = (OSError, ValueError, TypeError)
    if importlib.util.find_spec("wandb") is None:
        return own
    from wandb.errors import Error

    return (*own, Error)


def _api(path: str) -> Any:
    """Ask for runs as whoever is logged in.

    Raises:
        InputError: If that is not possible.
    """
    try:
        import wandb
        from wandb.errors import Error
    except ImportError as error:
        raise InputError(f"{path} is a path of wandb: `pip install wandb` to read it") from error
    try:
        return wandb.Api(timeout=30)
    except Error as error:
        raise InputError(f"wandb refuses ({error}); `wandb login`, or name a folder") from error
