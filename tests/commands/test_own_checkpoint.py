"""Checkpoints of another model, or of another version of its classes, before torch sees them."""

import pytest
import torch

from protcontact.commands.own_checkpoint import refuse_half, refuse_other_model
from protcontact.errors import InputError
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.masked_residues import MaskedResidues
from protcontact.training.checkpoint import KEY, describe
from protcontact.training.module import ContactModule


def module(channels=4, auxiliary=None):
    return ContactModule(BiLSTM(channels, layers=1), Bilinear, auxiliary=auxiliary)


def content(of):
    about = {part: describe(getattr(of.model, part)) for part in ("encoder", "head")}
    return {KEY: about, "state_dict": dict(of.state_dict())}


def test_its_own_and_that_of_a_run_with_another_task():
    refuse_other_model("x.ckpt", content(module()), module())
    refuse_other_model("x.ckpt", content(module(auxiliary=MaskedResidues)), module())


def test_another_setting_is_named():
    message = "x.ckpt has another encoder than the config: channels 4, not 6"
    with pytest.raises(InputError, match=message):
        refuse_other_model("x.ckpt", content(module()), module(6))


@pytest.mark.parametrize("change", ["lacks", "has more", "other shape"])
def test_weights_of_another_version_are_named(change):
    held = content(module())
    weights, name = held["state_dict"], "model.head.left.weight"
    if change == "lacks":
        del weights[name]
    elif change == "has more":
        weights[name := "model.head.older"] = torch.zeros(1)
    else:
        weights[name] = torch.zeros(1, 1)
    with pytest.raises(InputError, match=f"other weights than its Bilinear .*{name}.* train again"):
        refuse_other_model("x.ckpt", held, module())


def test_what_cannot_go_on_may_still_be_scored():
    known = {name: None for name in ("prior", "trained_on", "objective")}
    scored = {"global_step": 3, KEY: known}
    refuse_half("x.ckpt", scored, resume=False)
    with pytest.raises(InputError, match="no loops, callbacks"):
        refuse_half("x.ckpt", scored, resume=True)
    with pytest.raises(InputError, match="no global_step, prior"):
        refuse_half("x.ckpt", {KEY: {"trained_on": 1, "objective": 1}}, resume=False)
