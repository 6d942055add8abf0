"""What is copied is joined with the right coordinates, for whole chains, padding and crops."""

import dataclasses

import numpy as np
import pytest
import torch

from protcontact.data.templates import Template
from protcontact.metrics.nulls import Copy, SeparationPrior, copied_scores
from protcontact.metrics.running import ContactScores
from protcontact.training.copied_chains import CopiedChains


@pytest.fixture
def data(make_data):
    module = make_data()
    module.setup("test")
    return module


@pytest.fixture
def prior(data):
    return SeparationPrior.fit(data.whole_chains("train"))


def template(row, first, second, count=12, evalue=1e-9):
    """Residues from `first` on stand on those of a training chain from `second` on."""
    places = np.arange(count)
    return Template(row, evalue, 0.2, 0.5, places + first, places + second)


def slow(data, prior, templates, length):
    copies = []
    for one in templates:
        points = data.store[one.row].coordinates[one.target_index]
        copies.append(Copy(one.evalue, torch.from_numpy(one.query_index), torch.from_numpy(points)))
    return copied_scores(copies, prior.scores(torch.arange(length)))


def test_the_nearest_is_copied_and_several_vote(data, prior):
    rows = data.rows("test")
    two = [template(3, 5, 2), template(7, 0, 9, 15)]
    found = {row: two if row % 2 else [] for row in rows}
    batch = data.whole_chains("test")[0]
    for most in (1, 2):
        scores = CopiedChains(data.store, found, most).scores(batch, prior)
        assert scores.shape == batch.known().shape and scores.dtype == torch.float32
        for b, (name, n) in enumerate(zip(batch.ids, batch.lengths.tolist(), strict=True)):
            expected = slow(data, prior, found[data.store.ids.index(name)][:most], n)
            assert torch.equal(scores[b, :n, :n], expected)
            assert scores[b, n:].abs().sum() == scores[b, :, n:].abs().sum() == 0


def test_a_crop_has_the_scores_of_its_residues(data, prior):
    row = data.rows("test")[0]
    whole = data.whole_chain(row)
    copied = CopiedChains(data.store, {row: [template(3, 5, 2)]})
    kept = torch.tensor([0, 1, 2, 9, 10, 11, 30])
    crop = dataclasses.replace(
        whole,
        tokens=whole.tokens[:, kept],
        mask=whole.mask[:, kept],
        coordinates=whole.coordinates[:, kept],
        index=whole.index[:, kept],
    )
    expected = copied.scores(whole, prior)[0][kept[:, None], kept[None, :]]
    assert torch.equal(copied.scores(crop, prior)[0], expected)


def test_a_chain_that_is_in_training_is_copied_to_perfection(data, prior):
    row = data.rows("train")[-1]
    batch = data.whole_chain(row)
    length = int(batch.lengths[0])
    scores = ContactScores()
    copied = CopiedChains(data.store, {row: [template(row, 0, 0, length, 0.0)]})
    scores.update(copied.scores(batch, prior), batch)
    (line,) = scores.rows()
    for span in line.ranges.values():
        assert span.precision_l == pytest.approx(span.ceiling_l, nan_ok=True)
