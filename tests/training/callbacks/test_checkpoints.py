"""The best checkpoint of a run survives a restart into another folder."""

import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from protcontact.training.callbacks.checkpoints import RunCheckpoint


class Scripted(LightningModule):
    """Logs the scores that it is told to."""

    def __init__(self, scores):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.scores = scores

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def validation_step(self, batch, batch_idx):
        self.log("score", self.scores[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, scores, epochs, ckpt_path=None):
    best = RunCheckpoint(
        dirpath=folder, filename="best", monitor="score", mode="max", enable_version_counter=False
    )
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        max_epochs=epochs,
        callbacks=[best],
    )
    loader = DataLoader(torch.zeros(2, 1))
    trainer.fit(Scripted(scores), loader, loader, ckpt_path=ckpt_path, weights_only=True)
    trainer.save_checkpoint(folder / "last.ckpt")
    return best


def test_a_worse_score_after_the_restart_does_not_become_the_best(tmp_path):
    scores = [0.9, 0.2, 0.5, 0.4]
    first = fit(tmp_path / "a", scores, 2)
    resumed = fit(tmp_path / "b", scores, 4, ckpt_path=str(tmp_path / "a" / "last.ckpt"))
    assert float(resumed.best_model_score) == float(first.best_model_score)
    taken = torch.load(tmp_path / "b" / "best.ckpt", weights_only=True)
    assert taken["epoch"] == 0
    assert (tmp_path / "a" / "best.ckpt").is_file()


def test_a_better_score_after_the_restart_does(tmp_path):
    scores = [0.5, 0.2, 0.9, 0.4]
    fit(tmp_path / "a", scores, 2)
    resumed = fit(tmp_path / "b", scores, 4, ckpt_path=str(tmp_path / "a" / "last.ckpt"))
    assert torch.load(resumed.best_model_path, weights_only=True)["epoch"] == 2
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"best.ckpt", "last.ckpt"}
