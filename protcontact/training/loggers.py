"""Where do the numbers of a run go?

A CSV file in the run's folder, always, and wandb where it is installed and not disabled: online if
the user is logged in, offline otherwise, so that nothing ever asks for an account.
"""

import importlib.util
import netrc
import os
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only


def run_loggers(folder: str | Path, project: str = "protcontact") -> list[Logger]:
    """Make the loggers of a run that starts now, and the folder that they write into.

    Args:
        folder: The run's folder; each start writes into a new ``version_N`` below it.
        project: wandb project.

    Returns:
        The CSV logger first: its folder is the run's log folder.
    """
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    # other ranks write nothing, and are told the folder by the first
    csv = CSVLogger(save_dir=str(folder), name="", version=_claim(Path(folder)) if first else None)
    if importlib.util.find_spec("wandb") is None or os.environ.get("WANDB_MODE") == "disabled":
        return [csv]
    online = logged_in() and os.environ.get("WANDB_MODE", "online") == "online"
    return [
        csv,
        WandbLogger(
            name=Path(folder).name, save_dir=csv.log_dir, project=project, offline=not online
        ),
    ]


def logged_in() -> bool:
    """Whether wandb would find an API key, looked up without loading wandb or asking anyone."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    file = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    if not file.is_file():
        return False
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc(str(file)).authenticators(host) is not None
    except netrc.NetrcParseError:
        return False


def _claim(folder: Path) -> int:
    """Make the next ``version_N`` that nobody else makes at this moment, as a sweep's agents do."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = starts_of(folder)
    number = int(starts[-1].name[8:]) + 1 if starts else 0
    while True:
        try:
            (folder / f"version_{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return number


def starts_of(folder: Path) -> list[Path]:
    """Folders ``version_N`` of the starts of a run, the oldest first."""
    starts = [start for start in folder.glob("version_*") if start.name[8:].isdigit()]
    return sorted(starts, key=lambda start: int(start.name[8:]))
