"""The null is counted once, on the train split alone."""

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from protcontact.metrics.nulls import SeparationPrior
from protcontact.training.callbacks.separation_null import SeparationNull


def run(tmp_path):
    return Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        max_steps=1,
        callbacks=[SeparationNull()],
    )


def test_counts_the_train_split(make_module, make_data, tmp_path):
    module, data = make_module(), make_data()
    run(tmp_path).fit(module, data)
    slow = SeparationPrior()
    for row in data.rows("train"):
        slow.update(data.whole_chain(row))
    assert torch.equal(module.prior.pairs, slow.pairs)
    assert torch.equal(module.prior.contacts, slow.contacts)


def test_keeps_counts_that_came_with_a_checkpoint(make_module, make_data, tmp_path):
    module = make_module()
    module.prior = SeparationPrior.from_state_dict(
        {"contacts": torch.tensor([1, 2]), "pairs": torch.tensor([3, 4])}
    )
    run(tmp_path).fit(module, make_data())
    assert module.prior.pairs.tolist() == [3, 4]


class Other(LightningModule):
    """Knows nothing of contacts."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_refuses_other_modules(tmp_path):
    with pytest.raises(ValueError, match="needs a ContactModule"):
        run(tmp_path).fit(Other(), DataLoader(torch.zeros(2, 1)))
