"""What did the best validation of a run score, chain by chain?

The means are in the log; which chains a model fails on, and whether another one is better on the
same chains, only the table tells. It belongs to ``best.ckpt``, and follows it into the folder of a
resumed run.
"""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn

from protcontact.atomic import write_text
from protcontact.data.datamodule import ContactDataModule
from protcontact.training.module import ContactModule
from protcontact.training.score_files import send_to_wandb, write_scores


class ChainScoresTable(pl.Callback):
    """Writes ``val_chains.tsv`` and ``val_scores.json`` whenever a validation is the best so far.

    Args:
        monitor: Name of the logged score; higher is better. That of ``best.ckpt``.
    """

    def __init__(self, monitor: str = "val/long/P@L") -> None:
        self.monitor = monitor
        self._best = -math.inf
        self._files: dict[str, str] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what a resumed run has brought along.

        Raises:
            ValueError: If the run is not one of a `ContactModule` on a `ContactDataModule`.
        """
        data = getattr(trainer, "datamodule", None)
        if not isinstance(pl_module, ContactModule) or not isinstance(data, ContactDataModule):
            raise ValueError("ChainScoresTable needs a ContactModule and a ContactDataModule")
        folder = _folder(trainer)
        if any(
            each.monitor == self.monitor and not each.best_model_path for each in _kept(trainer)
        ):
            self._best, self._files = -math.inf, {}  # as the checkpoint is not here
        if not self._files or not trainer.is_global_zero:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self._files.items():
            write_text(folder / name, text)
        send_to_wandb(trainer, self._files)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the tables if this validation is the best."""
        folder = _folder(trainer)
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or value is None:
            return
        if not float(value) > self._best:
            return
        self._best = float(value)
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, ContactModule)
        about = {"fingerprint": pl_module.scored_on.get("val"), "step": trainer.global_step}
        self._files = write_scores(pl_module, "val", folder, about)
        send_to_wandb(trainer, self._files)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        return {"best": self._best, "files": dict(self._files)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on."""
        self._best, self._files = state_dict["best"], dict(state_dict["files"])


def _kept(trainer: pl.Trainer) -> list[ModelCheckpoint]:
    return [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]


def _folder(trainer: pl.Trainer) -> Path:
    return Path(trainer.log_dir or trainer.default_root_dir)  # a collective: on every rank
