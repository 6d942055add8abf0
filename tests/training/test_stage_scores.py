"""The model is scored each time, nulls once per split."""

import pytest
import torch

from protcontact.errors import InputError
from protcontact.metrics.loss import chain_losses
from protcontact.training.stage_scores import StageScores


@pytest.fixture
def batches(make_data):
    data = make_data()
    data.setup("fit")
    return [data.whole_chain(row) for row in data.rows("val")]


class Counted:
    def __init__(self):
        self.calls = 0

    def __call__(self, batch):
        self.calls += 1
        size = batch.tokens.shape[1]
        return -(torch.arange(size)[:, None] - torch.arange(size)).abs().float()[None]


def one_pass(scores, split, batches, nulls, **options):
    scores.start(split, nulls)
    for batch in batches:
        size = batch.tokens.shape[1]
        logits = torch.randn(1, size, size, generator=torch.Generator().manual_seed(size))
        scores.update(logits, batch, nulls, {"loss": chain_losses(logits, batch)})
    scores.finish(split, **options)


def test_nulls_are_scored_once_per_split(batches):
    scores, null = StageScores(), Counted()
    one_pass(scores, "val", batches, {"near": null})
    first = scores.nulls["near"].rows()
    assert null.calls == len(batches) == len(first) == len(scores.model) == len(scores.reliability)
    one_pass(scores, "val", batches[:2], {"near": null})
    assert null.calls == len(batches) and scores.nulls["near"].rows() == first
    assert len(scores.model) == len(scores.reliability) == 2
    first_two = scores.losses.means()["loss"]
    one_pass(scores, "val", batches[:1] * 2 + batches[1:2], {"near": null})  # one comes twice
    assert scores.losses.means()["loss"] == first_two > 0
    one_pass(scores, "test", batches[:3], {"near": null})
    assert null.calls == len(batches) + 3 and len(scores.nulls["near"]) == 3


def test_a_rehearsal_does_not_count(batches):
    scores, null = StageScores(), Counted()
    one_pass(scores, "val", batches[:1], {"near": null}, sanity=True)
    one_pass(scores, "val", batches, {"near": null})
    assert len(scores.nulls["near"]) == len(batches)


def test_nulls_can_be_forgotten_and_come_late(batches):
    scores, null = StageScores(), Counted()
    one_pass(scores, "val", batches, {})
    assert scores.nulls == {}
    scores.forget_nulls()
    one_pass(scores, "val", batches, {"near": null})
    assert len(scores.nulls["near"]) == len(batches)


def test_a_pass_that_broke_off_is_not_mistaken_for_a_whole_one(batches):
    scores, null = StageScores(), Counted()
    nulls = {"near": null}
    scores.start("val", nulls)
    scores.update(null(batches[0]), batches[0], nulls, {})
    one_pass(scores, "val", batches, nulls)
    assert len(scores.nulls["near"]) == len(batches)


def test_a_training_that_diverged_is_the_users(batches):
    """The chain is named; precision of NaN would be a traceback."""
    scores = StageScores()
    scores.start("val", ())
    size = batches[0].tokens.shape[1]
    with pytest.raises(InputError, match=f"{batches[0].ids[0]} are NaN: .* lower learning rate"):
        scores.update(torch.full((1, size, size), float("nan")), batches[0], {}, {})
