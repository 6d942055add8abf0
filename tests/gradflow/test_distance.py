"""Dependence by distance against dense Jacobians, all signs, and filters of known length."""

import itertools
import math

import pytest
import torch
from torch import nn

from protcontact.gradflow.distance import (
    FLOOR,
    DistanceCurve,
    dependence,
    distance_curve,
    read_curve,
    rms_by_distance,
    spread_evenly,
)
from protcontact.models.contract import Encoder
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.structure.alphabet import PADDING
from tests.gradflow.test_untouched import (
    Gram,
    assert_no_trace,
    contact_model,
    never_waits,
    random_batch,
    step_of,
)

SMALL = [(BiLSTM, {"channels": 2}), (Transformer, {"channels": 4, "heads": 2})]
small = pytest.mark.parametrize(("kind", "options"), SMALL, ids=["BiLSTM", "Transformer"])


class Given(nn.Module):
    """In the place of an embedding: vectors that are given."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors

    def forward(self, tokens):
        return self.vectors


class Filter(Encoder):
    """``y_i = sum_j decay^|i-j| x_j``: each Jacobian block is a multiple of the identity."""

    def __init__(self, decay=0.5, channels=3):
        super().__init__()
        self.out_channels = channels
        self.decay = decay
        self.embedding = nn.Embedding(PADDING + 1, channels)

    def forward(self, tokens, mask, index=None):
        x = self.embedding(tokens) * mask[..., None]
        distance = (index[:, :, None] - index[:, None, :]).abs()
        return (self.decay ** distance.double()).to(x.dtype) @ x


class Busy(Filter):
    """Calls what returns other things, before and after its embedding."""

    def __init__(self, decay=0.5, channels=3):
        super().__init__(decay, channels)
        self.other = nn.Identity()

    def forward(self, tokens, mask, index=None):
        S, L = tokens.shape
        self.other(tokens)
        self.other([torch.rand(S, L, 3)])
        self.other(torch.rand(S, L) + mask)
        self.other(torch.rand(S, L, 2, 3))
        self.other(torch.rand(1, L, 3))
        return self.other(super().forward(tokens, mask, index))


def woken(kind, options, seed=0):
    """Weights of order 1, so that all distances have something to say."""
    torch.manual_seed(seed)
    encoder = kind(**options)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return encoder.double().eval()


def chain(length, padding=0, seed=0):
    letters = torch.randint(0, 20, (length,), generator=torch.Generator().manual_seed(seed))
    tokens = torch.cat([letters, torch.full((padding,), PADDING)])
    return tokens, torch.arange(length + padding)


def dense_blocks(encoder, tokens, index):
    """``(L, C, L, C)`` by reverse mode, one output at a time: the slow obvious twin."""
    embedding = encoder.embedding
    x = embedding(tokens[None]).detach()

    def output(vectors):
        encoder.embedding = Given(vectors)
        return encoder(tokens[None], tokens[None] != PADDING, index[None])

    jacobian = torch.autograd.functional.jacobian(output, x)
    encoder.embedding = embedding
    return jacobian[0, :, :, 0]


def signs_of(generator_seed, shape):
    generator = torch.Generator().manual_seed(generator_seed)
    return torch.randint(0, 2, shape, generator=generator) * 2 - 1


def loops_by_distance(blocks, index, sources):
    """Root mean square of Frobenius norms, pair by pair."""
    found = {}
    for i in sources.tolist():
        for j in range(len(index)):
            d = abs(int(index[i]) - int(index[j]))
            found.setdefault(d, []).append(float(blocks[i, :, j].square().sum()))
    return [
        math.sqrt(sum(found[d]) / len(found[d])) if d in found else math.nan
        for d in range(len(index))
    ]


@small
def test_all_signs_together_are_the_frobenius_norm(kind, options):
    """``mean_r |J^T r|^2 = |J|_F^2`` exactly over all 2^4 signs, at every source and residue."""
    encoder, (tokens, index) = woken(kind, options), chain(9)
    blocks = dense_blocks(encoder, tokens, index)
    truth = blocks.square().sum(dim=(1, 3))
    sources = torch.tensor([0, 3, 8])
    total = torch.zeros(3, 9, dtype=torch.float64)
    for signs in itertools.product((-1, 1), repeat=4):
        cotangents = torch.tensor(signs).expand(3, 4)
        total += dependence(encoder, tokens, index, sources, cotangents) ** 2
    torch.testing.assert_close(total / 16, truth[sources], rtol=4e-15, atol=0)  # GRADFLOW's


@small
def test_each_cotangent_gives_the_product_with_the_dense_jacobian(kind, options):
    """Every source with signs of its own: copies do not mix."""
    encoder, (tokens, index) = woken(kind, options), chain(9)
    blocks = dense_blocks(encoder, tokens, index)
    sources, cotangents = torch.tensor([8, 2, 2, 5]), signs_of(1, (4, 4))
    truth = torch.stack(
        [
            torch.einsum("cjd,c->jd", blocks[i], r.double())
            for i, r in zip(sources, cotangents, strict=True)
        ]
    ).norm(dim=2)
    found = dependence(encoder, tokens, index, sources, cotangents)
    torch.testing.assert_close(found, truth, rtol=1e-13, atol=0)


@small
def test_many_draws_come_to_the_dense_curve(kind, options):
    """400 draws of signs: the mean square is off by a few per cent and without bias."""
    encoder, (tokens, index) = woken(kind, options), chain(9)
    sources = torch.tensor([0, 4, 8])
    truth = loops_by_distance(dense_blocks(encoder, tokens, index), index, sources)
    generator = torch.Generator().manual_seed(0)
    squares = sum(
        distance_curve(encoder, tokens, index, sources, generator) ** 2 for _ in range(400)
    )
    found = (squares / 400).sqrt()
    torch.testing.assert_close(found, torch.tensor(truth).double(), rtol=0.1, atol=0)


@small
def test_padding_has_no_part(kind, options):
    encoder, sources = woken(kind, options), torch.tensor([0, 4, 8])
    alone, padded = (
        distance_curve(encoder, *chain(9, padding), sources, torch.Generator().manual_seed(0))
        for padding in (0, 4)
    )
    torch.testing.assert_close(padded[:9], alone, rtol=1e-10, atol=0)
    assert padded[9:].isnan().all()


def test_distance_is_counted_along_the_sequence():
    """Windows of 4 and 3 residues, three missing between them: distance 3 to 6 jumps the gap."""
    tokens, _ = chain(7)
    index = torch.tensor([10, 11, 12, 13, 17, 18, 19])
    sources = torch.tensor([0, 2])
    values = torch.rand(2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = rms_by_distance(values, tokens != PADDING, index, sources)
    v = values.square()
    truth = [
        (v[0, 0] + v[1, 2]) / 2,
        (v[0, 1] + v[1, 1] + v[1, 3]) / 3,
        (v[0, 2] + v[1, 0]) / 2,
        v[0, 3],
        torch.tensor(math.nan),  # no residue is 4 away from residues 10 and 12
        v[1, 4],
        v[1, 5],
    ]  # and 7, 8 and 9 are beyond the number of residues
    torch.testing.assert_close(found, torch.stack(truth).sqrt(), rtol=1e-14, atol=0, equal_nan=True)


@pytest.mark.parametrize(("decay", "reach"), [(0.5, 10), (0.9, 40), (0.2, 5)])
def test_a_filter_has_the_length_it_was_made_with(decay, reach):
    """0.5^9 > 1e-3 > 0.5^10; 0.9^39 > 1e-3: never within 40 residues."""
    encoder, (tokens, index) = Filter(decay).double(), chain(40)
    curve = distance_curve(encoder, tokens, index, torch.tensor([0, 20, 39]), torch.Generator())
    expected = math.sqrt(3) * decay ** torch.arange(40, dtype=torch.float64)
    torch.testing.assert_close(curve, expected, rtol=1e-12, atol=0)
    found = read_curve(curve)
    assert found.scalars["dist/slope_log10_per_residue"] == pytest.approx(math.log10(decay))
    assert found.scalars["dist/reach_1e-3"] == reach
    logs = [d * math.log10(decay) for d in range(40)]
    assert found.curves["dist/curve"] == pytest.approx(logs, abs=1e-9)


def test_the_input_is_the_first_output_of_its_shape():
    torch.manual_seed(0)
    arguments = *chain(9), torch.tensor([0, 4, 8])
    plain, busy = (
        distance_curve(kind(), *arguments, torch.Generator().manual_seed(0))
        for kind in (Filter, Busy)
    )
    torch.testing.assert_close(busy, plain, rtol=1e-6, atol=0)


def test_what_has_underflowed_is_a_floor_and_not_a_slope():
    """In float32 1e-3^d is 0 from d = 15 on, and loses digits from 13 on."""
    encoder, (tokens, index) = Filter(1e-3), chain(40)
    curve = distance_curve(encoder, tokens, index, torch.tensor([0, 39]), torch.Generator())
    assert curve[39] == 0
    found = read_curve(curve)
    assert found.scalars["dist/slope_log10_per_residue"] == pytest.approx(-3.0, abs=1e-5)
    logs = found.curves["dist/curve"]
    assert logs[12] == pytest.approx(-36.0, abs=1e-4)
    assert logs[13:] == [logs[39]] * 27
    assert logs[39] == pytest.approx(math.log10(FLOOR / math.sqrt(3)))


def test_reach_is_where_less_than_a_thousandth_is_left():
    assert (
        read_curve(torch.tensor([1.0, 1e-3, 9e-4], dtype=torch.float64)).scalars["dist/reach_1e-3"]
        == 2
    )


def test_reading_leaves_out_what_nobody_is_at():
    found = read_curve(torch.tensor([2.0, math.nan, 2e-2, 2e-4, math.nan, math.nan]))
    assert found.curves["dist/curve"] == pytest.approx([0, math.nan, -2, -4], nan_ok=True)
    assert found.scalars["dist/reach_1e-3"] == 3
    slope = found.scalars["dist/slope_log10_per_residue"]
    x, y = torch.tensor([0.0, 2, 3]) - 5 / 3, torch.tensor([0.0, -2, -4]) + 2
    assert slope == pytest.approx(float(x @ y / (x @ x)))


@pytest.mark.parametrize("values", [[math.nan] * 3, [math.inf, 1.0], [math.nan, 1.0]])
def test_an_exploded_network_is_not_an_error(values):
    assert read_curve(torch.tensor(values)).scalars == {}


def test_a_network_without_gradient_has_no_slope():
    found = read_curve(torch.zeros(3))
    assert found.scalars == {"dist/reach_1e-3": 3}
    assert found.curves == {"dist/curve": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize(
    ("length", "count", "places"),
    [(9, 3, [0, 4, 8]), (3, 5, [0, 0, 1, 2, 2]), (7, 1, [0]), (1, 2, [0, 0]), (400, 2, [0, 399])],
)
def test_sources_are_spread_from_end_to_end(length, count, places):
    assert spread_evenly(torch.tensor(length), count).tolist() == places


def read(probe, model, batch):
    (pending,) = probe.after_update(step_of(model, batch))
    assert not pending.joined
    return pending.read(pending.values.flatten()[None])


@small
def test_the_longest_chain_is_looked_at(kind, options):
    batch = random_batch([12, 30, 21], padding=5)
    model = contact_model(kind, **options)
    found = read(DistanceCurve(sources=5), model, batch)
    curve = distance_curve(
        model.encoder,
        batch.tokens[1, :30],
        torch.arange(30),
        torch.tensor([0, 7, 14, 22, 29]),
        torch.Generator().manual_seed(0),
    )
    logs = (curve / curve[0]).log10().tolist()
    assert found.curves["dist/curve"] == pytest.approx(logs, abs=1e-9)
    assert len(logs) == 30
    assert set(found.scalars) == {"dist/slope_log10_per_residue", "dist/reach_1e-3"}
    assert found == read(DistanceCurve(sources=5), model, batch)
    assert found != read(DistanceCurve(sources=5, seed=1), model, batch)


def test_a_long_chain_is_cropped():
    batch = random_batch([12, 30])
    found = read(DistanceCurve(longest=20), contact_model(Filter), batch)
    assert found.curves["dist/curve"] == pytest.approx([d * math.log10(0.5) for d in range(20)])


def test_frozen_encoders_have_a_curve():
    model, batch = contact_model(), random_batch([20])
    expected = read(DistanceCurve(), model, batch)
    model.requires_grad_(False)
    assert read(DistanceCurve(), model, batch) == expected


def test_says_that_it_runs_the_model():
    assert DistanceCurve.runs_model


@pytest.mark.parametrize("kind", [BiLSTM, Transformer])
def test_measuring_leaves_no_trace(kind):
    model = contact_model(kind, dropout=0.5, corruption=0.3)
    last = model.encoder.norms[1] if kind is BiLSTM else model.encoder.norm
    assert_no_trace(DistanceCurve(), model, random_batch([33, 20]), breaking=last)


@pytest.mark.parametrize("kind", [BiLSTM, Transformer])
def test_the_device_never_waits(kind, monkeypatch):
    model, batch = contact_model(kind, Gram, dtype=torch.float32), random_batch([33, 20])
    with never_waits(monkeypatch):
        pending = DistanceCurve().after_update(step_of(model, batch))
    assert len(pending) == 1


class Shapeless(Filter):
    """No submodule gives vectors of residues."""

    def forward(self, tokens, mask, index=None):
        return self.embedding(tokens.flatten()).view(*tokens.shape, -1)


class Detached(Filter):
    """The output does not depend on the input."""

    def forward(self, tokens, mask, index=None):
        return super().forward(tokens, mask, index).detach()


def test_refuses():
    tokens, index = chain(9)
    arguments = torch.tensor([0]), torch.Generator()
    for kind in (Shapeless, Detached):
        with pytest.raises(
            ValueError, match=f"no submodule of {kind.__name__} .* leave this probe"
        ):
            distance_curve(kind(), tokens, index, *arguments)
    with pytest.raises(ValueError, match=r"must be \(L,\) of one chain, not \(1, 9\) and \(9,\)"):
        distance_curve(Filter(), tokens[None], index, *arguments)
    with pytest.raises(ValueError, match=r"not \(9,\) and \(8,\)"):
        distance_curve(Filter(), tokens, index[:8], *arguments)
    with pytest.raises(ValueError, match="must be >= 1, not 0 and 512"):
        DistanceCurve(sources=0)
    with pytest.raises(ValueError, match="must be >= 1, not 8 and 0"):
        DistanceCurve(longest=0)
    with pytest.raises(ValueError, match="DistanceCurve needs a model that holds a ContactModel"):
        DistanceCurve().after_update(step_of(nn.Linear(1, 1), random_batch([9])))
    with pytest.raises(ValueError, match="DistanceCurve needs batches that are a ContactBatch"):
        DistanceCurve().after_update(step_of(contact_model(), None))
