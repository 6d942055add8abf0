"""Which files hold what a run scored, and on what?

``val_chains.tsv`` has the scores of every chain, of the model and of the nulls, ``val_scores.json``
their means and what they were scored on: a fingerprint of the chains, their labels and the
definition of the scores. Two runs may be compared where it is the same. Both files lie in the run's
folder and, word for word the same, among the files of its wandb run; what is scored after the
training goes to its offline wandb run, not to one that is on a server already.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from protcontact.atomic import write_text
from protcontact.training.module import ContactModule

ABOUT = "about"  # beside the names of the model and the nulls


def score_files(split: str) -> tuple[str, str]:
    """Names of the table of chains and of the means."""
    return f"{split}_chains.tsv", f"{split}_scores.json"


def write_scores(
    module: ContactModule, split: str, folder: Path, about: Mapping[str, Any]
) -> dict[str, str]:
    """Write the scores that a module holds, on one process, after they were gathered.

    Args:
        module: After validation or test.
        split: ``val`` or ``test``.
        folder: Is made.
        about: What they are scores of; plain.

    Returns:
        Name of a file -> its content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, means = score_files(split)
    nulls = module.nulls
    module.scores.write_table(folder / table, nulls)
    summaries = {"model": module.scores.summary()}
    summaries |= {name: null.summary() for name, null in nulls.items()}
    write_text(folder / means, json.dumps({ABOUT: dict(about), **summaries}, indent=1) + "\n")
    return {name: (folder / name).read_text(encoding="utf-8") for name in (table, means)}


def send_to_wandb(trainer: pl.Trainer, files: Mapping[str, str]) -> None:
    """Put files among those of the wandb runs that a trainer logs to; on rank 0."""
    for logger in _wandb(trainer.loggers):
        folder = Path(logger.experiment.dir)
        for name, text in files.items():
            write_text(folder / name, text)
            logger.experiment.save(str(folder / name), base_path=str(folder), policy="end")


def leave_in_wandb(run: Path, files: Mapping[str, str]) -> None:
    """Put files among those of the offline wandb run that a training left in its folder."""
    for folder in (run / "wandb").glob("offline-run-*/files"):
        for name, text in files.items():
            write_text(folder / name, text)


def _wandb(loggers: Iterable[Any]) -> list[WandbLogger]:
    return [logger for logger in loggers if isinstance(logger, WandbLogger)]
