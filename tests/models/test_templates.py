"""Maps of templates against loops over pairs."""

import math

import pytest
import torch

from protcontact.batch import AlignedTemplates
from protcontact.models.templates import MAPS, TemplateCells, TemplateTrust, template_maps
from protcontact.structure.similarity import MEASURES

NAN = float("nan")


def random_templates(B=2, T=3, L=7):
    torch.manual_seed(0)
    places = 8 * torch.randn(B, T, L, 3)
    places[torch.rand(B, T, L) < 0.3] = NAN
    evalues = torch.tensor([[1e-9, 0.05, 2.0], [0.3, math.inf, math.inf]])
    return AlignedTemplates(places, torch.randn(B, T, L, MEASURES), evalues)


def alike(places, evalues):
    """Templates whose similarity is 0 everywhere."""
    return AlignedTemplates(places, torch.zeros(*places.shape[:3], MEASURES), evalues)


def trained():
    trust = TemplateTrust()
    with torch.no_grad():
        trust.significance.fill_(0.7)
        trust.similarity.copy_(torch.linspace(-0.5, 1.0, MEASURES))
    return trust


def loops(templates, trust, b, i, j):
    """One pair, in float64."""
    contact = nearness = weight = 0.0
    first = [0.0, 0.0, 0.0]
    for t, evalue in enumerate(templates.evalues[b].tolist()):
        one, other = templates.coordinates[b, t, i], templates.coordinates[b, t, j]
        if not (torch.isfinite(one).all() and torch.isfinite(other).all()):
            continue
        d = math.dist(one.tolist(), other.tolist())
        logit = trust.significance.item() * -min(max(math.log(10 * evalue), -12), 12)
        for residue in (i, j):
            pairs = zip(trust.similarity.tolist(), templates.similarity[b, t, residue], strict=True)
            logit += sum(float(x) * float(y) for x, y in pairs)
        w = 1 / (1 + math.exp(-logit))
        parts = [w / (1 + math.exp(d - 8)), w * math.exp(-d / 10), w]
        first = parts if t == 0 else first
        contact, nearness, weight = contact + parts[0], nearness + parts[1], weight + w
    share = max(1.0, weight)
    return [contact / share, nearness / share, min(weight, 2.0), *first]


def test_maps_are_those_of_loops_over_pairs():
    templates, trust = random_templates(), trained()
    maps = template_maps(templates, trust(templates))
    assert maps.shape == (2, 7, 7, MAPS)
    for b in range(2):
        for i in range(7):
            for j in range(7):
                expected = loops(templates, trust, b, i, j)
                assert maps[b, i, j].tolist() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(maps, maps.transpose(1, 2), rtol=1e-6, atol=1e-7)


def test_without_a_template_nothing_is_said():
    trust = trained()
    nothing = alike(torch.full((1, 2, 4, 3), NAN), torch.full((1, 2), math.inf))
    assert not template_maps(nothing, trust(nothing)).any()
    none = alike(torch.zeros(1, 0, 4, 3), torch.zeros(1, 0))
    maps = template_maps(none, trust(none))
    assert maps.shape == (1, 4, 4, MAPS) and not maps.any()


def weights(templates, **changes):
    """Of the nearest template, from the trust as it starts, or with other values."""
    trust = TemplateTrust()
    with torch.no_grad():
        for name, value in changes.items():
            getattr(trust, name).fill_(value)
        return template_maps(templates, trust(templates))[0, :, :, 5]


def test_a_doubtful_template_says_little():
    places = torch.zeros(1, 1, 2, 3)
    by_evalue = [weights(alike(places, torch.tensor([[e]])))[0, 1] for e in (0.0, 1e-3, 0.1, 9.9)]
    assert by_evalue == sorted(by_evalue, reverse=True) and len(set(by_evalue)) == 4
    as_chance = weights(alike(places, torch.tensor([[9.9]])), significance=1.0, similarity=0.0)
    assert as_chance[0, 1].item() == pytest.approx(1 / (1 + 99))


def test_what_is_alike_is_trusted_where_it_is_alike():
    templates = alike(torch.zeros(1, 1, 3, 3), torch.ones(1, 1))
    templates.similarity[0, 0, :2] = 1.0
    weight = weights(templates, significance=1.0, similarity=0.5)
    assert weight[0, 1] > weight[0, 2] > weight[2, 2]
    assert weight[2, 2].item() == pytest.approx(1 / 11)


def test_at_the_start_likeness_is_trusted_and_a_gap_is_not():
    templates = alike(torch.zeros(1, 1, 2, 3), torch.ones(1, 1))
    templates.similarity[..., 4:] = 1.0  # aligned throughout
    apart = weights(templates)[0, 1]
    templates.similarity[..., :4] = 2.0
    near = weights(templates)[0, 1]
    templates.similarity[..., 5:] = 0.4
    assert near > apart and near > weights(templates)[0, 1]


def test_far_away_does_not_overflow():
    places = torch.tensor([[[[0.0, 0, 0], [1e6, 0, 0]]]])
    templates = alike(places, torch.zeros(1, 1))
    maps = template_maps(templates, TemplateTrust()(templates))
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
