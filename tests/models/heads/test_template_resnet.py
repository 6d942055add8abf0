"""The residual network that looks at templates."""

import math

import pytest
import torch

from protcontact.batch import AlignedTemplates, ContactBatch
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.ensemble import HeadEnsemble
from protcontact.models.heads.template_resnet import TemplateResNet

NAN = float("nan")


def made(**options):
    torch.manual_seed(0)
    head = TemplateResNet(6, channels=4, **options)
    with torch.no_grad():
        head.direct.weight.normal_()
    return head.eval()


def given(B=2, L=9, T=2):
    torch.manual_seed(1)
    x, mask = torch.randn(B, L, 6), torch.ones(B, L, dtype=torch.bool)
    templates = AlignedTemplates(5 * torch.randn(B, T, L, 3), torch.rand(B, T) / 10)
    return x, mask, torch.arange(L).expand(B, L), templates


def nowhere(templates):
    return AlignedTemplates(
        torch.full_like(templates.coordinates, NAN),
        torch.full_like(templates.evalues, math.inf),
    )


@pytest.mark.parametrize("patch", [1, 2])
def test_no_template_is_as_templates_that_know_nothing(patch):
    head = made(patch=patch)
    x, mask, index, templates = given()
    alone = head(x, mask, index)
    torch.testing.assert_close(head(x, mask, index, nowhere(templates)), alone)
    assert (head(x, mask, index, templates) - alone).abs().max() > 1e-2


def test_templates_reach_the_blocks_and_the_logits():
    """Not only by the direct way."""
    head = made()
    with torch.no_grad():
        head.direct.weight.zero_()
    x, mask, index, templates = given()
    logits = head(x, mask, index, templates)
    assert (logits - head(x, mask, index)).abs().max() > 1e-3
    torch.testing.assert_close(logits, logits.transpose(1, 2))
    logits.sum().backward()
    assert head.cells.linear.weight.grad.norm() > 0 and head.direct.weight.grad.norm() > 0


def test_a_chain_is_the_same_in_any_batch():
    head = made().double()
    x, mask, index, templates = given()
    templates = templates.mapped(torch.Tensor.double)
    x = x.double()
    short = 5
    mask = mask.clone()
    mask[1, short:] = False
    templates.coordinates[1, :, short:] = NAN
    together = head(x, mask, index, templates)[1, :short, :short]
    one = AlignedTemplates(templates.coordinates[1:, :, :short], templates.evalues[1:])
    alone = head(x[1:, :short], mask[1:, :short], index[1:, :short], one)[0]
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_the_model_hands_on_the_templates_of_its_batch():
    torch.manual_seed(0)
    model = ContactModel(Transformer(channels=8), TemplateResNet(8, channels=4)).eval()
    ensemble = ContactModel(model.encoder, HeadEnsemble(8, [model.head])).eval()
    plain = ContactModel(model.encoder, HeadEnsemble(8, [Bilinear(8)])).eval()
    with torch.no_grad():
        model.head.direct.weight.fill_(1.0)
    L = 6
    tokens, mask = torch.arange(L)[None], torch.ones(1, L, dtype=torch.bool)
    _, _, _, templates = given(1, L)
    facts = (tokens, mask, torch.zeros(1, L, 3), torch.arange(L)[None], torch.tensor([L]), ("a",))
    without, batch = ContactBatch(*facts), ContactBatch(*facts, templates)
    assert not torch.equal(model(batch), model(without))
    torch.testing.assert_close(ensemble(batch), model(batch))
    assert torch.equal(plain(batch), plain(without))
    assert torch.equal(model(batch, draw=True).maps, model(batch))


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_evaluation_is_the_mean_over_the_ways_to_lay_cells(patch):
    """Against chains with residues before them that are not there, one by one."""
    head = made(patch=patch).double()
    x, mask, index, templates = given()
    x, templates = x.double(), templates.mapped(torch.Tensor.double)
    one_way = made(patch=patch, average_offsets=False).double()
    assert one_way.state_dict().keys() == head.state_dict().keys()
    drawn = []
    for offset in range(patch):
        before = torch.zeros(2, offset, dtype=torch.bool)
        nowhere = templates.coordinates.new_full((2, 2, offset, 3), NAN)
        longer = AlignedTemplates(
            torch.cat([nowhere, templates.coordinates], dim=2),
            templates.evalues,
        )
        logits = one_way(
            torch.cat([torch.full((2, offset, 6), 7.0).double(), x], dim=1),
            torch.cat([before, mask], dim=1),
            torch.cat([torch.arange(-offset, 0).expand(2, offset), index], dim=1),
            longer,
        )
        drawn.append(logits[:, offset:, offset:])
    expected = torch.stack(drawn).mean(dim=0)
    torch.testing.assert_close(head(x, mask, index, templates), expected, rtol=1e-9, atol=1e-9)
    if patch > 1:
        assert (drawn[0] - drawn[1]).abs().max() > 1e-3
    torch.testing.assert_close(head.train()(x, mask, index, templates), drawn[0])
    assert torch.equal(head.eval()(x, mask, None, templates), head(x, mask, index, templates))
