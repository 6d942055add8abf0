"""A frozen backbone: no gradient, no noise, and embeddings on disk that are those computed."""

import copy
from contextlib import contextmanager

import pytest
import torch

from protcontact.errors import InputError
from protcontact.gradflow.inputs import input_of
from protcontact.metrics.loss import masked_contact_loss
from protcontact.models.contract import ContactModel, Encoder
from protcontact.models.encoders import esm2_frozen
from protcontact.models.encoders.esm2 import ALPHABET, ESM2
from protcontact.models.encoders.esm2_frozen import FrozenESM2
from protcontact.models.heads.resnet import ResNet
from protcontact.models.pretrained.file import Pretrained, write_pretrained
from protcontact.training.checkpoint import build, describe
from tests.gradflow.test_untouched import random_batch

SIZES = {"channels": 16, "layers": 2, "heads": 2}


def imported(path, seed=0):
    """A file as ``protcontact import`` writes it."""
    torch.manual_seed(seed)
    e = ESM2(**SIZES)
    tensors = {name: x for name, x in e.state_dict().items() if name != "lm_head.weight"}
    architecture = {name: x for name, x in e.init_args.items() if name != "checkpoint"}
    write_pretrained(path, Pretrained(architecture, tuple(ALPHABET.all_toks), tensors))
    return str(path)


@pytest.fixture
def checkpoint(tmp_path):
    return imported(tmp_path / "esm.safetensors")


def vectors(encoder, batch):
    return encoder(batch.tokens, batch.mask, batch.index)


def files(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@contextmanager
def nothing_computed(monkeypatch):
    """Within it nothing may be computed."""
    with monkeypatch.context() as patch:
        patch.setattr(ESM2, "forward", None)
        yield


def test_gives_what_the_trained_one_gives(checkpoint):
    batch = random_batch([9, 4], padding=1)
    frozen, free = FrozenESM2(checkpoint=checkpoint), ESM2(checkpoint=checkpoint)
    assert torch.equal(vectors(frozen, batch), vectors(free, batch))
    assert torch.equal(
        frozen.contact_logits(batch.tokens, batch.mask),
        free.contact_logits(batch.tokens, batch.mask),
    )


def test_stays_in_evaluation_mode_and_has_no_graph(checkpoint, tmp_path):
    for cache in (None, str(tmp_path / "cache")):
        encoder = FrozenESM2(checkpoint=checkpoint, cache=cache)
        model = ContactModel(encoder, ResNet(16)).train()
        assert model.head.training and not any(part.training for part in encoder.modules())
        assert not any(p.requires_grad for p in encoder.parameters())
        batch = random_batch([9, 4])
        assert not vectors(encoder, batch).requires_grad
        assert model(batch).requires_grad


def test_cached_loss_is_the_computed_loss(checkpoint, tmp_path, monkeypatch):
    """In another batch, with other padding: the vectors are bit by bit those of the first time."""
    torch.manual_seed(0)
    head = ResNet(16).eval()
    plain = ContactModel(FrozenESM2(checkpoint=checkpoint), head).double()
    cached = ContactModel(FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c")), head)
    cached = cached.double()
    first, other = random_batch([33, 12], padding=3), random_batch([20], seed=7)
    for batch in (first, other):
        x = vectors(cached.encoder, batch)
        torch.testing.assert_close(x, vectors(plain.encoder, batch), rtol=1e-12, atol=1e-13)
        assert (x[~batch.mask] == 0).all()
    assert len(files(tmp_path / "c")) == 3
    again = random_batch([33, 12], padding=8)
    with nothing_computed(monkeypatch):
        once, twice = vectors(cached.encoder, first), vectors(cached.encoder, again)
        losses = [masked_contact_loss(cached(batch), batch) for batch in (first, other)]
    for row, length in enumerate((33, 12)):
        assert torch.equal(once[row, :length], twice[row, :length])
    for loss, batch in zip(losses, (first, other), strict=True):
        truth = masked_contact_loss(plain(batch), batch)
        torch.testing.assert_close(loss, truth, rtol=1e-12, atol=0)


def test_computed_and_read_are_the_same_bits(checkpoint, tmp_path):
    batch = random_batch([33, 12], padding=3)
    runs = [FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c")) for _ in range(2)]
    head = ResNet(16).eval()
    computed, read = (vectors(encoder, batch) for encoder in runs)
    assert computed.dtype == torch.float32
    assert torch.equal(computed, read)
    losses = [masked_contact_loss(head(x, batch.mask), batch) for x in (computed, read)]
    assert torch.equal(*losses)


def test_a_crop_hits_the_same_crop_wherever_it_lies(checkpoint, tmp_path, monkeypatch):
    encoder = FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c"))
    tokens = torch.randint(0, 20, (1, 12))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    near, far = torch.arange(12)[None], torch.arange(12)[None] + 100
    gap = near + 50 * (near >= 6)
    x = encoder(tokens, mask, near)
    with nothing_computed(monkeypatch):
        assert torch.equal(encoder(tokens, mask, far), x)
        assert torch.equal(encoder(tokens, mask), x)
    y = encoder(tokens, mask, gap)
    assert not torch.allclose(y, x)
    encoder(tokens[:, :11], mask[:, :11])  # other residues
    assert len(files(tmp_path / "c")) == 3


def test_what_the_numbers_depend_on_is_in_the_name(checkpoint, tmp_path):
    """Other weights, another setting, another precision: other files, and its own numbers."""
    batch, cache = random_batch([12]), str(tmp_path / "c")

    def encoder(path=checkpoint, **options):
        return FrozenESM2(checkpoint=path, cache=cache, **options)

    def check(found, truth, count):
        torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-6)
        assert len(files(tmp_path / "c")) == count

    truth = vectors(FrozenESM2(checkpoint=checkpoint), batch)
    check(vectors(encoder(), batch), truth, 1)
    other = imported(tmp_path / "other.safetensors", seed=1)
    check(vectors(encoder(other), batch), vectors(FrozenESM2(checkpoint=other), batch), 2)
    wide = encoder().double()
    check(vectors(wide, batch), vectors(FrozenESM2(checkpoint=checkpoint).double(), batch), 3)
    with torch.autocast("cpu", torch.bfloat16):
        rough = vectors(encoder(), batch)
        check(rough, vectors(FrozenESM2(checkpoint=checkpoint), batch), 4)
    assert not torch.equal(rough, truth)
    undropped = FrozenESM2(**SIZES, token_dropout=False, cache=cache)
    undropped.load_state_dict(encoder().state_dict())
    plain = FrozenESM2(**SIZES, token_dropout=False)
    plain.load_state_dict(encoder().state_dict())
    check(vectors(undropped, batch), vectors(plain, batch), 5)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes((tmp_path / "esm.safetensors").read_bytes())
    check(vectors(encoder(str(moved)), batch), truth, 5)  # of its content, not of its name


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.load_state_dict(ESM2(**SIZES).state_dict()),
        lambda e: e.layers[0].fc1.weight.detach().add_(0.1),
        lambda e: setattr(e.layers[1].fc2.weight, "data", torch.randn(16, 64)),
    ],
    ids=["loaded", "in place", "replaced"],
)
def test_weights_that_change_after_the_first_row(checkpoint, tmp_path, change):
    encoder = FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c"))
    batch = random_batch([12])
    before = vectors(encoder, batch)
    torch.manual_seed(5)
    change(encoder)
    truth = FrozenESM2(**SIZES)
    truth.load_state_dict(encoder.state_dict())
    after = vectors(encoder, batch)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, vectors(truth, batch), rtol=1e-5, atol=1e-6)


def test_weights_are_hashed_once(checkpoint, tmp_path, monkeypatch):
    """Of a model of 650 million weights that takes seconds."""
    encoder = FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c"))
    counts = []

    def counting(parts):
        parts = list(parts)
        counts.append(len(parts))
        return digest(parts)

    digest = esm2_frozen.digest
    monkeypatch.setattr(esm2_frozen, "digest", counting)
    for seed in range(3):
        vectors(encoder, random_batch([9, 5], seed))
    assert sum(count > 10 for count in counts) == 1
    assert sum(count < 10 for count in counts) == 6


def test_a_damaged_file_is_replaced(checkpoint, tmp_path):
    encoder = FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c"))
    batch = random_batch([12])
    x = vectors(encoder, batch)
    (path,) = files(tmp_path / "c")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(UserWarning, match="is damaged"):
        assert torch.equal(vectors(encoder, batch), x)
    assert torch.equal(vectors(encoder, batch), x)


def test_a_visitor_sees_maps_in_spite_of_a_cache(checkpoint, tmp_path):
    encoder = FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c"))
    batch, seen = random_batch([12]), []
    vectors(encoder, batch)
    encoder(batch.tokens, batch.mask, visitor=lambda layer, maps: seen.append(maps.shape))
    assert seen == [(1, 2, 12, 12)] * 2


def test_gradient_flow_looks_inside_in_spite_of_a_cache(checkpoint, tmp_path):
    batch = random_batch([12])
    gradients = []
    for cache in (None, str(tmp_path / "c")):
        encoder = FrozenESM2(checkpoint=checkpoint, cache=cache)
        vectors(encoder, batch)
        with input_of(encoder, (1, 12)) as found:
            y = vectors(encoder, batch)
        gradients += torch.autograd.grad(y.square().sum(), found[0])
    assert torch.equal(*gradients) and gradients[0].any()


def test_a_description_forgets_the_places_of_this_machine(checkpoint, tmp_path):
    encoder = FrozenESM2(checkpoint=checkpoint, cache=str(tmp_path / "c"))
    told = describe(encoder)
    assert told["init_args"] == ESM2(**SIZES).init_args | {"cache": None}
    twin = build(told, Encoder)
    twin.load_state_dict(encoder.state_dict(), strict=True)
    batch = random_batch([12, 5])
    torch.testing.assert_close(vectors(twin, batch), vectors(encoder, batch))
    assert torch.equal(vectors(copy.deepcopy(encoder), batch), vectors(encoder, batch))


def test_refuses(checkpoint, tmp_path):
    with pytest.raises(InputError, match="name a folder for the embeddings"):
        FrozenESM2(checkpoint=checkpoint, cache=checkpoint)
    with pytest.raises(InputError, match="does not exist"):
        FrozenESM2(checkpoint=str(tmp_path / "absent"))
