"""Settings of the trainer that end in a traceback, or in nothing, are refused before it is made."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from pytorch_lightning import Trainer

from protcontact.errors import InputError
from protcontact.training.trainer_settings import refuse_unusable, refuse_used_up, tell_unvalidated

DEFAULTS = {
    "precision": None,
    "limit_train_batches": None,
    "max_steps": 12,
    "max_epochs": None,
    "accumulate_grad_batches": 1,
    "strategy": "auto",
    "val_check_interval": 4,
    "check_val_every_n_epoch": None,
}


def settings(**changes):
    return SimpleNamespace(**(DEFAULTS | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bf16-mixed"},
        {"precision": "bf16"},
        {"precision": 32},
        {"max_steps": -1, "max_epochs": 2},
        {"limit_train_batches": 0.5},
        {"val_check_interval": None},
        {"val_check_interval": 0.5, "check_val_every_n_epoch": 1},
        {"strategy": "ddp"},
    ],
)
def test_what_can_be_used(changes):
    refuse_unusable(settings(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "bf16-true"}, "precision bf16-true .* use bf16-mixed"),
        ({"precision": "16-true"}, "precision 16-true .* use bf16-mixed"),
        ({"precision": 64}, "precision 64 .* use bf16-mixed"),
        ({"max_steps": 0}, "max_steps 0 leaves nothing to train"),
        ({"max_epochs": 0}, "max_epochs 0 leaves nothing to train"),
        ({"limit_train_batches": 0.0}, "limit_train_batches 0 leaves nothing"),
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches must be at least 1, not 0"),
        ({"strategy": "ddp_spawn"}, "ddp_spawn would .* use configs/strategy/ddp.yaml"),
        ({"strategy": "ddp_notebook"}, "ddp_notebook would .* use configs/strategy/ddp.yaml"),
        ({"val_check_interval": 0}, "must be above 0, not 0; .*limit_val_batches 0"),
        ({"val_check_interval": "00:00:05:00"}, "is a time, .* give it in steps"),
        ({"val_check_interval": timedelta(hours=1)}, "is a time, .* give it in steps"),
        ({"val_check_interval": 0.5}, "add --trainer.check_val_every_n_epoch 1"),
    ],
)
def test_what_cannot_is_named_with_the_remedy(changes, message):
    with pytest.raises(InputError, match=message):
        refuse_unusable(settings(**changes))


def trainer(**changes):
    quiet = {"logger": False, "accelerator": "cpu", "enable_progress_bar": False}
    return Trainer(**quiet, **changes)


def test_steps_that_are_not_validated():
    by_steps = {"check_val_every_n_epoch": None, "val_check_interval": 4}
    with pytest.raises(InputError, match="3 steps end before .*; add --trainer.val_check_interval"):
        tell_unvalidated(trainer(max_steps=3, **by_steps))
    with pytest.warns(UserWarning, match="last 3 of 7 batches come after the last validation"):
        tell_unvalidated(trainer(max_steps=7, **by_steps))


def test_steps_that_are_validated(recwarn):
    tell_unvalidated(
        trainer(
            max_steps=4,
            check_val_every_n_epoch=None,
            val_check_interval=8,
            accumulate_grad_batches=2,
        )
    )
    assert not [each for each in recwarn if "after the last validation" in str(each.message)]


def test_steps_and_time_that_are_used_up():
    """The time of all starts together, as Lightning counts it."""
    content = {
        "global_step": 10,
        "callbacks": {"Timer": {"time_elapsed": {"train": 60.4}}},
    }
    for changes in ({"max_steps": 11}, {"max_steps": -1}, {"max_time": timedelta(minutes=2)}):
        refuse_used_up("last.ckpt", content, trainer(**changes))
    with pytest.raises(InputError, match="last.ckpt has done all of its 10 steps"):
        refuse_used_up("last.ckpt", content, trainer(max_steps=10))
    with pytest.raises(InputError, match="has used 60 s of training.*max_time, which is 60 s"):
        refuse_used_up("last.ckpt", content, trainer(max_time=timedelta(minutes=1)))
    del content["callbacks"]["Timer"]
    refuse_used_up("last.ckpt", content, trainer(max_time=timedelta(minutes=1)))
