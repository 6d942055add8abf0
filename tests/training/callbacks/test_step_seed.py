"""Randomness as a function of the place in the training."""

import itertools
from types import SimpleNamespace

import torch

from protcontact.training.callbacks.step_seed import StepSeed


def draw(epoch=0, batch=0, rank=0, world=1):
    trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank, world_size=world)
    StepSeed().on_train_batch_start(trainer, None, None, batch)
    return torch.rand(4)


def test_same_place_same_numbers_whatever_ran_before():
    first = draw(2, 7)
    torch.rand(100)
    assert torch.equal(draw(2, 7), first)


def test_every_place_is_different():
    places = [draw(*place, world=2) for place in itertools.product((0, 1), repeat=3)]
    for number, one in enumerate(places):
        assert all(not torch.equal(one, other) for other in places[:number])


def test_two_processes_draw_what_one_draws_that_accumulates():
    """Batch b of rank r is batch 2 b + r of the epoch, for the sampler and for its randomness."""
    for batch in range(3):
        for rank in range(2):
            assert torch.equal(draw(1, batch, rank, world=2), draw(1, 2 * batch + rank))


def test_seed_of_the_run_counts(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    first = draw()
    monkeypatch.setenv("PL_GLOBAL_SEED", "2")
    assert not torch.equal(draw(), first)
