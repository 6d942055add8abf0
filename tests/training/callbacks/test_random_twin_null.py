"""The twin stands beside the module, and is no part of it."""

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from protcontact.metrics.running import ContactScores
from protcontact.training.callbacks.random_twin_null import RandomTwinNull
from protcontact.training.random_twin import random_twin


def run(tmp_path, *callbacks):
    return Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        max_steps=2,
        val_check_interval=1,
        check_val_every_n_epoch=None,
        callbacks=list(callbacks),
    )


def test_the_twin_is_scored_and_logged(make_module, make_data, tmp_path):
    module, data = make_module(), make_data()
    trainer = run(tmp_path, RandomTwinNull(seed=3))
    trainer.fit(module, data)
    twin, expected = random_twin(module.model, 3), ContactScores()
    for batch in data.whole_chains("val"):
        expected.update(twin(batch), batch)
    assert "val/null_random/long/P@L" in trainer.callback_metrics
    assert module.nulls["random"].rows() == expected.rows()
    assert len(expected) == 5
    assert module.twins == ()  # its memory is free again


def test_it_is_made_again_for_another_split(make_module, make_data, tmp_path):
    module, data = make_module(), make_data()
    trainer = run(tmp_path, RandomTwinNull())
    trainer.fit(module, data)
    trainer.validate(module, data, verbose=False)
    assert len(module.nulls["random"]) == 5
    trainer.test(module, data, verbose=False)
    assert {row.id for row in module.nulls["random"].rows()} == {f"c{n}" for n in range(25, 30)}


def test_nothing_else_changes(make_module, make_data, tmp_path):
    plain = make_module()
    run(tmp_path).fit(plain, make_data())
    beside = make_module()  # seeds all that is random
    trainer = run(tmp_path, RandomTwinNull())
    trainer.fit(beside, make_data())
    assert plain.state_dict().keys() == beside.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, beside.state_dict()[name]), name
    held = sum(p.numel() for group in trainer.optimizers[0].param_groups for p in group["params"])
    assert held == sum(p.numel() for p in beside.model.parameters())


def test_other_modules_are_refused(tmp_path):
    with pytest.raises(ValueError, match="ContactModule"):
        RandomTwinNull().setup(Trainer(logger=False), LightningModule(), "fit")
