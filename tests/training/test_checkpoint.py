"""Checkpoints describe themselves, and never run code."""

import math
import os
import pickle
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from protcontact.errors import InputError
from protcontact.metrics.calibration import Temperature
from protcontact.metrics.nulls import SeparationPrior
from protcontact.models.contract import ContactModel, Encoder, PairHead
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.training.checkpoint import (
    FORMAT,
    KEY,
    build,
    describe,
    load_model,
    prior_of,
    read_checkpoint,
    refuse_other_optimizer,
    temperature_of,
)

BILSTM = "protcontact.models.encoders.recurrent.BiLSTM"


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = BiLSTM(channels=4, layers=1)
    return ContactModel(encoder, Bilinear(encoder.out_channels, rank=2)).eval()


@pytest.fixture
def content(model):
    return {
        KEY: {
            "format": FORMAT,
            "encoder": describe(model.encoder),
            "head": describe(model.head),
        },
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
    }


def save(content, tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save(content, path)
    return path


def test_round_trip_gives_the_same_numbers(model, content, tmp_path):
    loaded = load_model(save(content, tmp_path))
    tokens, mask = torch.randint(0, 20, (1, 9)), torch.ones(1, 9, dtype=torch.bool)
    expected = model.head(model.encoder(tokens, mask), mask)
    assert torch.equal(loaded.head(loaded.encoder(tokens, mask), mask), expected)
    assert not loaded.training


def test_a_prior_that_was_never_counted_is_none():
    prior = SeparationPrior()
    for held in ({}, {"prior": prior.state_dict()}):
        assert prior_of(held) is None
    prior.pairs, prior.contacts = torch.tensor([0, 4]), torch.tensor([0, 1])
    found = prior_of({"prior": prior.state_dict()})
    assert torch.equal(found.pairs, prior.pairs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prior", 3),
        ("prior", {"pairs": torch.ones(2, dtype=torch.int64)}),
        ("prior", {"pairs": torch.tensor([1]), "contacts": torch.tensor([2])}),
        ("trained_on", [1, 2]),
        ("trained_on", torch.ones(2)),
        ("trained_on", torch.ones(2, 2, dtype=torch.int64)),
        ("objective", None),
        ("scored_on", "val"),
    ],
)
def test_what_no_training_says_of_itself_is_refused(content, tmp_path, name, value):
    content[KEY] |= {
        "prior": SeparationPrior().state_dict(),
        "trained_on": torch.tensor([1, 2]),
        "objective": {},
        "scored_on": {},
    }
    load_model(save(content, tmp_path))
    content[KEY][name] = value
    with pytest.raises(InputError, match=f"has in {name} what no training leaves there"):
        load_model(save(content, tmp_path))


def test_a_temperature_comes_along(content, tmp_path):
    assert load_model(save(content, tmp_path)).temperature is None
    fitted = Temperature(1.5, before=0.2, after=0.1, pairs=9, contacts=2, bounded=False)
    content[KEY]["temperature"] = asdict(fitted)
    assert load_model(save(content, tmp_path)).temperature == 1.5
    assert temperature_of(content[KEY], "it") == fitted


@pytest.mark.parametrize(
    "held", [{"value": -1.0}, {"value": math.inf}, {"value": "1"}, {"value": 1.5}, {}, 1.5]
)
def test_a_temperature_that_is_none_is_refused(content, tmp_path, held):
    content[KEY]["temperature"] = held
    with pytest.raises(InputError, match="temperature.*above 0"):
        load_model(save(content, tmp_path))


def test_description_is_plain_data(model):
    assert describe(model.encoder) == {
        "class_path": BILSTM,
        "init_args": {
            "channels": 4,
            "layers": 1,
            "dropout": 0.0,
            "corruption": 0.0,
            "substitution": 0.0,
        },
    }
    assert describe(model.head)["init_args"] == {"in_channels": 8, "rank": 2}


class Foreign(Encoder):
    """An encoder of a user's own, which holds another one."""

    def __init__(self, inner: Encoder, extra: object = None) -> None:
        super().__init__()
        self.inner = inner
        self.out_channels = inner.out_channels

    def forward(self, tokens, mask, index=None):
        return self.inner(tokens, mask, index)


def test_nested_modules_are_described_and_built():
    description = describe(Foreign(BiLSTM(channels=3)))
    assert description["init_args"]["inner"]["class_path"] == BILSTM
    twin = build(description, Encoder, allow=["tests"])
    assert twin.inner.init_args["channels"] == 3


def test_refuses_to_describe_what_is_not_plain():
    with pytest.raises(ValueError, match="cannot describe"):
        describe(Foreign(BiLSTM(), extra=object()))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class_path": "os.system", "init_args": {}}, "only classes of protcontact"),
        ({"class_path": "tests.training.test_checkpoint.Foreign"}, "only classes of protcontact"),
        ({"class_path": "protcontactevil.Encoder"}, "only classes of protcontact"),
        ({}, "only classes of protcontact"),
        ({"class_path": "protcontact"}, "unknown here"),
        ({"class_path": "protcontact.models.no_such.Thing"}, "unknown here"),
        ({"class_path": "protcontact.models.pairing.symmetrize"}, "not a Encoder"),
        ({"class_path": "protcontact.models.heads.bilinear.Bilinear"}, "not a Encoder"),
        ({"class_path": BILSTM, "init_args": {"wings": 2}}, "does not take the arguments"),
        ({"class_path": BILSTM, "init_args": {"layers": 0}}, "does not take the arguments"),
        ({"class_path": BILSTM, "init_args": [1]}, "a list as its init_args"),
    ],
)
def test_refuses_to_build(description, message):
    with pytest.raises(InputError, match=message):
        build(description, Encoder)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def half(**changes):
    described = {"class_path": BILSTM, "init_args": {}}
    ours = {"format": FORMAT, "encoder": described, "head": described, **changes}
    return {KEY: ours, "state_dict": {}}


def test_malicious_pickle_is_refused_and_not_run(content, tmp_path):
    mark = tmp_path / "was_run"
    content["extra"] = Bomb(mark)
    with pytest.raises(InputError, match=r"refused: .* plain data: posix\.mkdir; give"):
        read_checkpoint(save(content, tmp_path))
    assert not mark.exists()


def test_bare_malicious_pickle_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "was_run"
    path = tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(InputError, match=r"model\.ckpt"):
        read_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b""), r"\(it is empty\)"),
        (lambda path: path.write_bytes(b"not a checkpoint at all"), r"\(it is no zip archive, or"),
        (lambda path: path.write_bytes(b"hello"), r"\(it is no zip archive, or"),  # was "(101)"
        (lambda path: np.savez(path.open("wb"), a=1), r"cannot be read \([^\[]*\)"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + b"\0" * 100), "cannot be read"),
        (lambda path: torch.save({"weights": torch.zeros(2)}, path), "not one of protcontact"),
        (lambda path: torch.save(torch.zeros(2), path), "not one of protcontact"),
        (lambda path: torch.save({KEY: {"format": 99}, "state_dict": {}}, path), "format 99"),
        (lambda path: torch.save({KEY: 3, "state_dict": {}}, path), "format None"),
        (
            lambda path: torch.save({KEY: {"format": FORMAT}, "state_dict": {}}, path),
            "does not describe its encoder and head",
        ),
        (
            lambda path: torch.save(half(encoder={"class_path": BILSTM}), path),
            "does not describe its encoder;",
        ),
        (
            lambda path: torch.save(half(head={"class_path": BILSTM, "init_args": [1]}), path),
            "does not describe its head;",
        ),
        (
            lambda path: torch.save({**half(), "state_dict": []}, path),
            "has a list where its weights should be",
        ),
    ],
)
def test_refuses_what_is_no_checkpoint_of_ours(make, message, tmp_path):
    path = tmp_path / "model.ckpt"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        read_checkpoint(path)
    assert "model.ckpt" in str(caught.value)


def test_refuses_a_truncated_checkpoint(content, tmp_path):
    path = save(content, tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(path)


def test_refuses_weights_that_do_not_fit(content, tmp_path):
    del content["state_dict"]["model.head.left.weight"]
    with pytest.raises(InputError, match=r"head\.left\.weight"):
        load_model(save(content, tmp_path))


def test_a_head_is_not_an_encoder(content, tmp_path):
    content[KEY]["encoder"] = content[KEY]["head"]
    with pytest.raises(InputError, match="not a Encoder"):
        load_model(save(content, tmp_path))
    assert not issubclass(PairHead, Encoder)
    assert issubclass(Encoder, nn.Module)


def test_refuses_weights_whose_bytes_have_changed(content, tmp_path):
    """The archive is whole, and torch would read them."""
    path = save(content, tmp_path)
    raw, name = bytearray(path.read_bytes()), "model.head.left.weight"
    weight = content["state_dict"][name].numpy().tobytes()
    place = raw.index(weight)
    raw[place : place + len(weight)] = bytes(len(weight))
    path.write_bytes(raw)
    assert not torch.load(path, weights_only=True)["state_dict"][name].any()
    with pytest.raises(InputError, match=r"checksum of .*/data/\d+ is wrong"):
        read_checkpoint(path)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.5},
        {"weight_decay": 0.9},
        {"betas": (0.8, 0.9)},
        {"amsgrad": True},
        {"maximize": True},
    ],
)
def test_another_optimizer_is_refused(change):
    """What it stored would win, and the log would say otherwise."""
    weights = [torch.nn.Parameter(torch.zeros(2))]
    run = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.05)
    torch.optim.lr_scheduler.LambdaLR(run, lambda step: 0.1)  # lr is 1e-4 now
    refuse_other_optimizer(run.state_dict(), torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.05))
    other = torch.optim.AdamW(weights, **{"lr": 1e-3, "weight_decay": 0.05, **change})
    (name,) = change
    with pytest.raises(InputError, match=f"started with the optimizer's {name} .* start anew"):
        refuse_other_optimizer(run.state_dict(), other)


@pytest.mark.parametrize("kind", ["Adam", "SGD", "RMSprop", "RAdam"])
def test_another_kind_of_optimizer_is_refused(kind):
    """With the same settings, as far as it has them."""
    weights = [torch.nn.Parameter(torch.zeros(2))]
    run = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.05)
    other = getattr(torch.optim, kind)(weights, lr=1e-3, weight_decay=0.05)
    for state, own in ((run.state_dict(), other), (other.state_dict(), run)):
        with pytest.raises(InputError, match="restore model.optimizer"):
            refuse_other_optimizer(state, own)


def test_lists_in_a_state_are_tuples():
    """As they come back from a run that was resumed under FSDP."""
    weights = [torch.nn.Parameter(torch.zeros(2))]
    run = torch.optim.AdamW(weights, lr=1e-3)
    state = run.state_dict()
    state["param_groups"][0]["betas"] = [0.9, 0.999]
    refuse_other_optimizer(state, run)
    state["param_groups"][0]["betas"] = [0.8, 0.999]
    with pytest.raises(InputError, match="betas"):
        refuse_other_optimizer(state, run)


def test_how_an_optimizer_computes_is_no_setting():
    weights = [torch.nn.Parameter(torch.zeros(2))]
    run = torch.optim.AdamW(weights, lr=1e-3, foreach=True)
    refuse_other_optimizer(run.state_dict(), torch.optim.AdamW(weights, lr=1e-3, foreach=False))
