"""Maps of templates against loops over pairs."""

import math

import pytest
import torch

from protcontact.batch import AlignedTemplates
from protcontact.models.templates import MAPS, TemplateCells, template_maps

NAN = float("nan")


def random_templates(B=2, T=3, L=7):
    torch.manual_seed(0)
    places = 8 * torch.randn(B, T, L, 3)
    places[torch.rand(B, T, L) < 0.3] = NAN
    evalues = torch.tensor([[1e-9, 0.05, 2.0], [0.3, math.inf, math.inf]])
    return AlignedTemplates(places, evalues)


def loops(templates, b, i, j):
    """One pair, in float64."""
    contact = nearness = weight = 0.0
    first = [0.0, 0.0]
    for t, evalue in enumerate(templates.evalues[b].tolist()):
        one, other = templates.coordinates[b, t, i], templates.coordinates[b, t, j]
        if not (torch.isfinite(one).all() and torch.isfinite(other).all()):
            continue
        d = math.dist(one.tolist(), other.tolist())
        w = 0.0 if math.isinf(evalue) else 1 / (1 + 10 * evalue)
        parts = [w / (1 + math.exp(d - 8)), w * math.exp(-d / 10)]
        first = parts if t == 0 else first
        contact, nearness, weight = contact + parts[0], nearness + parts[1], weight + w
    share = max(1.0, weight)
    return [contact / share, nearness / share, min(weight, 2.0), *first]


def test_maps_are_those_of_loops_over_pairs():
    templates = random_templates()
    maps = template_maps(templates)
    assert maps.shape == (2, 7, 7, MAPS)
    for b in range(2):
        for i in range(7):
            for j in range(7):
                assert maps[b, i, j].tolist() == pytest.approx(loops(templates, b, i, j), abs=1e-5)
    assert torch.equal(maps, maps.transpose(1, 2))


def test_without_a_template_nothing_is_said():
    nothing = AlignedTemplates(torch.full((1, 2, 4, 3), NAN), torch.full((1, 2), math.inf))
    assert not template_maps(nothing).any()
    none = AlignedTemplates(torch.zeros(1, 0, 4, 3), torch.zeros(1, 0))
    assert template_maps(none).shape == (1, 4, 4, MAPS) and not template_maps(none).any()


def test_a_doubtful_template_says_little():
    places = torch.zeros(1, 1, 2, 3)
    sure, doubtful = (
        template_maps(AlignedTemplates(places, torch.tensor([[e]])))[0, 0, 1, 0] for e in (0.0, 9.9)
    )
    assert float(doubtful) == pytest.approx(float(sure) / 100, rel=1e-5)


def test_far_away_does_not_overflow():
    places = torch.tensor([[[[0.0, 0, 0], [1e6, 0, 0]]]])
    maps = template_maps(AlignedTemplates(places, torch.zeros(1, 1)))
    assert torch.isfinite(maps).all() and maps[0, 0, 1, 0] == 0


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_cells_read_their_own_pairs(patch):
    cells = TemplateCells(4, patch)
    maps = torch.randn(2, 7, 7, MAPS)
    made = cells(maps)
    padded = torch.zeros(2, 9, 9, MAPS)
    padded[:, :7, :7] = maps
    M = -(-7 // patch)
    assert made.shape == (2, M, M, 4)
    for i in range(M):
        for j in range(M):
            block = padded[:, i * patch : (i + 1) * patch, j * patch : (j + 1) * patch]
            expected = cells.linear(block.reshape(2, -1))
            torch.testing.assert_close(made[:, i, j], expected)
