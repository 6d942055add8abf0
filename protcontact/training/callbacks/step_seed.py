"""Why does a run that was killed and resumed end with the same numbers?

Dropout and mutations draw from torch's global generator, whose state no checkpoint holds. So the
generator is seeded anew before every training step from ``(seed, epoch, batch)``: randomness is a
function of the place in the training, not of what ran before, and not of the process that the batch
was dealt to. The seed is the one that ``seed_everything`` set for the run.
"""

import hashlib
import os
from typing import Any

import pytorch_lightning as pl
import torch


class StepSeed(pl.Callback):
    """Seeds torch before each training step."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed this step."""
        seed = os.environ.get("PL_GLOBAL_SEED", "0")
        batch_number = batch_idx * trainer.world_size + trainer.global_rank  # of PairBudgetSampler
        place = (seed, trainer.current_epoch, batch_number, 0)  # 0: as runs were seeded before
        digest = hashlib.blake2b(repr(place).encode(), digest_size=7).digest()
        torch.manual_seed(int.from_bytes(digest, "little"))
