"""What would the same architecture score if it had learnt nothing?

Makes a twin with random weights, which the module scores once beside the model: a head that prefers
near pairs, or templates that a network is shown, score without any training.
"""

import pytorch_lightning as pl

from protcontact.training.module import ContactModule
from protcontact.training.random_twin import random_twin


class RandomTwinNull(pl.Callback):
    """Gives a `ContactModule` its twin.

    Costs one pass, and until then the memory of the weights once more; under FSDP that of a part.

    Args:
        seed: Of the twin's weights, whatever the seed of the training.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the twin before weights are distributed.

        Raises:
            ValueError: If the run is not one of a `ContactModule`.
        """
        if not isinstance(pl_module, ContactModule):
            raise ValueError("RandomTwinNull needs a ContactModule")
        pl_module.twins = (random_twin(pl_module.model, self.seed).requires_grad_(False),)
