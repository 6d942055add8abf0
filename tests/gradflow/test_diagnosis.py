"""The diagnosis of small models of every kind; its numbers again by hand; refusals."""

import math
from dataclasses import replace

import pytest
import torch

from protcontact.errors import InputError
from protcontact.figures.panels import draw_panels
from protcontact.gradflow.diagnosis import measure_diagnosis
from protcontact.gradflow.diagnosis_bins import SKILL
from protcontact.gradflow.diagnosis_layers import COSTATE, DEPENDENCE, FAR, GATES, HANDED, LYAPUNOV
from protcontact.gradflow.separation_gradient import bin_gradients
from protcontact.metrics.precision import score_chain
from protcontact.metrics.separation_bins import chance, doubling_bins
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.encoders.hybrid import RecurrentAttention
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from tests.gradflow.test_untouched import awake, noise, random_batch, traces
from tests.gradflow.test_untouched import contact_model as model_of
from tests.models.discovery import ENCODERS, HEADS

CHAINS = [random_batch([40], seed=1), random_batch([14, 50], seed=2, padding=1)]


def contact_model(*kinds, **options):
    """As trained models are: float32, several times faster."""
    return model_of(*kinds, dtype=torch.float32, **options)


def table(result):
    found = {}
    for r in result.readings:
        found.setdefault((r.probe, r.where), {})[r.index] = r.value
    return found


PAIRS = [(kind, HEADS[k % len(HEADS)]) for k, kind in enumerate(ENCODERS)]


def test_every_head_has_its_turn():
    assert {head for _, head in PAIRS} == set(HEADS)


@pytest.mark.parametrize(("kind", "head"), PAIRS, ids=lambda kind: kind.__name__)
def test_any_model_in_the_precision_of_training(kind, head):
    model = contact_model(kind, head)
    result = measure_diagnosis(model, [random_batch([30])])
    assert [check for check in result.checks if not check.holds] == []
    probes = {r.probe for r in result.readings}
    left_out = [r.where for r in result.readings if r.probe == "left_out"]
    hybrid = kind is RecurrentAttention
    lstm, attention = kind is BiLSTM or hybrid, kind is Transformer or hybrid
    recurrent = lstm or kind.__name__ in ("BiGRU", "BiRNN")
    pure = recurrent and not hybrid
    blocks = not pure and not issubclass(kind, ESM2)  # whose blocks are run part by part
    for probe, there in (
        (COSTATE, recurrent),
        (LYAPUNOV, recurrent),
        (GATES["f"], lstm),
        (HANDED, blocks),
        (FAR, attention),
    ):
        assert (probe in probes) == there
    assert len(left_out) == 5 - sum([2 * recurrent, lstm, blocks, attention])
    assert all(kind.__name__ in reason for reason in left_out)
    assert len(result.checks) == 2 + 2 * recurrent + blocks
    draw_panels(result.panels)


def test_bins_are_means_over_chains():
    model, bins = contact_model(), doubling_bins(50)
    at = table(measure_diagnosis(model, CHAINS))
    chains = [random_batch([40], seed=1), *split(CHAINS[1])]
    scores, chances, gains = [], [], []
    for batch in chains:
        with torch.no_grad():
            logits = model(batch)[0]
        found = score_chain(logits, batch.contact()[0], batch.known()[0], ranges=bins).values()
        scores.append([score.precision_l for score in found])
        chances.append([chance(score) for score in found])
        gradients = bin_gradients(model, batch, bins)
        gains.append((gradients.at_input / gradients.at_output).log10())
    for row, span in enumerate(bins):
        for where, values in (("logits", scores), ("chance", chances)):
            there = [chain[row] for chain in values if not math.isnan(chain[row])]
            expected = sum(there) / len(there) if there else math.nan
            assert at["P@L", where][span.low] == pytest.approx(expected, nan_ok=True)
        there = [float(gain[row]) for gain in gains if math.isfinite(gain[row])]
        expected = sum(there) / len(there)
        assert at["log10_gain", "gain of the encoder"][span.low] == pytest.approx(
            expected, abs=1e-5
        )
        counted = sum(not math.isnan(chain[row]) for chain in scores)
        assert at["chains", "with a contact in the bin"][span.low] == counted
        both = [k for k in range(3) if not math.isnan(scores[k][row])]
        far = sum(scores[k][row] - chances[k][row] for k in both)
        near = sum(scores[k][0] - chances[k][0] for k in both)
        expected = math.nan if near <= 0 else math.log10(far / near) if far > 0 else -math.inf
        assert at[SKILL, "logits"][span.low] == pytest.approx(expected, nan_ok=True)


def split(batch):
    for row, length in enumerate(batch.lengths.tolist()):
        yield replace(
            batch,
            tokens=batch.tokens[row : row + 1, :length],
            mask=batch.mask[row : row + 1, :length],
            coordinates=batch.coordinates[row : row + 1, :length],
            index=batch.index[row : row + 1, :length],
            lengths=batch.lengths[row : row + 1],
            ids=batch.ids[row : row + 1],
        )


def test_relative_numbers_start_at_0_and_the_same_chain_in_any_batch_is_the_same():
    model = contact_model()
    one = measure_diagnosis(model, CHAINS)
    at = table(one)
    assert at["log10_first_block", "encoder.embedding.letters"][6] == 0
    assert at["log10_relative_gain", "gain of the encoder"][6] == 0
    assert at["log10_relative_dependence", "encoder"][6] == 0
    assert at[DEPENDENCE, "encoder"][0] == 0
    assert len(at[DEPENDENCE, "encoder"]) == 50
    apart = [CHAINS[0], *split(CHAINS[1])]
    assert repr(measure_diagnosis(model, apart)) == repr(one)


def test_a_forgetful_lstm_depends_on_near_residues_alone():
    """A conclusion with a known answer: forget gates closed, so all but the nearest is lost."""
    model = contact_model(BiLSTM)
    with torch.no_grad():
        for name, parameter in model.encoder.named_parameters():
            if "bias_ih" in name:
                parameter[32:64] = -20.0
            elif "weight_hh" in name:
                parameter.mul_(0.1)
    at = table(measure_diagnosis(model, CHAINS))
    assert at["log10_relative_dependence", "encoder"][24] < -6
    assert abs(at["log10_relative_gain", "gain of the encoder"][24]) < 0.3
    for layer in ("forward_lstms.0", "backward_lstms.1"):
        assert at[COSTATE, f"encoder.{layer}"][10] < -5
        assert at[LYAPUNOV, f"encoder.{layer}"][0] < -0.5
        assert at[GATES["f"], f"encoder.{layer}"][0.025] == 1


def test_what_is_said():
    seen = []
    result = measure_diagnosis(
        contact_model(), CHAINS, advance=lambda n, name: seen.append((n, name))
    )
    assert seen == [(0, ""), (1, "chain0"), (1, "chain0"), (1, "chain1")]
    assert "P@L is" in result.conclusion and "6-11" in result.conclusion
    lengths = [(r.where, r.value) for r in result.readings if r.probe == "length"]
    assert lengths == [("chain0", 40), ("chain0", 14), ("chain1", 50)]


def test_chains_that_have_nothing_to_say_are_left_out():
    seen = []
    blank = replace(CHAINS[0], coordinates=torch.full((1, 40, 3), math.nan))
    given = [random_batch([6]), CHAINS[0], blank]
    result = measure_diagnosis(contact_model(), given, advance=lambda n, name: seen.append(n))
    assert seen == [2, 1]
    assert repr(result) == repr(measure_diagnosis(contact_model(), CHAINS[:1]))
    with pytest.raises(InputError, match="none of the 2 chains has a known pair at a separation"):
        measure_diagnosis(contact_model(), [random_batch([6]), blank])


def test_pairs_without_any_contact():
    L = 30
    line = torch.arange(L)[:, None] * torch.tensor([10.0, 0.0, 0.0])
    straight = replace(random_batch([L]), coordinates=line[None])
    result = measure_diagnosis(contact_model(), [straight])
    assert result.holds
    assert "No chain has a contact at a separation of 6-11" in result.conclusion
    draw_panels(result.panels)


def test_refuses():
    model = contact_model()
    with pytest.raises(InputError, match="there is no chain"):
        measure_diagnosis(model, [])
    with torch.no_grad():
        model.head.right.bias[0] = math.inf
    with pytest.raises(InputError, match=r"head\.right\.bias has 1 of"):
        measure_diagnosis(model, CHAINS)


@pytest.mark.parametrize("kind", ENCODERS, ids=lambda kind: kind.__name__)
def test_measuring_leaves_no_trace(kind):
    model = contact_model(kind, **noise(kind, dropout=0.5))
    batch = random_batch([14])
    before = traces(awake(model, batch))
    measure_diagnosis(model, [batch])
    assert traces(model) == before
