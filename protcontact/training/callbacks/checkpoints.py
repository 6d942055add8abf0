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
from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

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
        """Save, also at the last step, or wait for the validation at this one.

        A resumed run does not repeat a validation.
        """
        if self.monitor is None and not self._should_skip_saving_checkpoint(trainer):
            if _validation_follows(trainer):
                self._due = True
                return
            if _ends(trainer):
                self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
                return
        if trainer.fit_loop.epoch_loop._should_accumulate():
            return  # within a step, whose gradients so far are in no file
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Save what had to wait."""
        super().on_validation_end(trainer, pl_module)
        if self._due and not self._should_skip_saving_checkpoint(trainer):
            self._due = False
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Say if there is no best checkpoint."""
        super().on_train_end(trainer, pl_module)
        rehearsal = bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
        if (
            self.monitor
            and not self.best_model_path
            and trainer.enable_validation
            and not rehearsal
        ):
            others = [each for each in trainer.checkpoint_callbacks if isinstance(each, type(self))]
            saved = [each.best_model_path for each in others if each.best_model_path]
            rank_zero_warn(
                f"the training ended without a validation that logs {self.monitor}, so there is no "
                f"{self.filename}.ckpt; set a lower --trainer.val_check_interval"
                + (f" and go on from {saved[0]}" if saved else ", and train again")
            )

    def _should_save_on_train_epoch_end(self, trainer: "pl.Trainer") -> bool:
        """Whether there is no validation to save behind.

        What is saved at the end of an epoch is resumed with the batches of the epoch after next.
        """
        return not trainer.enable_validation and super()._should_save_on_train_epoch_end(trainer)

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
        if self.dirpath is not None and state_dict["dirpath"] != self.dirpath:
            state_dict = {**state_dict, **self._taken_along(state_dict)}
        super().load_state_dict(state_dict)

    def _taken_along(self, state: dict[str, Any]) -> dict[str, Any]:
        """Copy the file into this start's folder; what changes in the state."""
        assert self._resumed is not None and self.dirpath is not None
        path = Path(state["best_model_path"])
        # a run that was moved knows its old place, where another one may be by now
        places = [self._resumed.parent / path.name, path]
        if self.monitor is None:
            places = [self._resumed]
        old = next((place for place in places if place.is_file()), None)
        changed = {"dirpath": self.dirpath, "kth_best_model_path": "", "last_model_path": ""}
        if old is None or not path.name:
            if path.name:
                looked_at = " nor at ".join(dict.fromkeys(map(str, places)))
                rank_zero_warn(
                    f"{path.name} of this run is not at {looked_at}, so it is made anew; if you "
                    "have it, put it there and start again"
                )
            forgotten = {"best_model_score": None, "kth_value": self.kth_value}
            return {**changed, **forgotten, "best_model_path": "", "best_k_models": {}}
        new = Path(self.dirpath) / path.name
        _copy(old, new)
        scores = state.get("best_k_models", {})
        moved = {str(new): scores[str(path)]} if str(path) in scores else {}
        if moved:
            changed["kth_best_model_path"] = str(new)
        return {**changed, "best_model_path": str(new), "best_k_models": moved}


def _validation_follows(trainer: "pl.Trainer") -> bool:
    """Whether the step that has just ended is one after which Lightning validates."""
    loop = trainer.fit_loop
    assert loop._data_fetcher is not None
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def _ends(trainer: "pl.Trainer") -> bool:
    """Whether the step that has just ended is the last one: of all, of the epochs, or in time.

    Not if a callback ends the training after the epoch.
    """
    loop = trainer.fit_loop
    last_epoch = 0 <= (loop.max_epochs or 0) - 1 <= trainer.current_epoch
    return (
        0 <= trainer.max_steps <= trainer.global_step
        or (last_epoch and loop.epoch_loop.batch_progress.is_last_batch)
        or trainer.should_stop
    )


@rank_zero_only
def _copy(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    with replacing(new) as temporary:
        shutil.copyfile(old, temporary)
