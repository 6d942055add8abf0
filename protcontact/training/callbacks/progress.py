"""How far is the training? In epochs, without a total where steps are what is counted."""

from pytorch_lightning.callbacks import RichProgressBar


class StepProgressBar(RichProgressBar):
    """Lightning's rich bar, which alone says ``Epoch 1/-2`` where only ``max_steps`` is set."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch}"
