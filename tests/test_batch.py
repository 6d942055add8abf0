"""The batch: what it derives, and every rule that it refuses to break."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from protcontact.batch import AlignedTemplates, ContactBatch
from protcontact.structure.alphabet import PADDING
from protcontact.structure.chain import Chain
from protcontact.structure.contacts import contact_map

NAN = float("nan")


@pytest.fixture
def batch():
    torch.manual_seed(0)
    tokens = torch.tensor([[0, 5, 20, 3], [7, 1, PADDING, PADDING]])
    coordinates = torch.randn(2, 4, 3) * 6
    coordinates[0, 2] = NAN  # unresolved
    coordinates[1, 2:] = NAN
    index = torch.tensor([[2, 3, 40, 41], [0, 1, 0, 0]])
    return ContactBatch(
        tokens, tokens != PADDING, coordinates, index, torch.tensor([50, 2]), ("a", "b")
    )


def test_known_contact_and_separation_by_a_double_loop(batch):
    known, contact, separation = batch.known(), batch.contact(), batch.separation()
    for b in range(2):
        for i in range(4):
            for j in range(4):
                x, y = batch.coordinates[b, i], batch.coordinates[b, j]
                truth = bool(torch.isfinite(x).all() and torch.isfinite(y).all())
                assert known[b, i, j] == truth
                assert contact[b, i, j] == (truth and float((x - y).norm()) < 8.0)
                assert separation[b, i, j] == abs(batch.index[b, i] - batch.index[b, j])


def test_labels_equal_those_of_the_structure_layer():
    random = np.random.default_rng(1)
    coordinates = (random.normal(size=(60, 3)) * 9).astype(np.float32)
    coordinates[[3, 17]] = np.nan
    chain = Chain("a", "A" * 60, coordinates, coordinates, ("",) * 60)
    labels = torch.from_numpy(contact_map(chain))[None]
    batch = ContactBatch(
        torch.zeros(1, 60, dtype=torch.int64),
        torch.ones(1, 60, dtype=torch.bool),
        torch.from_numpy(coordinates)[None],
        torch.arange(60)[None],
        torch.tensor([60]),
        ("a",),
    )
    assert torch.equal(batch.contact(), labels == 1)
    assert torch.equal(batch.known(), labels >= 0)


def test_moving_keeps_everything(batch):
    moved = batch.to("cpu")
    assert moved.ids == batch.ids
    for name in ("tokens", "mask", "index", "lengths"):
        assert torch.equal(getattr(moved, name), getattr(batch, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": torch.zeros(2, 0, dtype=torch.int64)}, "not empty"),
        ({"tokens": torch.zeros(2, 4)}, "tokens must be torch.int64"),
        ({"mask": torch.ones(2, 4, dtype=torch.bool)}, "PADDING exactly where"),
        ({"mask": torch.tensor([[True] * 4, [False] * 4])}, "without residues"),
        ({"mask": torch.tensor([[True] * 4, [False, True, False, False]])}, "padding stands"),
        ({"coordinates": torch.zeros(2, 4, 2)}, "coordinates must be"),
        ({"coordinates": torch.zeros(2, 4, 3)}, "NaN where mask is False"),
        ({"index": torch.tensor([[2, 3, 3, 4], [0, 1, 0, 0]])}, "index must rise"),
        ({"index": torch.tensor([[2, 3, 40, 50], [0, 1, 0, 0]])}, "index must lie"),
        ({"lengths": torch.tensor([50])}, "lengths must be"),
        ({"ids": ("a",)}, "ids must name 2 chains"),
        ({"tokens": torch.tensor([[0, 5, 99, 3], [7, 1, PADDING, PADDING]])}, "tokens must lie"),
    ],
)
def test_refuses(batch, change, message):
    with pytest.raises(ValueError, match=message):
        replace(batch, **change)


def with_templates(places, evalues):
    tokens = torch.tensor([[1, 2, 3]])
    mask, index = torch.ones(1, 3, dtype=torch.bool), torch.arange(3)[None]
    templates = AlignedTemplates(places, evalues)
    return ContactBatch(
        tokens, mask, torch.zeros(1, 3, 3), index, torch.tensor([3]), ("a",), templates
    )


def test_templates_move_with_the_batch():
    batch = with_templates(torch.ones(1, 2, 3, 3), torch.ones(1, 2))
    moved = batch.to("meta")
    assert moved.templates.coordinates.is_meta and moved.templates.evalues.is_meta
    assert moved.templates.coordinates.shape == (1, 2, 3, 3)
    assert batch.to("cpu").templates.evalues.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("places", "evalues", "message"),
    [
        (torch.ones(1, 2, 4, 3), torch.ones(1, 2), "templates must be"),
        (torch.ones(1, 2, 3, 3), torch.ones(1, 3), "templates must be"),
        (torch.ones(1, 2, 3, 3).double(), torch.ones(1, 2), "float32"),
        (torch.ones(1, 2, 3, 3), torch.ones(1, 2).double(), "float32"),
    ],
)
def test_templates_of_other_shapes_are_refused(places, evalues, message):
    with pytest.raises(ValueError, match=message):
        with_templates(places, evalues)
