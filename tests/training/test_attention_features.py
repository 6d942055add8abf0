"""Features of pairs, against fair-esm's own functions on a stack of all maps."""

import numpy as np
import pytest
import torch
from esm.modules import apc, symmetrize

from protcontact.data.dataset import Piece, collate
from protcontact.errors import InputError
from protcontact.gradflow.cost import LiveTensors
from protcontact.models.encoders.esm2 import ESM2
from protcontact.structure.alphabet import encode
from protcontact.training.attention_features import (
    chosen_pairs,
    collect_features,
    map_features,
)
from tests.data.chains import random_chain


def batch_of(chain):
    L = len(chain)
    return collate([Piece(chain.id, L, encode(chain.sequence), chain.coordinates, np.arange(L))])


@pytest.fixture
def batches():
    return [batch_of(random_chain(f"c{L}", L, seed=L, unresolved=3)) for L in (30, 12, 21)]


def encoder_of(layers=3, positions=0):
    torch.manual_seed(0)
    encoder = ESM2(channels=16, layers=layers, heads=4, positions=positions).double().eval()
    for parameter in encoder.parameters():  # maps that are far from even
        parameter.data *= 3
    return encoder


def stacked(encoder, batch):
    """The slow twin: all maps of a chain, ``(layers * K, L, L)``, by fair-esm's functions."""
    maps = []
    with torch.no_grad():
        encoder(batch.tokens, batch.mask, visitor=lambda layer, shown: maps.append(shown[0]))
    return apc(symmetrize(torch.stack(maps)[None]))[0].flatten(0, 1)


def pairs_one_by_one(batch, min_separation):
    coordinates = batch.coordinates[0].double()
    for i in range(len(coordinates)):
        for j in range(i + min_separation, len(coordinates)):
            distance = (coordinates[i] - coordinates[j]).norm()
            if not torch.isnan(distance):
                yield i, j, bool(distance < 8)


@pytest.mark.parametrize("min_separation", [1, 6, 11])
def test_pairs(batches, min_separation):
    for batch in batches:
        pairs = chosen_pairs(batch, min_separation)
        found = list(zip(pairs.i.tolist(), pairs.j.tolist(), pairs.contact.tolist(), strict=True))
        assert found == list(pairs_one_by_one(batch, min_separation))


@pytest.mark.parametrize("positions", [0, 40])
def test_all_chains_against_fair_esm(batches, positions):
    encoder = encoder_of(positions=positions)
    seen = []
    features, contact = collect_features(
        encoder, batches, 6, 12, lambda items, note: seen.append(note)
    )
    rows = [(b, *pair) for b in batches for pair in pairs_one_by_one(b, 6)]
    maps = {batch.ids: stacked(encoder, batch) for batch in batches}
    wanted = torch.stack([maps[batch.ids][:, i, j] for batch, i, j, _ in rows])
    assert wanted.std(dim=0).min() > 1e-3
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, wanted, rtol=1e-6, atol=1e-8)
    assert contact.tolist() == [label for *_, label in rows]
    assert 0 < contact.sum() < len(contact)
    assert seen == ["c30", "c12", "c21"]


def test_float64_keeps_its_digits_and_half_precision_is_widened():
    torch.manual_seed(1)
    maps = torch.rand(5, 9, 9, dtype=torch.float64)
    i, j = torch.triu_indices(9, 9, offset=2)
    wanted = apc(symmetrize(maps[None]))[0][:, i, j].T
    torch.testing.assert_close(map_features(maps, i, j), wanted, rtol=0, atol=1e-14)
    assert map_features(maps.bfloat16(), i, j).dtype == torch.float32


def test_map_without_any_attention_gives_no_nan():
    i = torch.arange(3)
    assert map_features(torch.zeros(2, 8, 8), i, i + 4).eq(0).all()


def test_maps_of_one_layer_at_a_time(batches):
    """As many layers as one likes, and no more maps alive than with one."""
    most = []
    for layers in (1, 6):
        encoder = encoder_of(layers).float()
        with LiveTensors(torch.Size([1, 4, 32, 32])) as alive:
            collect_features(encoder, batches[:1], 6, 4 * layers)
        most.append(alive.most)
    assert most[0] > 0
    assert most[1] <= most[0] + 1  # the last of one layer, while the next begins


def test_maps_that_are_not_numbers_are_refused(batches):
    encoder = encoder_of()
    encoder.layers[1].self_attn.q_proj.bias.data[0] = float("nan")
    with pytest.raises(InputError, match="maps of chain c30 are not finite"):
        collect_features(encoder, batches, 6, 12)
