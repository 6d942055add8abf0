"""Pictures of validation chains, in the run's folder and in wandb."""

import importlib.util

import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import WandbLogger

from protcontact.training.callbacks.contact_images import ContactImages


class Recorder(WandbLogger):
    """Keeps what it is told to log."""

    def __init__(self):
        super().__init__(offline=True)
        self.seen = []

    def log_image(self, key, images, step=None, **kwargs):
        self.seen.append((key, images, kwargs["caption"]))

    def log_metrics(self, metrics, step=None):
        """Leave wandb alone."""

    def log_hyperparams(self, params):
        """Leave wandb alone."""

    def watch(self, *args, **kwargs):
        """Leave wandb alone."""

    @property
    def save_dir(self):
        return None

    def after_save_checkpoint(self, checkpoint_callback):
        """Leave wandb alone."""

    def finalize(self, status):
        """Leave wandb alone."""

    @property
    def name(self):
        return "recorder"

    @property
    def version(self):
        return "0"


def run(tmp_path, callback, logger=False):
    return Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[callback],
    )


def test_draws_the_same_chains_and_tells_wandb(make_module, make_data, tmp_path):
    logger = Recorder()
    run(tmp_path, ContactImages(chains=2), logger).validate(make_module(), make_data())
    ((key, images, names),) = logger.seen
    assert key == "val/contact_maps"
    assert names == ["c20", "c22"]
    assert images[0].ndim == 3
    saved = sorted(path.name for path in tmp_path.rglob("*.png"))
    assert saved == ["c20.png", "c22.png"]
    with Image.open(next(tmp_path.rglob("c20.png"))) as picture:
        assert picture.size[0] > 300


@pytest.mark.parametrize("settings", [{"chains": 0}, {"longest": 10}])
def test_draws_nothing_where_nothing_is_asked_or_fits(settings, make_module, make_data, tmp_path):
    run(tmp_path, ContactImages(**settings)).validate(make_module(), make_data())
    assert list(tmp_path.rglob("*.png")) == []


def test_drawing_changes_neither_mode_nor_numbers(make_module, make_data, tmp_path):
    module = make_module()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with_images = run(tmp_path, ContactImages()).validate(module, make_data(), verbose=False)
    without = run(tmp_path, ContactImages(chains=0)).validate(module, make_data(), verbose=False)
    assert with_images == without
    assert module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_training_goes_on_without_matplotlib(make_module, make_data, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="pip install matplotlib"):
        run(tmp_path, ContactImages()).validate(make_module(), make_data(), verbose=False)
    assert list(tmp_path.rglob("*.png")) == []
