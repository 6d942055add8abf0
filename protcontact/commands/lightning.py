"""``protcontact fit | validate | test``: the Lightning CLI with this package's defaults.

Everything is configured by YAML files and command-line options; classes are named by their path,
so an encoder or head of your own needs no registration:

    protcontact fit --config configs/bilstm.yaml --data.path data
    protcontact fit --config configs/bilstm.yaml --model.encoder my_package.MyEncoder
    protcontact test --ckpt_path runs/bilstm/version_0/checkpoints/best.ckpt --data.path data

A ``base.yaml`` beside a config, or else in the folder above it, is read before it.
``--ckpt_path last`` goes on with the newest ``last.ckpt`` of the run's folder.
"""

import json
import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import jsonargparse
import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

from protcontact.commands.base_config import note_without_base, refuse_no_config, with_base
from protcontact.commands.own_checkpoint import refuse_half, refuse_other_model
from protcontact.commands.tables import print_scores
from protcontact.data.datamodule import ContactDataModule
from protcontact.errors import InputError
from protcontact.training.checkpoint import WholeFiles, read_checkpoint
from protcontact.training.fingerprint import scored_on
from protcontact.training.loggers import run_loggers, starts_of
from protcontact.training.module import ContactModule, count_parameters
from protcontact.training.rank_watch import RankWatch
from protcontact.training.score_files import (
    leave_in_wandb,
    score_files,
    send_to_wandb,
    write_scores,
)
from protcontact.training.sharding import refuse_compiled
from protcontact.training.trainer_settings import refuse_unusable, refuse_used_up, tell_unvalidated

# Warnings that tell a user of this package nothing to act on.
NOISE = (
    ".*does not have many workers.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*LightningCLI's args parameter is intended.*",
    ".*is not supported by the model summary.*",
    ".*Experiment logs directory .* exists and is not empty.*",
    ".*smaller than the logging interval.*",
    ".*in eval mode at the start of training.*",  # as a frozen encoder is meant to be
    ".*recommended to use `self.log.*sync_dist=True.*",  # scores are joined before they are logged
    ".*FSDP2-wrapped module .* returned a view tensor.*",  # only read: tests/training/test_sharding
)


class LogConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the run's folder and the same settings into every logger."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Hand the settings to the loggers, with the size of the model and the data's identity."""
        data = getattr(trainer, "datamodule", None)
        facts: dict[str, Any] = {"parameters": count_parameters(pl_module)}
        if isinstance(data, ContactDataModule):
            facts["data_fingerprint"] = data.fingerprint
            split = "test" if stage == "test" else "val"
            facts["scored_on"] = {split: scored_on(data, split)}
        settings = json.loads(self.parser.dump(self.config, format="json", skip_none=False))
        for logger in trainer.loggers:
            logger.log_hyperparams({**settings, **facts})


class ContactCLI(LightningCLI):
    """The Lightning CLI for a `ContactModule` on a `ContactDataModule`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """One seed for the weights, the order of the data, the crops and the dropout."""
        parser.link_arguments("seed_everything", "data.seed", compute_fn=_seed)

    def _parse_ckpt_path(self) -> None:
        """Leave the checkpoint to `_safe`: Lightning would load it to look for settings."""

    def instantiate_classes(self) -> None:
        """Make model, data and trainer; what they refuse is the user's setting.

        Raises:
            InputError: If a class refuses its arguments.
        """
        try:
            super().instantiate_classes()
            if isinstance(self.trainer.strategy, ModelParallelStrategy):
                refuse_compiled(self.model)
            self.model.optimizer([torch.nn.Parameter(torch.zeros(1))])
        except (ValueError, TypeError) as error:
            missing = error.__cause__
            if isinstance(missing, ModuleNotFoundError):  # of an optional library, which is named
                raise missing from None
            raise InputError(str(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Leave the loggers to `_ready` unless the config names some or ``false``."""
        settings = self._get(self.config_init, "trainer")
        refuse_unusable(settings)
        self._logs = settings.logger in (None, True) and not settings.fast_dev_run
        if self._logs:
            kwargs["logger"] = False
        kwargs["plugins"] = [*(settings.plugins or []), WholeFiles()]
        trainer = super().instantiate_trainer(**kwargs)
        watch = RankWatch()
        trainer.callbacks.insert(0, watch)  # type: ignore[attr-defined]
        watch.watch(trainer)
        return trainer

    def fit(self, **kwargs: Any) -> None:
        """Train; ``--ckpt_path last`` goes on with what this run's newest start left."""
        tell_unvalidated(self.trainer)
        self.trainer.fit(**self._ready(kwargs, required=False))

    def validate(self, **kwargs: Any) -> None:
        """Score a checkpoint on the validation split."""
        self.trainer.validate(**self._ready(kwargs, required=True), verbose=False)
        self._report("val")

    def test(self, **kwargs: Any) -> None:
        """Score a checkpoint on the test split."""
        self.trainer.test(**self._ready(kwargs, required=True), verbose=False)
        self._report("test")

    def _ready(self, kwargs: dict[str, Any], required: bool) -> dict[str, Any]:
        """Look at checkpoint and data, and only then make a folder to log into."""
        safe = self._safe(kwargs, required)
        self.datamodule.setup(str(self.subcommand))
        if self._logs:
            self.trainer.loggers = run_loggers(self.trainer.default_root_dir)
        return safe

    def _safe(self, kwargs: dict[str, Any], required: bool) -> dict[str, Any]:
        """Look at the checkpoint before Lightning does, and never let it run code.

        Raises:
            InputError: If a checkpoint is required and missing, or not one of ours.
        """
        path = kwargs.get("ckpt_path")
        kwargs.pop("verbose", None)
        if path is None:
            if required:
                raise InputError("--ckpt_path is missing; name the .ckpt file that is to be scored")
            return kwargs
        if path == "last":
            path = _last(Path(self.trainer.default_root_dir))
            print(f"going on from {path}")
        content = read_checkpoint(path)
        refuse_half(path, content, resume=not required)
        self._checkpoint, self._step = Path(path), content["global_step"]
        refuse_other_model(path, content, self.model)
        if not required:
            refuse_used_up(path, content, self.trainer)
        return {**kwargs, "ckpt_path": str(path), "weights_only": True}

    def _report(self, stage: str) -> None:
        """Print the scores beside the nulls and write them for every chain."""
        module = self.model
        assert isinstance(module, ContactModule)
        folder = Path(self.trainer.log_dir or self.trainer.default_root_dir)  # on every rank
        if not self.trainer.is_global_zero:
            return
        about = {"fingerprint": module.scored_on.get(stage), "step": self._step}
        files = write_scores(module, stage, folder, about)
        send_to_wandb(self.trainer, files)
        nulls = module.nulls
        summaries = {"model": module.scores.summary()}
        summaries |= {name: null.summary() for name, null in nulls.items()}
        print_scores(summaries, stage)
        print(_calibration(module))
        if nulls and "copy" not in nulls:
            path = self.datamodule.path
            print(f"`protcontact templates {path}` adds a null: copy of the nearest training chain")
        print(f"per chain: {folder / score_files(stage)[0]}")
        run = _run_of_best(self._checkpoint)
        if run is None or run == folder:
            return
        try:
            write_scores(module, stage, run, about)
            leave_in_wandb(run, files)
        except OSError as error:
            print(f"not in the folder of the training as well, for `protcontact compare`: {error}")


def _calibration(module: ContactModule) -> str:
    """How far probabilities are from the share that comes true, with and without temperature."""
    held = module.scored.reliability
    plain = held.summary()["all/ECE"]
    told = f"expected calibration error of pairs from separation 6: {plain:.4f}"
    fitted = module.temperature
    if fitted is None:
        return told
    cooled = held.summary(fitted.value)["all/ECE"]
    return f"{told}; at the checkpoint's temperature of {fitted.value:.3g}: {cooled:.4f}"


def _run_of_best(checkpoint: Path) -> Path | None:
    """Folder of the run that a ``best.ckpt`` is the best of; None for any other file."""
    folder = checkpoint.absolute().parent
    if checkpoint.name != "best.ckpt" or folder.name != "checkpoints":
        return None
    return folder.parent if (folder.parent / "config.yaml").is_file() else None


def _last(folder: Path) -> Path:
    """Find ``last.ckpt`` of the newest start that left one.

    Raises:
        InputError: If there is none, or a newer start left none: it would be passed over silently.
    """
    starts = [start for start in starts_of(folder) if (start / "checkpoints").is_dir()]
    if not starts:
        raise InputError(
            f"no last.ckpt below {folder}, so there is nothing to go on with; leave out --ckpt_path"
        )
    last = starts[-1] / "checkpoints" / "last.ckpt"
    if not last.is_file():
        raise InputError(f"{last} does not exist; name the checkpoint to go on with")
    return last


def _seed(value: bool | int) -> int:
    """Seed of the data.

    Raises:
        ValueError: If it is no seed for Lightning and numpy.
    """
    if not 0 <= int(value or 0) < 2**32:
        raise ValueError(f"seed_everything must lie between 0 and 2^32 - 1, not {value}")
    return int(value or 0)


def run(verb: str, arguments: list[str]) -> int:
    """Run one verb of the Lightning CLI.

    Args:
        verb: ``fit``, ``validate`` or ``test``.
        arguments: What stands behind it.

    Returns:
        Exit status.

    Raises:
        InputError: If the arguments or configs are unusable.
        KeyboardInterrupt: At Ctrl-C, of which Lightning makes an exit with status 1.
        SystemExit: After ``--help``.
    """
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    # an abbreviated --config would be read without its base.yaml
    strict = {"exit_on_error": False, "allow_abbrev": False}
    words = with_base(arguments)
    if verb == "fit":
        note_without_base(words)
    else:
        refuse_no_config(words)
    try:
        ContactCLI(
            ContactModule,
            ContactDataModule,
            save_config_callback=LogConfig,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"default_root_dir": "runs"},
            seed_everything_default=0,
            parser_kwargs={**strict, "prog": "protcontact", verb: strict},
            args=[verb, *words],
        )
    except (jsonargparse.ArgumentError, MisconfigurationException) as error:
        raise InputError(
            " ".join(str(error).split()) + f"; see protcontact {verb} --help"
        ) from error
    except SIGTERMException:
        print(f"protcontact {verb}: terminated; --ckpt_path last goes on", file=sys.stderr)
        return 128 + signal.SIGTERM
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from error
    return 0
