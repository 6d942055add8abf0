"""Which checkpoint is the best of a run that was killed and resumed?

Each start of a run writes into a folder of its own. Lightning forgets the best score when the
folder changes, and would then call the best since the restart the best of all. And a start that is
killed before it saves for the first time must leave something to go on from: what it itself went on
from, which need not be the newest checkpoint of the older start. And what is saved just before a
validation would lose that validation: a resumed run goes on behind it.
"""

import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from protcontact.atomic import replacing


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that takes its file along into the folder of a resumed run.

    With a `monitor` that is the best file; without one, the file that training goes on from.
    Takes the arguments of `ModelCheckpoint`.
    """

    _resumed: Path | None = None
    _due = False  # to be saved when the validation that is about to start has ended

    def on_train_batch_end(
        self,
        trainer: "pl.Trainer",
        pl_module: "pl.LightningModule",
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save, or wait for the validation at this step: a resumed run does not repeat it."""
        if self.monitor is None and _validation_follows(trainer):
            self._due = True
            return
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Save what had to wait."""
        super().on_validation_end(trainer, pl_module)
        if self._due and not self._should_skip_saving_checkpoint(trainer):
            self._due = False
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_load_checkpoint(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", checkpoint: dict[str, Any]
    ) -> None:
        """Note what training goes on from; scoring goes on with nothing."""
        fitting = trainer.state.fn == TrainerFn.FITTING
        self._resumed = Path(trainer.ckpt_path) if fitting and trainer.ckpt_path else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the scores of the run that is resumed."""
        if self._resumed is None:
            return
        old = Path(state_dict["best_model_path"] or ".")
        if self.dirpath is not None and old.is_file() and old.parent != Path(self.dirpath):
            new = Path(self.dirpath) / old.name
            _copy(self._resumed if self.monitor is None else old, new)
            scores = state_dict.get("best_k_models", {})
            moved = {str(new): scores[str(old)]} if str(old) in scores else {}
            state_dict = {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": str(new),
                "best_k_models": moved,
                "kth_best_model_path": str(new) if moved else "",
                "last_model_path": "",
            }
        super().load_state_dict(state_dict)


def _validation_follows(trainer: "pl.Trainer") -> bool:
    """Whether the step that has just ended is one after which Lightning validates."""
    if trainer.check_val_every_n_epoch is not None or trainer.limit_val_batches == 0:
        return False
    batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
    return batches % int(trainer.val_check_batch or 1) == 0


@rank_zero_only
def _copy(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    with replacing(new) as temporary:
        shutil.copyfile(old, temporary)
