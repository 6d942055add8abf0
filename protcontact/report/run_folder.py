"""How is a run read from its own folder?

``hparams.yaml`` has the settings, ``metrics.csv`` the curves, ``*_chains.tsv`` the scores of every
chain. A folder that holds starts of a run (``version_0``, ``version_1``) stands for its newest
start that trained, or where none did, as of an ensemble, for its newest one.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from protcontact.errors import InputError
from protcontact.report.runs import SPLITS, Run, make_run
from protcontact.training.loggers import starts_of
from protcontact.training.score_files import score_files

SETTINGS = "hparams.yaml"
CURVES = "metrics.csv"
_LOOKED_FOR = "a run is a folder with hparams.yaml and metrics.csv, written by `protcontact fit`"


def is_run_folder(path: Path) -> bool:
    """Whether `read_run_folder` would find a run there."""
    return (path / SETTINGS).is_file() or any(path.glob(f"version_*/{SETTINGS}"))


def read_run_folder(path: Path) -> Run:
    """Read a run.

    Args:
        path: ``runs/bilstm/version_0``, or ``runs/bilstm`` for the newest start that trained, or
            else that scored.

    Returns:
        The run, named by the folder. An `InputError` if there is none, or a file is damaged.
    """
    folder = _start(path)
    settings = _settings(folder / SETTINGS)
    files = {}
    for split in SPLITS:
        for name in score_files(split):
            if (folder / name).is_file():
                files[name] = _text(folder / name)
    return make_run(_name(folder), str(folder), settings, read_curves(folder / CURVES), files)


def _start(path: Path) -> Path:
    """The folder of one start.

    Raises:
        InputError: If there is none.
    """
    if (path / SETTINGS).is_file():
        return path
    starts = [start for start in reversed(starts_of(path)) if (start / SETTINGS).is_file()]
    trained = [start for start in starts if (start / "checkpoints").is_dir()]
    if starts:
        return [*trained, *starts][0]
    raise InputError(f"{path} holds no run: {_LOOKED_FOR}")


def _name(folder: Path) -> str:
    """``runs/bilstm/version_0`` is `bilstm`, other starts are told apart."""
    full = folder.absolute()
    if not full.name.startswith("version_"):
        return full.name
    return full.parent.name if full.name == "version_0" else f"{full.parent.name}/{full.name[8:]}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}); {_LOOKED_FOR}") from error


def _settings(file: Path) -> Mapping[str, Any]:
    """Read the settings of a run.

    Raises:
        InputError: If they are damaged.
    """
    try:
        content = yaml.safe_load(_text(file))
    except yaml.YAMLError as error:
        raise InputError(
            f"{file} is no YAML ({' '.join(str(error).split())}); {_LOOKED_FOR}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no settings; {_LOOKED_FOR}")
    return content


def read_curves(file: Path) -> dict[str, list[tuple[int, float]]]:
    """Name of a logged number -> its values by step.

    Raises:
        InputError: If the file is missing or damaged.
    """
    history: dict[str, list[tuple[int, float]]] = {}
    text = _text(file)
    try:
        for row in csv.DictReader(text.splitlines()):
            step = int(float(row.pop("step") or 0))
            for name, value in row.items():
                if value and name != "epoch":
                    history.setdefault(name, []).append((step, float(value)))
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise InputError(f"{file} is damaged ({error}); {_LOOKED_FOR}") from error
    return history
