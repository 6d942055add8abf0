"""The bar names the epoch and no impossible total."""

from pytorch_lightning.callbacks import RichProgressBar

from protcontact.training.callbacks.progress import StepProgressBar


def test_description_has_no_total():
    assert StepProgressBar()._get_train_description(3) == "Epoch 3"
    # Lightning calls this name; if it is gone, the class has lost its purpose
    assert hasattr(RichProgressBar, "_get_train_description")
