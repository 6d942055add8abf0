"""The table of chains belongs to the best validation, and goes with a resumed run."""

import csv
import json
import math

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader

from protcontact.training.callbacks.chain_scores import ChainScoresTable
from protcontact.training.callbacks.checkpoints import RunCheckpoint


def trainer(folder, steps, callback, **options):
    return Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder, name=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        max_steps=steps,
        val_check_interval=1,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=2,
        callbacks=[callback],
        **options,
    )


class Scripted(ChainScoresTable):
    """Judges validations by a list of values."""

    def __init__(self, values):
        super().__init__("scripted")
        self.values, self.written = list(values), []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            trainer.callback_metrics["scripted"] = torch.tensor(self.values.pop(0))
        before = dict(self._files)
        super().on_validation_end(trainer, pl_module)
        if self._files != before:
            self.written.append(json.loads(self._files["val_scores.json"])["about"]["step"])


def test_the_best_validation_is_kept(make_module, make_data, tmp_path):
    callback, module = Scripted([0.2, math.nan, 0.1, 0.4, 0.4]), make_module()
    run = trainer(tmp_path, 5, callback)
    run.fit(module, make_data())
    assert callback.written == [1, 4]
    told = json.loads((tmp_path / "version_0" / "val_scores.json").read_text())
    assert told["about"] == {"fingerprint": module.scored_on["val"], "step": 4}
    with (tmp_path / "version_0" / "val_chains.tsv").open() as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    assert len(rows) == told["model"]["chains"] == 5
    defined = [float(row["short/P@L"]) for row in rows if row["short/P@L"] != "nan"]
    assert math.fsum(defined) / len(defined) == told["model"]["short/P@L"]


def test_a_resumed_run_brings_it_along(make_module, make_data, tmp_path):
    first = Scripted([0.5])
    run = trainer(tmp_path, 1, first)
    run.fit(make_module(), make_data())
    old = {name: text for name, text in first._files.items()}
    run.save_checkpoint(tmp_path / "last.ckpt")
    again = Scripted([0.3])
    again.__class__ = type("Scripted", (Scripted,), {"state_key": first.state_key})
    trainer(tmp_path, 2, again).fit(
        make_module(), make_data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert again.written == []
    for name, text in old.items():
        assert (tmp_path / "version_1" / name).read_text() == text


def test_a_best_checkpoint_that_is_lost_takes_its_table_with_it(make_module, make_data, tmp_path):
    """Else the table were of a better validation than ``best.ckpt``."""
    kept = [
        RunCheckpoint(filename="best", monitor="scripted", mode="max", dirpath=tmp_path / name)
        for name in ("a", "b")
    ]
    first, again = Scripted([0.5]), Scripted([0.3])
    again.__class__ = type("Scripted", (Scripted,), {"state_key": first.state_key})
    run = trainer(tmp_path, 1, first)
    run.callbacks.append(kept[0])
    run.fit(make_module(), make_data())
    run.save_checkpoint(tmp_path / "last.ckpt")
    (tmp_path / "a" / "best.ckpt").unlink()
    run = trainer(tmp_path, 2, again)
    run.callbacks.append(kept[1])
    run.fit(make_module(), make_data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert again.written == [2]
    assert torch.load(tmp_path / "b" / "best.ckpt", weights_only=True)["global_step"] == 2


def test_the_default_is_the_score_of_best_ckpt():
    assert ChainScoresTable().monitor == "val/long/P@L"


def test_other_runs_are_refused(tmp_path):
    class Other(LightningModule):
        def training_step(self, batch, index):
            return None

        def configure_optimizers(self):
            return None

    with pytest.raises(ValueError, match="ContactModule"):
        trainer(tmp_path, 1, ChainScoresTable(), limit_val_batches=0).fit(
            Other(), DataLoader([torch.zeros(1)])
        )
