"""What every encoder and every head of the package must do, whoever wrote it."""

import copy
import inspect
import itertools

import pytest
import torch

from protcontact.batch import AlignedTemplates, ContactBatch
from protcontact.models.contract import (
    ContactModel,
    DistanceHead,
    Encoder,
    PairHead,
    TemplateHead,
    checked_edges,
    default_index,
)
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.attention_maps import AttentionMaps
from protcontact.models.heads.bilinear import Bilinear
from protcontact.structure.alphabet import PADDING
from protcontact.training.checkpoint import build, describe
from tests.models.discovery import ENCODERS, HEADS

CHANNELS = 12


def test_the_walk_finds_the_models():
    assert {kind.__name__ for kind in ENCODERS} >= {
        "BiLSTM",
        "BiGRU",
        "BiRNN",
        "DilatedConvolution",
        "Transformer",
        "ESM2",
        "FrozenESM2",
        "LoRAESM2",
    }
    assert {kind.__name__ for kind in HEADS} >= {
        "Bilinear",
        "AttentionRegression",
        "ResNet",
        "Distogram",
        "UNet",
    }


def random_tokens(lengths, generator=None):
    L = max(lengths)
    tokens = torch.randint(0, 20, (len(lengths), L), generator=generator)
    for row, length in enumerate(lengths):
        tokens[row, length:] = PADDING
    return tokens, tokens != PADDING


def wake(module):
    """Zero-initialised layers would hide faults behind zeros."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.double().eval()


@pytest.fixture(params=ENCODERS, ids=lambda kind: kind.__name__)
def encoder(request):
    torch.manual_seed(0)
    return wake(request.param())


@pytest.fixture(params=HEADS, ids=lambda kind: kind.__name__)
def head(request):
    torch.manual_seed(0)
    return wake(request.param(CHANNELS))


def test_encoder_shape_and_zero_at_padding(encoder):
    tokens, mask = random_tokens([7, 3, 1])
    x = encoder(tokens, mask)
    assert x.shape == (3, 7, encoder.out_channels)
    assert (x[~mask] == 0).all()
    assert torch.isfinite(x).all()


def test_encoder_ignores_padding_and_neighbours(encoder):
    """The numbers of a chain are those that it has alone."""
    tokens, mask = random_tokens([9, 4, 6])
    together = encoder(tokens, mask)
    for row, length in enumerate([9, 4, 6]):
        alone = encoder(tokens[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-10, atol=1e-12)


def test_every_residue_can_reach_every_residue(encoder):
    """A contact of the first and the last residue must be learnable."""
    tokens, mask = random_tokens([12])
    changed = tokens.clone()
    changed[0, 0] = (changed[0, 0] + 1) % 20
    difference = (encoder(tokens, mask) - encoder(changed, mask)).abs().sum(dim=-1)[0]
    assert (difference > 0).all()


def test_gradient_reaches_every_parameter(encoder, head):
    torch.manual_seed(1)
    encoder.train()
    model = ContactModel(encoder, type(head)(encoder.out_channels).double().train())
    wake(model)
    tokens, mask = random_tokens([40, 17])
    more = ()
    if isinstance(model.head, TemplateHead):
        places = torch.randn(2, 2, 40, 3) * 5
        more = (None, AlignedTemplates(places, torch.rand(2, 2)))
    logits = model.head(encoder(tokens, mask), mask, *more)
    (logits * torch.randn_like(logits).triu()).sum().backward()
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    # A bias added to every key shifts a whole row of scores, which softmax does not notice.
    assert [name for name in silent if name != "head.key.bias"] == []


FROZEN = {  # what is not trained, by the beginning of its name, and why
    "ESM2": ("lm_head.", "contact_head."),  # no vector depends on them: DDP would wait for them
    "FrozenESM2": ("",),  # all: that is what it is for
    "LoRAESM2": ("embed_tokens.", "layers.", "emb_layer_norm_after.", "lm_head.", "contact_head."),
}


def test_only_what_is_named_is_frozen(encoder):
    starts = FROZEN.get(type(encoder).__name__, ())
    frozen = {name for name, p in encoder.named_parameters() if not p.requires_grad}
    expected = {name for name, _ in encoder.named_parameters() if name.startswith(starts)}
    assert frozen == {name for name in expected if ".lora_" not in name}


@pytest.mark.parametrize("length", [1, 2, 5, 16])
def test_head_is_symmetric_for_any_length(head, length):
    x = torch.randn(2, length, CHANNELS, dtype=torch.float64)
    logits = head(x, torch.ones(2, length, dtype=torch.bool))
    assert logits.shape == (2, length, length)
    torch.testing.assert_close(logits, logits.transpose(1, 2), rtol=0, atol=0)
    assert torch.isfinite(logits).all()


def test_head_ignores_padding_and_what_stands_there(head):
    lengths = [9, 4, 6]
    _, mask = random_tokens(lengths)
    x = torch.randn(3, 9, CHANNELS, dtype=torch.float64)
    together = head(x, mask)
    for row, length in enumerate(lengths):
        alone = head(x[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length, :length], alone[0], rtol=1e-9, atol=1e-10)


def test_index_none_means_a_whole_chain(encoder, head):
    tokens, mask = random_tokens([6, 4])
    index = default_index(mask)
    torch.testing.assert_close(encoder(tokens, mask), encoder(tokens, mask, index))
    x = torch.randn(2, 6, CHANNELS, dtype=torch.float64)
    torch.testing.assert_close(head(x, mask), head(x, mask, index))


def test_head_does_not_know_where_the_chain_begins(head):
    """In evaluation, too: only how far residues are apart counts."""
    _, mask = random_tokens([7, 4])
    x = torch.randn(2, 7, CHANNELS, dtype=torch.float64)
    index = default_index(mask)
    torch.testing.assert_close(head.eval()(x, mask, index + 100), head(x, mask, index))


def test_head_knows_true_separation(head):
    """In a crop of two windows, neighbours in the tensor may be 500 residues apart."""
    x = torch.randn(1, 8, CHANNELS, dtype=torch.float64)
    mask = torch.ones(1, 8, dtype=torch.bool)
    far = torch.tensor([[0, 1, 2, 3, 500, 501, 502, 503]])
    assert not torch.allclose(head(x, mask)[0, 0, 4], head(x, mask, far)[0, 0, 4])


def test_two_windows_and_padding_together(encoder, head):
    """A crop's numbers do not depend on its batch either."""
    tokens, mask = random_tokens([8, 5])
    index = torch.tensor([[0, 1, 2, 3, 500, 501, 502, 503], [7, 8, 40, 41, 42, 0, 0, 0]])
    x = torch.randn(2, 8, CHANNELS, dtype=torch.float64)
    vectors, logits = encoder(tokens, mask, index), head(x, mask, index)
    part = (mask[1:, :5], index[1:, :5])
    alone = encoder(tokens[1:, :5], *part), head(x[1:, :5], *part)
    torch.testing.assert_close(vectors[1, :5], alone[0][0], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(logits[1, :5, :5], alone[1][0], rtol=1e-9, atol=1e-10)


SIZES = [
    (kind, name)
    for kind in (*ENCODERS, *HEADS)
    for name, parameter in inspect.signature(kind.__init__).parameters.items()
    if isinstance(parameter.default, int) and not isinstance(parameter.default, bool)
]


@pytest.mark.parametrize(("kind", "name"), SIZES, ids=lambda value: str(value).split(".")[-1])
def test_no_size_may_be_zero_or_less(kind, name):
    """Else the mistake shows as a division by zero, or as a model without layers."""
    first = () if issubclass(kind, Encoder) else (CHANNELS,)
    default = inspect.signature(kind).parameters[name].default
    for size in (0, -1) if default else (-1,):  # a size of 0 by default means that there is none
        with pytest.raises(ValueError, match=name):
            kind(*first, **{name: size})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", HEADS, ids=lambda kind: kind.__name__)
def test_heads_are_finite_and_wide_under_autocast(kind, dtype):
    torch.manual_seed(0)
    head = kind(CHANNELS).eval()
    with torch.autocast("cpu", dtype):
        logits = head(torch.randn(1, 300, CHANNELS), torch.ones(1, 300, dtype=torch.bool))
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


def test_no_default_makes_a_large_model(encoder, head):
    for module in (encoder, head):
        assert sum(p.numel() for p in module.parameters()) < 300_000


def test_description_rebuilds_the_same_numbers(encoder, head):
    tokens, mask = random_tokens([5])
    for module, family in ((encoder, Encoder), (head, PairHead)):
        twin = build(describe(module), family).double().eval()
        twin.load_state_dict(module.state_dict(), strict=True)
        x = (tokens, mask) if family is Encoder else (torch.randn(1, 5, CHANNELS).double(), mask)
        torch.testing.assert_close(module(*x), twin(*x), rtol=0, atol=0)


def test_copies_keep_their_description(encoder):
    assert copy.deepcopy(encoder).init_args == encoder.init_args
    assert describe(encoder)["class_path"].endswith(type(encoder).__name__)


def test_training_and_evaluation_differ_only_by_noise(encoder):
    """No encoder defaults to dropout: without it both modes agree."""
    tokens, mask = random_tokens([5])
    evaluated = encoder(tokens, mask)
    torch.testing.assert_close(evaluated, encoder.train()(tokens, mask))


def test_abstract_classes_cannot_be_made():
    for family in (Encoder, PairHead):
        with pytest.raises(TypeError):
            family()


def some_batch():
    tokens, mask = random_tokens([6, 4])
    coordinates = torch.full((2, 6, 3), float("nan"))
    index = default_index(mask).clone()
    return ContactBatch(tokens, mask, coordinates, index, torch.tensor([6, 4]), ("a", "b"))


def test_contact_model_reads_the_batch():
    torch.manual_seed(0)
    encoder, batch = ENCODERS[0]().eval(), some_batch()
    model = ContactModel(encoder, HEADS[0](encoder.out_channels)).eval()
    vectors = encoder(batch.tokens, batch.mask, batch.index)
    torch.testing.assert_close(model(batch), model.head(vectors, batch.mask, batch.index))


class TwoBins(DistanceHead):
    """The smallest one: the logit of `Bilinear` below 8 A, and 0 above."""

    edges = (8.0,)

    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.inner = Bilinear(in_channels)

    def distogram(self, x, mask, index=None):
        logits = self.inner(x, mask, index)
        return torch.stack([logits, torch.zeros_like(logits)], dim=-1)


def test_a_head_of_two_bins_is_a_head_of_contacts():
    torch.manual_seed(0)
    head = TwoBins(CHANNELS).double()
    x, mask = torch.randn(2, 6, CHANNELS).double(), torch.ones(2, 6, dtype=torch.bool)
    torch.testing.assert_close(head(x, mask), head.inner(x, mask), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make_head", [Bilinear, TwoBins, AttentionMaps])
def test_what_a_model_draws_is_what_its_logits_are_made_of(make_head):
    """In one pass of the encoder and one call of the head, which may have been compiled."""
    torch.manual_seed(0)
    encoder, batch = Transformer(), some_batch()
    model = ContactModel(encoder, make_head(encoder.out_channels)).eval()
    passes = []
    for part in (model.encoder, model.head):
        part.register_forward_hook(lambda part, *_: passes.append(part))
    vectors, maps = model(batch, draw=True)
    assert passes == [model.encoder, model.head]
    torch.testing.assert_close(vectors, encoder(batch.tokens, batch.mask, batch.index))
    if make_head is TwoBins:
        assert maps.shape == (2, 6, 6, 2)
        maps = model.head.contact_logits(maps)
    assert torch.equal(maps, model(batch))


def test_edges_may_be_whole_numbers_and_any_sequence():
    assert checked_edges([4, 8, 12]) == (4.0, 8.0, 12.0)
    with pytest.raises(ValueError, match="contact cutoff 8.0 among them, not"):
        checked_edges([4, 12])


@pytest.mark.parametrize(("kind", "dtype"), itertools.product(ENCODERS, (torch.bfloat16,)), ids=str)
def test_autocast_stays_near_full_precision(kind, dtype):
    torch.manual_seed(0)
    encoder = kind().eval()
    tokens, mask = random_tokens([30])
    with torch.autocast("cpu", dtype):
        rough = encoder(tokens, mask).float()
    assert (rough - encoder(tokens, mask)).abs().max() < 0.1
