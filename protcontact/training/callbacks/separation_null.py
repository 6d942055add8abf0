"""What would a model score that knows nothing but how far apart two residues stand?

Counts contact frequency by sequence separation on the train split before training starts. The
module scores it beside the model and keeps it in the checkpoint.
"""

import pytorch_lightning as pl
from tqdm import tqdm

from protcontact.data.datamodule import ContactDataModule
from protcontact.metrics.nulls import SeparationPrior
from protcontact.training.module import ContactModule


class SeparationNull(pl.Callback):
    """Fits the separation prior of a `ContactModule` on a `ContactDataModule`."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count, unless a checkpoint brought the counts along.

        Raises:
            ValueError: If the run is not one of a `ContactModule` on a `ContactDataModule`.
        """
        data = getattr(trainer, "datamodule", None)
        if not isinstance(pl_module, ContactModule) or not isinstance(data, ContactDataModule):
            raise ValueError("SeparationNull needs a ContactModule and a ContactDataModule")
        if pl_module.has_prior:
            return
        batches = data.whole_chains("train")
        hidden = not trainer.is_global_zero
        pl_module.prior = SeparationPrior.fit(
            tqdm(batches, "separation prior", disable=hidden, leave=False)
        )
