"""A twin has the architecture and nothing else, and making it leaves no trace."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from protcontact.batch import AlignedTemplates, ContactBatch
from protcontact.models.contract import ContactModel, Encoder
from protcontact.models.encoders.ensemble import EncoderEnsemble
from protcontact.models.encoders.esm2_frozen import FrozenESM2
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.attention_maps import AttentionMaps
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.ensemble import HeadEnsemble
from protcontact.models.heads.template_resnet import TemplateResNet
from protcontact.training.random_twin import random_twin
from tests.gradflow.test_untouched import random_batch
from tests.models.discovery import ENCODERS, HEADS, MAP_HEADS
from tests.models.pretrained.small import small_file

MODELS = (
    [(kind, Bilinear) for kind in ENCODERS]
    + [(BiLSTM, kind) for kind in HEADS]
    + [(Transformer, kind) for kind in MAP_HEADS]
)


def trained(encoder, head):
    """A model whose weights are not those that any seed gives."""
    torch.manual_seed(0)
    encoder = encoder()
    model = ContactModel(encoder, head(encoder.out_channels))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(params=MODELS, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def model(request):
    return trained(*request.param)


def mapped(model, batch):
    with torch.no_grad():
        return model(batch)


def test_a_twin_has_the_architecture_and_no_weight(model):
    twin = random_twin(model, seed=1)
    state, own = model.state_dict(), twin.state_dict()
    assert {name: x.shape for name, x in own.items()} == {n: x.shape for n, x in state.items()}
    for name, parameter in twin.named_parameters():
        assert not torch.equal(parameter, state[name]), name
    storages = {x.data_ptr() for x in model.parameters()}
    assert not storages & {x.data_ptr() for x in twin.parameters()}
    assert not any(part.training for part in twin.modules())


def test_the_seed_decides(model):
    """Each matrix is drawn anew, less the biases by separation, which are that of none."""
    first, again, other = (random_twin(model, seed).state_dict() for seed in (1, 1, 2))
    names = {name for name, _ in model.named_parameters()}
    assert all(torch.equal(first[name], again[name]) for name in names)
    same = {n for n in names if first[n].ndim > 1 and torch.equal(first[n], other[n])}
    assert all(name.endswith(("separation.vectors.weight", "bias.vectors.weight")) for name in same)
    assert all(torch.equal(row, first[name][0]) for name in same for row in first[name])


def test_no_map_of_a_twin_is_constant(model):
    batch = random_batch([23, 17])
    far = (batch.separation() >= 6) & batch.mask[:, :, None] & batch.mask[:, None, :]
    logits = mapped(random_twin(model, seed=3), batch)[far]
    assert torch.isfinite(logits).all()
    # of the pairs, which come twice: symmetric up to rounding
    assert len(logits.unique()) > 0.2 * len(logits) / 2


def test_the_model_and_all_random_numbers_stay_as_they_are(model, monkeypatch):
    model.train()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    arguments, modes = repr(model.encoder.init_args), [part.training for part in model.modules()]
    for seeding in (torch, torch.cuda):  # the seeds of GPUs are not ours
        for name in ("manual_seed", "manual_seed_all", "seed_all"):
            monkeypatch.setattr(seeding, name, lambda *_: pytest.fail("seeded all"), raising=False)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    random_twin(model, seed=4)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1] and (np.random.get_state()[1] == states[2]).all()
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert repr(model.encoder.init_args) == arguments
    assert [part.training for part in model.modules()] == modes


def test_random_numbers_stay_after_an_error_too():
    class Refuses(BiLSTM):
        calls = 0

        def __init__(self):
            super().__init__()
            Refuses.calls += 1
            if Refuses.calls > 1:
                raise OSError("gone")

    model = trained(Refuses, Bilinear)
    state = torch.get_rng_state()
    with pytest.raises(OSError, match="gone"):
        random_twin(model, seed=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_device_and_precision_are_those_of_the_model():
    model = trained(BiLSTM, Bilinear)
    single, double = random_twin(model, seed=5), random_twin(model.double(), seed=5)
    assert {x.dtype for x in double.parameters()} == {torch.float64}
    for mine, other in zip(single.parameters(), double.parameters(), strict=True):
        assert torch.equal(mine.double(), other)  # drawn in float32 all the same
    with torch.device("meta"):
        assert {x.device.type for x in random_twin(model, seed=5).parameters()} == {"cpu"}


def test_attention_maps_say_something_that_they_do_not_at_the_start_of_training():
    """Their weights start at 0: the map is one number, and its ranking that of the places."""
    batch = random_batch([30])
    torch.manual_seed(0)
    encoder = Transformer()
    fresh = ContactModel(encoder, AttentionMaps(encoder.out_channels)).eval()
    assert mapped(fresh, batch).unique().numel() == 1
    twin = random_twin(fresh, seed=6)
    assert mapped(twin, batch).std() > 0.01
    columns = twin.head.weight.shape[1]
    assert 0.2 < twin.head.weight.std() * columns**0.5 < 3


def test_a_twin_looks_at_templates():
    batch = random_batch([30])
    places = batch.coordinates[:, None].nan_to_num(0.0)
    shown = ContactBatch(
        **{name: getattr(batch, name) for name in ("tokens", "mask", "coordinates", "index")},
        lengths=batch.lengths,
        ids=batch.ids,
        templates=AlignedTemplates(places, torch.zeros(1, 1)),
    )
    twin = random_twin(trained(Transformer, TemplateResNet), seed=7)
    assert not torch.equal(mapped(twin, shown), mapped(twin, batch))


def test_a_pretrained_model_has_a_random_twin(tmp_path):
    encoder = FrozenESM2(checkpoint=str(small_file(tmp_path / "lm")), cache=str(tmp_path / "cache"))
    twin = random_twin(ContactModel(encoder, Bilinear(encoder.out_channels)), seed=8)
    assert twin.encoder.init_args == encoder.init_args
    pretrained = encoder.state_dict()
    names = [n for n, p in twin.encoder.named_parameters() if p.ndim > 1]
    state = twin.encoder.state_dict()
    assert names and not any(torch.equal(state[name], pretrained[name]) for name in names)


def test_each_member_of_an_ensemble_is_another():
    """Two members of one kind are drawn one after the other, not from the same seed."""
    parts = [BiLSTM(), BiLSTM()]
    heads = [Bilinear(part.out_channels) for part in parts]
    encoder = EncoderEnsemble(parts)
    twin = random_twin(ContactModel(encoder, HeadEnsemble(encoder.out_channels, heads)), seed=9)
    first, second = (list(part.parameters()) for part in twin.encoder.members)
    assert not any(torch.equal(x, y) for x, y in zip(first, second, strict=True) if x.ndim > 1)
    assert twin.encoder.members[0] is not parts[0]


def test_the_wrapper_of_a_compiler_is_taken_off():
    model = trained(BiLSTM, Bilinear)
    model.head = torch.compile(model.head, backend="eager")
    assert type(random_twin(model, seed=0).head) is Bilinear


def test_refuses_a_part_that_cannot_be_made_anew():
    class Holds(Encoder):
        def __init__(self, inner=None):
            super().__init__()
            self.inner = inner or nn.Linear(1, 4)
            self.out_channels = 4

        def forward(self, tokens, mask, index=None):
            return self.inner(tokens[..., None].float()) * mask[..., None]

    random_twin(trained(Holds, Bilinear), seed=0)
    with pytest.raises(ValueError, match="Linear does not remember"):
        random_twin(trained(lambda: Holds(nn.Linear(1, 4)), Bilinear), seed=0)
