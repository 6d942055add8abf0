"""How far is the training? In epochs, without a total where steps are what is counted."""

import importlib.util

from pytorch_lightning.callbacks import RichProgressBar, TQDMProgressBar

# A compute node may lack rich; tqdm comes with Lightning.
Bar = TQDMProgressBar if importlib.util.find_spec("rich") is None else RichProgressBar


class StepProgressBar(Bar):  # type: ignore[misc, valid-type]
    """Lightning's rich bar, which alone says ``Epoch 1/-2`` where only ``max_steps`` is set."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch}"
