"""Randomness as a function of the place in the training."""

from types import SimpleNamespace

import torch

from protcontact.training.callbacks.step_seed import StepSeed


def draw(epoch=0, batch=0, rank=0):
    trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    StepSeed().on_train_batch_start(trainer, None, None, batch)
    return torch.rand(4)


def test_same_place_same_numbers_whatever_ran_before():
    first = draw(2, 7)
    torch.rand(100)
    assert torch.equal(draw(2, 7), first)


def test_every_place_is_different():
    places = [draw(), draw(epoch=1), draw(batch=1), draw(rank=1)]
    for number, one in enumerate(places):
        assert all(not torch.equal(one, other) for other in places[:number])


def test_seed_of_the_run_counts(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    first = draw()
    monkeypatch.setenv("PL_GLOBAL_SEED", "2")
    assert not torch.equal(draw(), first)
