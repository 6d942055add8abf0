"""How is a contact model trained, validated and tested?

`ContactModule` puts an encoder and a pair head under the loss of what the head draws, contacts or
distances, AdamW with warm-up and cosine decay, and this package's one definition of the scores.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.optim.lr_scheduler import LambdaLR

from protcontact.batch import ContactBatch
from protcontact.data.datamodule import ContactDataModule
from protcontact.errors import InputError
from protcontact.metrics.calibration import Temperature, fit_temperature
from protcontact.metrics.distogram_loss import chain_distogram_losses
from protcontact.metrics.loss import ChainLosses, chain_losses
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.running import ContactScores
from protcontact.models.compiled import compile_in_place
from protcontact.models.contract import (
    ContactModel,
    DistanceHead,
    Encoder,
    PairHead,
)
from protcontact.models.masked_residues import MaskedResidues
from protcontact.training.checkpoint import (
    FORMAT,
    KEY,
    describe,
    refuse_other_optimizer,
    temperature_of,
)
from protcontact.training.copied_chains import CopiedChains
from protcontact.training.fingerprint import scored_on
from protcontact.training.schedule import warmup_cosine
from protcontact.training.sharding import evaluate_with_versions, shard
from protcontact.training.stage_scores import Scorer, StageScores

AdamW: OptimizerCallable = lambda params: torch.optim.AdamW(params, lr=1e-3)  # noqa: E731

# The nulls' names in tables -> in logs.
NULL_LABELS = {"separation": "null", "copy": "null_copy", "random": "null_random"}
# What a run was trained with that left these options out of its checkpoint, as they were not there.
UNSAID = {"contact_weight": 0.0, "auxiliary": None}


class ContactModule(pl.LightningModule):
    """Trains ``head(encoder(batch))`` to predict contacts.

    The class of the head decides what is minimised: of a `DistanceHead` the cross-entropy of its
    bins, of any other that of the contacts. ``val/loss`` is that of the contacts for each of them.

    Args:
        encoder: Residues to vectors.
        head: Makes the pair head for a number of channels; called with ``encoder.out_channels``.
        optimizer: Makes the optimizer for parameter groups. Weight decay applies to matrices only.
        warmup_steps: Steps in which the learning rate rises from 0.
        final_lr: Learning rate at the last step, as a share of the highest; cosine in between.
        min_separation: Smallest ``|i - j|`` that enters the loss.
        positive_weight: Factor on the terms of contacts in their cross-entropy.
        contact_weight: Of the cross-entropy of contacts beside that of distances; for a
            `DistanceHead` only. By default the distances say all.
        auxiliary: Makes a second task for the encoder in training, for a number of channels; called
            with ``encoder.out_channels``.
        compile: Compile encoder and head with `torch.compile`; `compile_in_place` says which.

    Raises:
        ValueError: If `warmup_steps` is negative, `final_lr` is outside ``[0, 1]``, or
            `contact_weight` is negative or not for this head.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Callable[[int], PairHead],
        optimizer: OptimizerCallable = AdamW,
        warmup_steps: int = 100,
        final_lr: float = 0.0,
        min_separation: int = 6,
        positive_weight: float = 1.0,
        contact_weight: float = 0.0,
        auxiliary: Callable[[int], MaskedResidues] | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if warmup_steps < 0 or not 0.0 <= final_lr <= 1.0:
            raise ValueError(
                "warmup_steps must be >= 0 and final_lr in [0, 1], "
                f"not {warmup_steps} and {final_lr}"
            )
        self.model = ContactModel(encoder, head(encoder.out_channels))
        if contact_weight < 0 or (contact_weight and not isinstance(self.model.head, DistanceHead)):
            raise ValueError(
                "contact_weight must be >= 0, and 0 for a head that draws no distances, not "
                f"{contact_weight} for {type(self.model.head).__name__}"
            )
        if compile:
            compile_in_place(self.model)
        self.auxiliary = auxiliary(encoder.out_channels) if auxiliary else None
        self.optimizer = optimizer
        self.warmup_steps = warmup_steps
        self.final_lr = final_lr
        self.min_separation = min_separation
        self.positive_weight = positive_weight
        self.contact_weight = contact_weight
        self.prior = SeparationPrior()
        self.scored = StageScores()
        self.copied: CopiedChains | None = None
        self.twins: tuple[ContactModel, ...] = ()  # with random weights; no part of this module
        self.temperature: Temperature | None = None  # of these weights
        self.trained_on = torch.empty(0, dtype=torch.int64)
        self.scored_on: dict[str, str] = {}  # split -> fingerprint of what it is scored on

    def setup(self, stage: str) -> None:
        """Note what is trained and scored on, and open what can be copied."""
        self.scored.forget_nulls()
        data, head = self._data, self.model.head
        if data is not None and head.looks and not data.templates_per_chain:
            rank_zero_warn(
                f"{type(head).__name__} looks at templates, and the data show none: set "
                "--data.templates_per_chain to what it was trained with (`protcontact templates`)"
            )
        templates = None if data is None else data.templates
        self.copied = None
        if data is not None and templates is not None:
            self.copied = CopiedChains(data.store, templates)
        if stage == "fit" and data is not None:
            self.trained_on = data.sequence_hashes("train")
        split = "test" if stage == "test" else "val"
        self.scored_on = {} if data is None else {split: scored_on(data, split)}

    @property
    def _data(self) -> ContactDataModule | None:
        data = getattr(self.trainer, "datamodule", None)
        return data if isinstance(data, ContactDataModule) else None

    def forward(self, batch: ContactBatch) -> Tensor:
        """Logits ``(B, L, L)``."""
        return self.model(batch)

    def loss(self, logits: Tensor, batch: ContactBatch) -> Tensor:
        """Masked cross-entropy of contacts with this module's settings, whatever is trained."""
        return self._contact_losses(logits, batch).mean()

    def _contact_losses(self, logits: Tensor, batch: ContactBatch) -> ChainLosses:
        return chain_losses(
            logits,
            batch,
            min_separation=self.min_separation,
            positive_weight=self.positive_weight,
        )

    def training_step(self, batch: ContactBatch, batch_idx: int) -> Tensor:
        """Loss of one batch of crops."""
        hidden = None if self.auxiliary is None else self.auxiliary.hide(batch.tokens)
        read = batch if hidden is None else replace(batch, tokens=hidden.tokens)
        drawn = self.model(read, draw=True)
        loss = self.objective(drawn.maps, batch)
        if self.auxiliary is not None and hidden is not None:
            letters = self.auxiliary(drawn.vectors, batch.tokens, hidden.chosen)
            self.log("train/masked_residue_loss", letters, batch_size=len(batch))
            loss = loss + self.auxiliary.weight * letters
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def objective(self, maps: Tensor, batch: ContactBatch) -> Tensor:
        """What is minimised, less the auxiliary task.

        Args:
            maps: Drawn by the head: logits ``(B, L, L)``, or ``(B, L, L, N)`` of distances.
            batch: The truth.
        """
        return self._objectives(maps, batch).mean()

    def _objectives(self, maps: Tensor, batch: ContactBatch) -> ChainLosses:
        head, span = self.model.head, self.min_separation
        if not isinstance(head, DistanceHead):
            return self._contact_losses(maps, batch)
        losses = chain_distogram_losses(maps, batch, head.edges, min_separation=span)
        if not self.contact_weight:
            return losses
        contacts = self._contact_losses(head.contact_logits(maps), batch)  # of the same pairs
        return ChainLosses(losses.total + self.contact_weight * contacts.total, losses.pairs)

    def validation_step(self, batch: ContactBatch, batch_idx: int) -> None:
        """Score full chains of the validation split."""
        self._score(batch)

    def test_step(self, batch: ContactBatch, batch_idx: int) -> None:
        """Score full chains of the test split."""
        self._score(batch)

    def _score(self, batch: ContactBatch) -> None:
        maps, head = self.model(batch, draw=True).maps, self.model.head
        losses, logits = {}, maps
        if isinstance(head, DistanceHead):  # which are compared with others by their contacts
            losses["objective"] = self._objectives(maps, batch)
            logits = head.contact_logits(maps)
        losses["loss"] = self._contact_losses(logits, batch)
        self.scored.update(logits, batch, self._nulls, losses)

    @property
    def scores(self) -> ContactScores:
        """Scores of the model, chain by chain."""
        return self.scored.model

    @property
    def nulls(self) -> dict[str, ContactScores]:
        """Scores of the nulls by name: ``separation``, ``copy`` with templates, ``random``."""
        return self.scored.nulls

    @property
    def _nulls(self) -> dict[str, Scorer]:
        """Models that have learnt nothing, as far as there are any here."""
        found: dict[str, Scorer] = {}
        prior, copied = self.prior, self.copied
        if self.has_prior:
            found["separation"] = lambda batch: prior.scores(batch.index)
        if self.has_prior and copied is not None:
            found["copy"] = lambda batch: copied.scores(batch, prior)
        for twin in self.twins:
            found["random"] = twin if isinstance(twin, FSDPModule) else twin.to(self.device)
        return found

    @property
    def has_prior(self) -> bool:
        """Whether the separation prior was counted, here or in the run that left the checkpoint."""
        return bool(self.prior.pairs.sum() > 0)

    def on_validation_epoch_start(self) -> None:
        """Forget the rows of the last epoch."""
        self.scored.start("val", self._nulls)

    def on_validation_start(self) -> None:
        """Refuse to score what was trained on, where validation is not a part of training."""
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self._refuse_trained("val")

    def on_test_epoch_start(self) -> None:
        """Forget the rows of the last run, and refuse to score what was trained on."""
        self._refuse_trained("test")
        self.scored.start("test", self._nulls)

    def _refuse_trained(self, split: str) -> None:
        if self._data is None:
            return
        shared = torch.isin(self._data.sequence_hashes(split), self.trained_on).sum()
        if shared > 0:
            raise InputError(
                f"{int(shared)} sequences of the {split} split of {self._data.path} were in the "
                "training of this checkpoint; score it on the split that it was trained with"
            )

    def on_validation_epoch_end(self) -> None:
        """Join the rows of all ranks, log their means, and fit the temperature."""
        self._log_scores("val")
        held = self.scored.reliability.counts()
        if self.trainer.state.fn == TrainerFn.FITTING and 0 < held.contacts < held.pairs:
            self.temperature = fit_temperature(held)
            self.log("val/temperature", self.temperature.value)

    def on_train_batch_start(self, batch: ContactBatch, batch_idx: int) -> None:
        """Forget the temperature: the weights will be others."""
        self.temperature = None

    def on_test_epoch_end(self) -> None:
        """Join the rows of all ranks and log their means."""
        self._log_scores("test")

    def _log_scores(self, stage: str) -> None:
        rehearsal = bool(self.trainer.sanity_checking)
        self.scored.finish(stage, rehearsal)
        if not rehearsal:
            self.twins = ()  # which are scored once; they take as much memory as the model
        found = (
            self.scores.summary()
            | self.scored.losses.means()
            | {
                name: value
                for name, value in self.scored.reliability.summary().items()
                if name.endswith(("/ECE", "/Brier"))
            }
        )
        self.log_dict({f"{stage}/{name}": value for name, value in found.items()})
        for name, null in self.nulls.items():
            label = f"{stage}/{NULL_LABELS[name]}"
            kept = {key: value for key, value in null.summary().items() if "/P@L" in key}
            self.log_dict({f"{label}/{key}": value for key, value in kept.items()})

    def configure_model(self) -> None:
        """Distribute the weights where the strategy wants that; `describe` sees through it."""
        if self.device_mesh is None:
            return
        evaluate_with_versions(self.trainer)
        for part in (self.model, self.auxiliary, *self.twins):
            if part is not None:
                shard(part, self.device_mesh)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW on two groups, with a warm-up and a cosine that ends with the training."""
        matrices = [p for p in self.parameters() if p.requires_grad and p.ndim >= 2]
        vectors = [p for p in self.parameters() if p.requires_grad and p.ndim < 2]
        optimizer = self.optimizer([{"params": matrices}, {"params": vectors, "weight_decay": 0.0}])
        total = self.trainer.estimated_stepping_batches
        schedule = LambdaLR(
            optimizer, warmup_cosine(self.warmup_steps, float(total), self.final_lr)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Describe the model, and keep the null that its scores are read against."""
        checkpoint[KEY] = {
            "format": FORMAT,
            "encoder": describe(self.model.encoder),
            "head": describe(self.model.head),
            "prior": self.prior.state_dict(),
            "trained_on": self.trained_on,
            "objective": self._settings,
            "scored_on": self.scored_on,
            "temperature": None if self.temperature is None else asdict(self.temperature),
        }

    @property
    def _settings(self) -> dict[str, Any]:
        """What a resumed run must not change, or its loss curve would be two."""
        return {
            "min_separation": self.min_separation,
            "positive_weight": self.positive_weight,
            "contact_weight": self.contact_weight,
            "auxiliary": None if self.auxiliary is None else describe(self.auxiliary),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the null of the training set, and what was in it.

        Raises:
            InputError: If training is to go on with another train split or another loss, or the
                checkpoint has no weights for this module's auxiliary task.
        """
        trained_on = checkpoint[KEY]["trained_on"]
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        settings = UNSAID | checkpoint[KEY]["objective"]
        if fitting and settings != self._settings:
            raise InputError(
                f"this run was started with {settings} and is to go on with {self._settings}; "
                "restore these options, or start anew without --ckpt_path"
            )
        if fitting:
            own = self.optimizer([nn.Parameter(torch.zeros(1))])
            refuse_other_optimizer(checkpoint["optimizer_states"][0], own)
        if self.auxiliary is None:  # nor does a score need what the checkpoint has of one
            weights = checkpoint["state_dict"]
            for name in [name for name in weights if name.startswith("auxiliary.")]:
                del weights[name]
        elif settings["auxiliary"] is None:
            raise InputError(
                "this checkpoint was trained without an auxiliary task; leave out model.auxiliary"
            )
        if fitting and self._data is not None and not torch.equal(trained_on, self.trained_on):
            raise InputError(
                f"the train split of {self._data.path} is not the one this run was started with; "
                "restore it, or start anew without --ckpt_path"
            )
        self.trained_on = trained_on
        self.prior = SeparationPrior.from_state_dict(checkpoint[KEY]["prior"])
        self.temperature = temperature_of(checkpoint[KEY], "this checkpoint")


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
