"""Which settings of Lightning's trainer can this package not use, or not go on with?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from protcontact.errors import InputError

# Weights and sums in float32.
PRECISIONS = {"32", "32-true", "16", "16-mixed", "bf16", "bf16-mixed"}
# Limits on the training that leave no step of it, and so no model.
NOTHING = ("limit_train_batches", "max_steps", "max_epochs")


def refuse_unusable(settings: Any) -> None:
    """Refuse what Lightning's trainer takes and this package's batches or checkpoints do not.

    Args:
        settings: Of the trainer, by name, before it is made.

    Raises:
        InputError: If a setting is one of these.
    """
    if str(settings.precision or "32-true") not in PRECISIONS:
        raise InputError(
            f"--trainer.precision {settings.precision} is none that batches and scores are made "
            "for; use bf16-mixed, 16-mixed or 32-true"
        )
    for name in NOTHING:
        if getattr(settings, name) == 0:
            raise InputError(f"--trainer.{name} 0 leaves nothing to train; give a number above 0")
    if settings.accumulate_grad_batches < 1:
        count = settings.accumulate_grad_batches
        raise InputError(f"--trainer.accumulate_grad_batches must be at least 1, not {count}")
    if str(settings.strategy).endswith(("spawn", "fork", "notebook")):
        raise InputError(
            f"--trainer.strategy {settings.strategy} would hand the model to processes as a whole, "
            "which a model of a config cannot be; use configs/strategy/ddp.yaml"
        )
    _refuse_interval(settings.val_check_interval, settings.check_val_every_n_epoch)


def _refuse_interval(interval: Any, epochs: int | None) -> None:
    if not isinstance(interval, int | float | None):
        raise InputError(
            f"--trainer.val_check_interval {interval} is a time, after which a run that was killed "
            "could not go on with the same numbers; give it in steps"
        )
    if interval is not None and interval <= 0:
        raise InputError(
            f"--trainer.val_check_interval must be above 0, not {interval}; for a training without "
            "validation set --trainer.limit_val_batches 0"
        )
    if isinstance(interval, float) and epochs is None:
        raise InputError(
            f"--trainer.val_check_interval {interval} is a share of an epoch, and the config "
            "counts steps; add --trainer.check_val_every_n_epoch 1"
        )


def tell_unvalidated(trainer: pl.Trainer) -> None:
    """Refuse a training that ends before its first validation; warn of steps after the last one.

    Raises:
        InputError: If there would be no best checkpoint.
    """
    steps, interval = trainer.max_steps, trainer.val_check_interval
    batches = steps * trainer.accumulate_grad_batches  # which is what the interval counts
    if isinstance(interval, int) and 0 < batches < interval:
        raise InputError(
            f"{steps} steps end before the first validation, so there would be no best "
            f"checkpoint; add --trainer.val_check_interval {batches}"
        )
    by_steps = isinstance(interval, int) and trainer.check_val_every_n_epoch is None
    if by_steps and batches > 0 and batches % interval:
        rank_zero_warn(
            f"the last {batches % interval:.0f} of {batches} batches come after the last "
            "validation, so the best checkpoint cannot be of them; choose "
            "--trainer.val_check_interval so that it divides them"
        )


def refuse_used_up(path: str | Path, content: Mapping[str, Any], trainer: pl.Trainer) -> None:
    """Refuse to go on where nothing is left to do.

    Args:
        path: Named in the errors.
        content: Of the checkpoint.
        trainer: Has the limits.

    Raises:
        InputError: If all steps were done, or all of the time was used, which counts all starts.
    """
    if content["global_step"] >= trainer.max_steps > 0:
        raise InputError(
            f"checkpoint {path} has done all of its {content['global_step']} steps; "
            "raise --trainer.max_steps to go on"
        )
    for timer in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(timer, Timer) and timer.state_key in content["callbacks"]:
            used = content["callbacks"][timer.state_key]["time_elapsed"]["train"]
            most = timer.time_remaining()  # of a timer that has not started
            if most is not None and used >= most:
                raise InputError(
                    f"checkpoint {path} has used {used:.0f} s of training, all starts together; "
                    f"raise --trainer.max_time, which is {most:.0f} s, to go on"
                )
