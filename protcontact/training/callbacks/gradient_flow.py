"""Where does the gradient go while a model trains?

Reads the gradients that the optimizer is about to use: summed over accumulated batches, averaged
over ranks, unscaled, and not yet clipped. What is measured stands in `protcontact.gradflow`; this
file knows only when. Any LightningModule will do:

    from protcontact.training.callbacks import GradientFlow

    trainer = pl.Trainer(callbacks=[GradientFlow(every_n_steps=50)])

The device never waits: the numbers of a step are copied to the host beside the next one and logged
then, under the step that they belong to.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from protcontact.gradflow.alarm import dead_units, diagnose
from protcontact.gradflow.eager import eagerly
from protcontact.gradflow.layers import Roster
from protcontact.gradflow.presets import light
from protcontact.gradflow.probe import Findings, Pending, Step, StepProbe
from protcontact.gradflow.transfer import Shipment, ship
from protcontact.training.callbacks.gradient_pictures import GradientPictures


class Reading(NamedTuple):
    """Numbers of a step on their way.

    Attributes:
        step: Optimizer steps before this one.
        shipment: The numbers.
    """

    step: int
    shipment: Shipment


class GradientFlow(pl.Callback):
    """Measures, logs, draws and diagnoses the flow of the gradient.

    Everything is logged below ``gradflow/``; curves go to ``gradient_flow/curves.csv`` in the run's
    folder and, with the profile of the gradient over depth and steps, to pictures beside it and in
    wandb. What looks ill is told once, as a warning and a wandb alert, with what to try.

    Args:
        every_n_steps: Measure at every n-th optimizer step; the others cost nothing.
        probes: What to measure; by default `protcontact.gradflow.presets.light`.
        vanishing: Alert where the rms of the first block's gradient falls below this share of the
            last block's.
        exploding: Alert where it rises above this multiple, or the norm of all gradients above it.
        dead: Alert where a larger share of a block's units has no gradient.
        pictures: Draw at each validation and at the end. Without a logger nothing is written.

    Raises:
        ValueError: If `every_n_steps`, `vanishing`, `exploding` or `dead` is not positive.
    """

    def __init__(
        self,
        every_n_steps: int = 50,
        probes: Sequence[StepProbe] | None = None,
        vanishing: float = 1e-4,
        exploding: float = 1e4,
        dead: float = 0.5,
        pictures: bool = True,
    ) -> None:
        if every_n_steps < 1 or min(vanishing, exploding, dead) <= 0:
            raise ValueError(
                "every_n_steps must be >= 1, vanishing, exploding and dead > 0, not "
                f"{every_n_steps}, {vanishing}, {exploding} and {dead}"
            )
        self.every_n_steps = every_n_steps
        self.probes = light() if probes is None else list(probes)
        self.vanishing = vanishing
        self.exploding = exploding
        self.dead = dead
        self.draws = pictures
        self._reset()

    def _reset(self) -> None:
        self.pictures = GradientPictures() if self.draws else None
        self._folder: Path | None = None  # None: nothing is written
        self._roster = Roster()
        self._seconds = 0.0  # of the host, since the last reading was logged
        self._hooks: ExitStack | None = None  # held while a step is measured
        self._batch: object = None
        self._step: Step | None = None  # from before the update until after it
        self._stepped: RemovableHandle | None = None  # on the optimizer of that step
        self._number = 0  # optimizer steps before this one
        self._pending: list[Pending] = []
        self._fresh: Reading | None = None  # of this batch, still on its way
        self._due: Reading | None = None  # of the last one
        self._suspected: set[str] = set()  # illnesses of the last reading
        self._told: set[str] = set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show each probe the model as it is wrapped for many processes."""
        self._release()
        self._reset()
        self._folder = _folder(trainer)
        for probe in self.probes:
            if trainer.strategy.model is not None:
                probe.connect(trainer.strategy.model)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Attach the probes to a step that is to be measured, before its first forward pass."""
        if self._hooks is not None and trainer.global_step != self._number:
            self._detach()  # the step came to nothing: `training_step` has returned None
        if trainer.global_step % self.every_n_steps:
            return
        start = time.perf_counter()
        self._batch, self._number = batch, trainer.global_step
        if self._hooks is None:
            self._hooks = ExitStack()
            if any(type(probe).attach is not StepProbe.attach for probe in self.probes):
                self._hooks.enter_context(eagerly(pl_module))  # or no hook would fire
            for probe in self.probes:
                self._hooks.enter_context(probe.attach(pl_module))
        self._seconds += time.perf_counter() - start

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Read the gradients before they are clipped."""
        if self._hooks is None or self._step is not None or self._fresh is not None:
            return
        start = time.perf_counter()
        parameters = self._roster.read(pl_module, optimizer)
        if not parameters.tensors:
            return
        scale = _loss_scale(trainer)
        held = getattr(optimizer, "_step_supports_amp_scaling", False)  # unscaled by its own step
        ranks = trainer.world_size
        self._step = Step(pl_module, self._batch, parameters, scale, scale if held else 1.0, ranks)
        self._pending = [p for probe in self._able() for p in probe.before_update(self._step)]
        self._stepped = optimizer.register_step_post_hook(
            lambda optimizer, *_: self._after_update(optimizer)
        )
        self._seconds += time.perf_counter() - start

    def _able(self) -> list[StepProbe]:
        """The probes that can do their work here."""
        if self._step is None or not self._step.parameters.sharded:
            return self.probes
        left_out = [type(probe).__name__ for probe in self.probes if probe.runs_model]
        if left_out:
            self._tell_once(
                f"{', '.join(left_out)} must run the model once more, which a sharded one cannot: "
                "not measured"
            )
        return [probe for probe in self.probes if not probe.runs_model]

    def _after_update(self, optimizer: Optimizer | None) -> None:
        """Read what the step has left, and send everything to the host.

        Args:
            optimizer: That has just stepped; None if it has not, as on an infinity in fp16.
        """
        if self._step is None:
            return
        start = time.perf_counter()
        self._detach()  # from here on nothing of the model's own passes is left to be seen
        found = []
        if all(p.grad is not None for p in self._step.parameters.tensors):
            step = replace(self._step, scale=_scale_left(self._step, optimizer))
            found = [p for probe in self._able() for p in probe.after_update(step)]
        self._fresh = Reading(self._number, ship([*self._pending, *found], self._step.ranks))
        self._step, self._pending = None, []
        self._seconds += time.perf_counter() - start

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log the reading before this one, which has arrived by now."""
        self._log(trainer)
        self._after_update(None)
        if self._fresh is not None:
            self._release()
            self._due, self._fresh = self._fresh, None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the last reading, and draw."""
        self._log(trainer)
        self._release()
        self._draw(trainer)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw what was found so far."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._draw(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Log the last reading, which may say what went wrong, and take the hooks off."""
        self._release()
        try:
            for reading in (self._due, self._fresh):
                self._due = reading
                self._log(trainer)
        except RuntimeError as error:  # of a device that is beyond help
            exception.add_note(f"the last reading of the gradient flow is lost: {error}")

    def _detach(self) -> None:
        hooks, self._hooks, self._batch = self._hooks, None, None
        if hooks is not None:
            hooks.close()

    def _release(self) -> None:
        self._detach()
        self._step, self._pending = None, []
        stepped, self._stepped = self._stepped, None
        if stepped is not None:
            stepped.remove()
        for probe in self.probes:
            probe.forget()

    def _log(self, trainer: pl.Trainer) -> None:
        reading, self._due = self._due, None
        if reading is None or not trainer.is_global_zero:
            return
        start = time.perf_counter()
        found = reading.shipment.read()
        scalars = {name: value for one in found for name, value in one.scalars.items()}
        curves = {name: values for one in found for name, values in one.curves.items()}
        if self.pictures is not None and self._folder is not None:
            blocks = [one.summary.blocks.items() for one in found if one.summary is not None]
            rms = {block: values["rms"] for items in blocks for block, values in items}
            self.pictures.add(self._folder, reading.step, rms, curves)
        self._seconds += time.perf_counter() - start
        scalars |= {
            "meta/cost_ms": 1e3 * self._seconds,
            "meta/syncs": float(reading.shipment.copies),
            "meta/collectives": float(reading.shipment.collectives),
        }
        self._seconds = 0.0
        metrics = {f"gradflow/{name}": value for name, value in scalars.items()}
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=reading.step)
        self._alert(trainer, reading.step, found)

    def _alert(self, trainer: pl.Trainer, step: int, found: Sequence[Findings]) -> None:
        shares = {
            name.split("/")[1]: value
            for one in found
            for name, value in one.scalars.items()
            if name.startswith("dead/")
        }
        summaries = [one.summary for one in found if one.summary is not None]
        alarms = [diagnose(summary, self.vanishing, self.exploding) for summary in summaries]
        alarms.append(dead_units(shares, self.dead))
        ill = [alarm for alarm in alarms if alarm is not None]
        for alarm in ill:
            if not alarm.sure and alarm.title not in self._suspected:
                continue
            if self._tell_once(f"{alarm.title}: {alarm.text}", alarm.title, step):
                for logger in trainer.loggers:
                    if isinstance(logger, WandbLogger):
                        text = f"step {step}: {alarm.text}"
                        logger.experiment.alert(title=alarm.title, text=text)
        self._suspected = {alarm.title for alarm in ill}

    def _tell_once(self, text: str, key: str = "", step: int | None = None) -> bool:
        if (key or text) in self._told:
            return False
        self._told.add(key or text)
        rank_zero_warn(text if step is None else f"step {step}: {text}")
        return True

    def _draw(self, trainer: pl.Trainer) -> None:
        if self.pictures is None or self._folder is None or not trainer.is_global_zero:
            return
        images = self.pictures.draw(self._folder)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                for name, image in images.items():
                    logger.log_image(f"gradflow/{name}", [image])


def _folder(trainer: pl.Trainer) -> Path | None:
    """Of the run; None where nothing is to be written."""
    folder = trainer.log_dir  # a collective: on every rank
    if not trainer.loggers or folder is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return None
    logger = trainer.loggers[0]
    if trainer.is_global_zero and getattr(logger, "log_dir", None) is None:
        return Path(folder, str(logger.name), str(logger.version))
    return Path(folder)


def _loss_scale(trainer: pl.Trainer) -> Tensor | float:
    """What the loss was multiplied with. `GradScaler.get_scale` would wait for the device."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else scaler._get_scale_async().clone()


def _scale_left(step: Step, optimizer: Optimizer | None) -> Tensor | float:
    """What the gradients still carry after the step, in which a fused optimizer unscales them.

    It leaves them where there is an infinity among them.
    """
    infinite = getattr(optimizer, "found_inf", None)
    if infinite is None or not isinstance(step.scale, Tensor):
        return 1.0
    return torch.where(infinite > 0, step.scale, 1.0)
