"""Jacobians scored as contact maps: a model whose Jacobian is the contact map; scores; refusals."""

import math

import pytest
import torch

from protcontact.errors import InputError
from protcontact.figures.panels import draw_panels
from protcontact.gradflow.couplings import ConditionalMean
from protcontact.gradflow.experiment import Result
from protcontact.gradflow.jacobian import (
    as_contacts,
    categorical_map,
    encoder_outputs,
    jacobian_blocks,
    jacobian_map,
    logit_outputs,
    pull_back,
)
from protcontact.gradflow.jacobian_map import (
    CATEGORICAL,
    ENCODER,
    LOGITS,
    MAPS,
    NULL,
    ROW,
    coupling_checks,
    map_checks,
    measure_jacobian_map,
    nearest_first,
    rank_correlation,
    small_step_check,
)
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.precision import score_batch
from protcontact.models.contract import ContactModel, Encoder
from protcontact.models.encoders.recurrent import BiLSTM, BiRNN
from protcontact.models.heads.resnet import ResNet
from tests.gradflow.test_untouched import Gram, awake, random_batch, traces
from tests.gradflow.test_untouched import contact_model as model_of
from tests.models.discovery import ENCODERS, HEADS

MODULE = "protcontact.gradflow.jacobian_map."
FAR = [random_batch([30]), random_batch([30, 40], seed=0, padding=2)]


def contact_model(*kinds, **options):
    """As trained models are: float32, several times faster."""
    return model_of(*kinds, dtype=torch.float32, **options)


def value(result, probe, where):
    [found] = [r.value for r in result.readings if r.probe == probe and r.where == where]
    return found


class Oracle(Encoder):
    """Depends on residue j exactly where j is in contact with i in the given chain."""

    def __init__(self, batch):
        super().__init__()
        self.out_channels = 3
        self.embedding = torch.nn.Embedding(22, 3, dtype=torch.float64)
        self.contact = batch.contact()[0].double()

    def forward(self, tokens, mask, index=None):
        x = self.embedding(tokens)
        contact = self.contact[index[0]][:, index[0]]
        return x + contact @ x


def test_a_model_that_depends_on_contacts_alone_has_a_perfect_map():
    batch = random_batch([50])
    model = ContactModel(Oracle(batch), Gram(3))
    result = measure_jacobian_map(model, [batch], probes=3)
    ceiling = score_batch(torch.zeros(1, 50, 50), batch)[0].ranges["long"].ceiling_l
    assert value(result, "mean long/P@L", CATEGORICAL) == ceiling
    assert value(result, "mean long/P@L", ENCODER) == ceiling
    assert value(result, "mean long/P@L", NULL) < ceiling
    assert result.holds
    assert f"{ceiling:.3f} by {CATEGORICAL}" in result.conclusion


def test_what_is_reported():
    model, seen = contact_model(), []
    result = measure_jacobian_map(model, FAR, advance=lambda n, name: seen.append((n, name)))
    assert isinstance(result, Result) and result.holds and len(result.checks) == 5
    assert seen == [(0, ""), (1, "chain0"), (1, "chain0"), (1, "chain1")]
    for name in (LOGITS, NULL, *MAPS):
        scores = [r.value for r in result.readings if (r.probe, r.where) == ("long/P@L", name)]
        assert len(scores) == 3
        assert value(result, "mean long/P@L", name) == pytest.approx(sum(scores) / 3)
        assert name in result.conclusion or name in (LOGITS, NULL)
    with torch.no_grad():
        own = score_batch(model(FAR[0]), FAR[0])[0].ranges["long"]
    [first, *_] = [r for r in result.readings if r.probe == "long/P@L/5" and r.where == LOGITS]
    assert first.value == own.precision_l5
    assert len(result.panels) == 4
    draw_panels(result.panels)
    one, two = (measure_jacobian_map(model, FAR[:1], probes=1) for _ in range(2))
    assert repr(one) == repr(two)


PAIRS = [(kind, HEADS[k % len(HEADS)]) for k, kind in enumerate(ENCODERS)]


@pytest.mark.parametrize(("kind", "head"), PAIRS, ids=lambda kind: kind.__name__)
def test_any_model(kind, head):
    assert measure_jacobian_map(contact_model(kind, head), FAR[:1], probes=1).holds


def test_chains_without_far_contacts_are_left_out_and_counted():
    near, seen = random_batch([20]), []
    result = measure_jacobian_map(
        contact_model(), [near, FAR[0]], advance=lambda n, name: seen.append(n)
    )
    assert value(result, "chains_without_far_contact", "") == 1
    assert sum(seen) == 2
    assert "(mean over chains: 1)" in result.conclusion
    with pytest.raises(
        InputError, match="none of the 1 chains has a contact at a separation of 24"
    ):
        measure_jacobian_map(contact_model(), [near])


def test_the_null_is_the_one_that_is_given():
    prior = SeparationPrior.fit([random_batch([60], seed=s) for s in range(4)])
    given = measure_jacobian_map(contact_model(), FAR[:1], prior.scores)
    expected = score_batch(prior.scores(FAR[0].index), FAR[0])[0].ranges["long"]
    assert value(given, "mean long/P@L", NULL) == expected.precision_l
    index = torch.tensor([[0, 1, 5]])
    assert nearest_first(index).tolist() == [[[0, -1, -5], [-1, 0, -4], [-5, -4, 0]]]


def test_refuses():
    model = contact_model()
    with pytest.raises(InputError, match="probes must be at least 1, not 0"):
        measure_jacobian_map(model, FAR, probes=0)
    with pytest.raises(InputError, match="there is no chain"):
        measure_jacobian_map(model, [])
    with torch.no_grad():
        model.encoder.norms[0].weight[0] = math.nan
    with pytest.raises(InputError, match=r"encoder\.norms\.0\.weight has 1 of"):
        measure_jacobian_map(model, FAR)


def test_measuring_leaves_no_trace():
    model = contact_model(dropout=0.5)
    before = traces(awake(model, FAR[0]))
    measure_jacobian_map(model, FAR[:1], probes=1)
    assert traces(model) == before


def test_the_checks_notice_what_is_wrong(monkeypatch):
    """Each in the function that the numbers are told by."""
    model = contact_model(BiLSTM, ResNet)
    assert all(check.holds for check in [*coupling_checks(5), *map_checks(model, FAR[0])])
    assert small_step_check(model, FAR[0]).holds
    monkeypatch.setattr(MODULE + "pull_back", lambda *a: 1.001 * pull_back(*a))
    assert not small_step_check(model, FAR[0]).holds
    monkeypatch.setattr(MODULE + "categorical_map", lambda *a: categorical_map(*a) + 1e-9)
    assert [check.holds for check in coupling_checks(5)] == [True, False]
    monkeypatch.setattr(MODULE + "jacobian_blocks", lambda *a: jacobian_blocks(*a) + 1e-9)
    assert [check.holds for check in coupling_checks(5)] == [False, False]


@pytest.mark.parametrize(
    ("wrong", "holds"),
    [
        (lambda *a: jacobian_map(*a) + 1e-8, [False, True]),
        (lambda *a: jacobian_map(*a) * 2.0, [False, False]),
        (lambda *a: jacobian_map(*a).mT, [False, False]),
    ],
    ids=["shifted", "scaled", "transposed"],
)
def test_a_wrong_map_is_noticed(monkeypatch, wrong, holds):
    monkeypatch.setattr(MODULE + "jacobian_map", wrong)
    assert [check.holds for check in map_checks(contact_model(BiLSTM), FAR[0])] == holds


def test_couplings_that_are_wrong_are_noticed(monkeypatch):
    """The truth comes from covariances, not from the precision that the model multiplies by."""
    monkeypatch.setattr(ConditionalMean, "couplings", lambda model: -model.precision)
    assert [check.holds for check in coupling_checks(5)] == [False, False]


def test_a_head_of_relus_and_a_recurrence_of_relus_pass_the_check():
    model = contact_model(BiRNN, ResNet, nonlinearity="relu")
    assert small_step_check(model, FAR[0]).holds


def test_rank_correlation():
    a = torch.tensor([0.1, 5.0, 2.0, 3.0])
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, torch.tensor([1.0, 4.0, 3.0, 2.0])) == pytest.approx(0.8)
    assert math.isnan(rank_correlation(a[:1], a[:1]))
    assert math.isnan(rank_correlation(a, torch.ones(4)))
    ties = torch.tensor([1.0, 2.0, 2.0, 4.0])  # ranks 1, 2.5, 2.5, 4
    assert rank_correlation(ties, torch.arange(4)) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_the_map_is_the_corrected_jacobian():
    """The first map of the first chain again, by hand."""
    model, batch = contact_model(), FAR[0]
    result = measure_jacobian_map(model, [batch], probes=2, seed=3)
    generator = torch.Generator().manual_seed(3)
    index, tokens = batch.index[0], batch.tokens[0]
    row = as_contacts(jacobian_map(logit_outputs(model, index), tokens, 2, generator))
    inner = as_contacts(jacobian_map(encoder_outputs(model.encoder, index), tokens, 2, generator))
    for name, values in ((ROW, row), (ENCODER, inner)):
        score = score_batch(values[None], batch)[0].ranges["long"]
        assert value(result, "mean long/P@L", name) == score.precision_l
