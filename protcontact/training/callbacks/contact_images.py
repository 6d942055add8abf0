"""What do the predicted maps look like while the model learns?

At each validation a few chains are predicted again and drawn, predicted above the diagonal, true
below, as PNG files in the run's folder and as images in wandb.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from protcontact.atomic import file_name
from protcontact.batch import ContactBatch
from protcontact.data.datamodule import ContactDataModule
from protcontact.figures.contact_map import draw_contact_map, to_array
from protcontact.structure.contacts import UNKNOWN_PAIR


class ContactImages(pl.Callback):
    """Draws contact maps of validation chains.

    Args:
        chains: How many; spread evenly over the validation split, the same ones every time.
        longest: Chains with more residues are not drawn.
    """

    def __init__(self, chains: int = 4, longest: int = 300) -> None:
        self.chains = chains
        self.longest = longest

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Do without pictures where they cannot be drawn: a compute node may lack matplotlib."""
        if self.chains and importlib.util.find_spec("matplotlib") is None:
            rank_zero_warn("no contact maps are drawn: `pip install matplotlib` to have them")
            self.chains = 0

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predict on every rank, which sharded weights need; draw on rank 0.

        Raises:
            ValueError: If the data are not a `ContactDataModule`.
        """
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: on every rank
        data = getattr(trainer, "datamodule", None)
        if trainer.sanity_checking or self.chains == 0:
            return
        if not isinstance(data, ContactDataModule):
            raise ValueError("ContactImages needs a ContactDataModule")
        sharded = pl_module.device_mesh is not None
        if not (trainer.is_global_zero or sharded):
            return
        images, names = [], []
        for batch in self._batches(data):
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                logits = pl_module(batch.to(pl_module.device))
            if trainer.is_global_zero:
                images.append(self._draw(logits[0], batch))
                names.append(batch.ids[0])
        if not trainer.is_global_zero:
            return
        _save(folder / "contact_maps", images, names)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("val/contact_maps", images, caption=names)

    def _batches(self, data: ContactDataModule) -> list[ContactBatch]:
        short = [row for row in data.rows("val") if data.store.lengths[row] <= self.longest]
        step = max(1, len(short) // self.chains)
        return [data.whole_chain(row) for row in short[::step][: self.chains]]

    def _draw(self, logits: torch.Tensor, batch: ContactBatch) -> np.ndarray:
        labels = batch.contact()[0].to(torch.int8)
        labels[~batch.known()[0]] = UNKNOWN_PAIR
        scores = logits.float().sigmoid().cpu().numpy()
        return to_array(draw_contact_map(scores, labels.numpy(), batch.ids[0]))


def _save(folder: Path, images: list[np.ndarray], names: list[str]) -> None:
    from PIL import Image  # comes with matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    for image, name in zip(images, names, strict=True):
        Image.fromarray(image).save(folder / f"{file_name(name)}.png")
