"""The encoder against fair-esm's own: vectors, contacts, padding, windows; and what it refuses."""

import math

import pytest
import torch

from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ALPHABET, ESM2
from protcontact.models.pretrained.file import Pretrained, write_pretrained
from protcontact.structure.alphabet import LETTERS, PADDING
from tests.models.pretrained.foreign import (
    CHANNELS,
    HEADS,
    LAYERS,
    SEQUENCES,
    fair_esm1b,
    fair_esm2,
    tokens_of,
)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """fair-esm's softmax is in float32, whatever the model is in; a truth needs all digits."""
    monkeypatch.setattr(
        "esm.multihead_attention.utils_softmax", lambda x, dim, onnx_trace: x.softmax(dim=dim)
    )


def ours(theirs, dtype=torch.float64):
    positions = 1024 if hasattr(theirs, "embed_positions") else 0
    before = getattr(theirs, "emb_layer_norm_before", None) is not None
    model = ESM2(CHANNELS, LAYERS, HEADS, positions=positions, norm_before=before)
    state = theirs.state_dict()
    model.load_state_dict(state, strict=True)  # the names are the same
    return model.to(dtype).eval()


KINDS = [fair_esm2, fair_esm1b, lambda: fair_esm1b(norm_before=False)]
NAMES = ["ESM-2", "ESM-1b", "ESM-1v"]


@pytest.mark.parametrize("make", KINDS, ids=NAMES)
def test_contacts_are_those_of_fair_esm(make):
    """In float64 to rounding, in a batch with padding, down to one residue."""
    theirs = make().double()
    model, ids = ours(theirs), tokens_of(SEQUENCES)
    found, mask = model.ids_of(SEQUENCES)
    assert torch.equal(found, ids)
    logits = model.contact_logits_of_ids(ids, mask)
    with torch.no_grad():
        truth = theirs.predict_contacts(ids)
    for row, sequence in enumerate(SEQUENCES):
        L = len(sequence)
        inside = logits[row, :L, :L]
        torch.testing.assert_close(inside.sigmoid(), truth[row, :L, :L], rtol=0, atol=1e-13)
        torch.testing.assert_close(inside, inside.T, rtol=0, atol=0)
        assert not bool(logits[row, L:].any())
    assert float(truth[1].std()) > 0.01  # there is something to compare


@pytest.mark.parametrize("make", KINDS, ids=NAMES)
@pytest.mark.parametrize("length", [1, 2, 1022])
def test_lengths_in_float32(make, length):
    theirs = make()
    generator = torch.Generator().manual_seed(length)
    letters = torch.randint(0, 20, (length,), generator=generator).tolist()
    sequence = "".join(LETTERS[letter] for letter in letters)
    model = ours(theirs, torch.float32)
    ids, mask = model.ids_of([sequence])
    logits = model.contact_logits_of_ids(ids, mask)
    with torch.no_grad():
        truth = theirs.predict_contacts(ids)
    torch.testing.assert_close(logits.sigmoid(), truth, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits, truth.logit(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", KINDS, ids=NAMES)
def test_vectors_are_those_of_fair_esm(make):
    theirs = make().double()
    model, ids = ours(theirs), tokens_of(["ACDEFGHIKLMNPQRSTVWYX", "WW", "K"])
    tokens = torch.full((3, 21), PADDING)
    for row, sequence in enumerate(["ACDEFGHIKLMNPQRSTVWYX", "WW", "K"]):
        tokens[row, : len(sequence)] = torch.tensor([LETTERS.index(c) for c in sequence])
    mask = tokens != PADDING
    assert torch.equal(model.framed(tokens, mask), ids)
    maps = {}
    with torch.no_grad():
        told = theirs(ids, repr_layers=[LAYERS], need_head_weights=True)
        fused = model(tokens, mask)
        shown = model(tokens, mask, visitor=maps.__setitem__)
    truth = told["representations"][LAYERS][:, 1:-1] * mask[..., None]
    for found in (fused, shown):
        torch.testing.assert_close(found, truth, rtol=1e-11, atol=1e-12)
    pairs = mask[:, None, :, None] & mask[:, None, None, :]
    assert list(maps) == list(range(LAYERS))
    for layer, found in maps.items():
        expected = told["attentions"][:, layer, :, 1:-1, 1:-1] * pairs
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


def test_contacts_of_our_letters():
    model = ours(fair_esm2())
    sequences = ["ACDEFGHIKLMNPQRSTVWYX", "WW"]
    tokens = torch.full((2, 21), PADDING)
    tokens[0] = torch.arange(21)
    tokens[1, :2] = LETTERS.index("W")
    mask = tokens != PADDING
    ids, _ = model.ids_of(sequences)
    logits = model.contact_logits(tokens, mask)
    assert torch.equal(logits, model.contact_logits_of_ids(ids, mask))
    probabilities = model.contacts(tokens, mask)
    torch.testing.assert_close(probabilities[0], logits[0].sigmoid(), rtol=1e-15, atol=0)
    assert float(probabilities[1, 2:].abs().max()) == 0


def test_windows_are_told_by_the_index():
    """Places count by their differences: a window is the same anywhere, a gap is not."""
    model = ours(fair_esm2())
    tokens, mask = torch.arange(12)[None], torch.ones(1, 12, dtype=torch.bool)
    near = torch.arange(12)[None]
    gap = near + 50 * (near >= 6)
    with torch.no_grad():
        plain, moved, parted = (model(tokens, mask, index) for index in (near, near + 700, gap))
    torch.testing.assert_close(plain, moved, rtol=1e-12, atol=1e-13)
    assert float((plain - parted).abs().max()) > 1e-4


def test_learned_positions_end():
    model = ours(fair_esm1b())
    assert model.longest == 1022 and ours(fair_esm2()).longest is None
    with pytest.raises(InputError, match="reaches over 1023 residues, .* of this model over 1022"):
        model.contact_logits_of_ids(*model.ids_of(["A" * 1023]))
    tokens, mask = torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.bool)
    late = torch.tensor([[2000, 2001, 2002, 2003]])  # a window of a long chain begins anew
    torch.testing.assert_close(model(tokens, mask, late), model(tokens, mask))
    with pytest.raises(InputError, match="cut it into windows"):
        model(tokens, mask, torch.tensor([[0, 1, 2, 1022]]))


def test_what_no_output_depends_on_waits_for_no_gradient():
    model, mask = ESM2(), torch.ones(1, 9, dtype=torch.bool)
    model(torch.arange(9)[None], mask).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (not parameter.requires_grad), name
    silent = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert all(name.startswith(("lm_head.", "contact_head.")) for name in silent)


def test_bfloat16_autocast_keeps_sums_wide():
    model = ours(fair_esm2(), torch.float32)
    ids, mask = model.ids_of(["ACDEFGHIKLMNPQRSTVWY" * 20])
    plain = model.contact_logits_of_ids(ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.contact_logits_of_ids(ids, mask)
    assert half.dtype == torch.float32 and bool(half.isfinite().all())
    assert float((half - plain).std()) < 0.05 * float(plain.std())
    assert not torch.equal(half, plain)


def file_of(tmp_path, model, **changes):
    architecture = {k: v for k, v in model.init_args.items() if k != "checkpoint"} | changes
    tensors = model.state_dict()
    del tensors["lm_head.weight"]
    write_pretrained(
        tmp_path / "model.safetensors", Pretrained(architecture, tuple(ALPHABET.all_toks), tensors)
    )
    return str(tmp_path / "model.safetensors")


def test_a_checkpoint_says_what_the_model_is(tmp_path):
    given = ESM2(channels=8, layers=3, heads=2, positions=40, norm_before=True, norm_eps=1e-6)
    found = ESM2(checkpoint=file_of(tmp_path, given))
    assert found.init_args == given.init_args and found.init_args["checkpoint"] is None
    state = given.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.state_dict().items())
    assert found.lm_head.weight is found.embed_tokens.weight
    assert {p.requires_grad for p in found.layers.parameters()} == {True}
    tokens, mask = torch.arange(9)[None], torch.ones(1, 9, dtype=torch.bool)
    assert torch.equal(found(tokens, mask), given(tokens, mask))


def test_a_file_that_contradicts_itself(tmp_path):
    with pytest.raises(InputError, match=r"model\.safetensors: its tensors do not fit .*layers\.2"):
        ESM2(checkpoint=file_of(tmp_path, ESM2(), layers=3))


def test_refuses():
    with pytest.raises(ValueError, match="must be >= 1"):
        ESM2(layers=0)
    with pytest.raises(ValueError, match=r"a multiple of 2 \* heads, not 10 and 4"):
        ESM2(channels=10, heads=4)
    model = ESM2(regression=False)
    assert not model.has_regression
    with pytest.raises(InputError, match="no contact regression; fit one"):
        model.contacts(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(InputError, match="sequence 2 has letters .* lacks: J, a"):
        model.ids_of(["MK", "MaJ"])
    with pytest.raises(InputError, match="sequence 1 has no residues"):
        model.ids_of([""])


def test_a_weight_of_zero_is_not_looked_at():
    """As most weights of a sparse regression are; what is behind the last that is not is left."""
    theirs = fair_esm2().double()
    with torch.no_grad():
        theirs.contact_head.regression.weight.view(LAYERS, HEADS)[2:] = 0
        theirs.contact_head.regression.weight.view(LAYERS, HEADS)[0, 1:3] = 0
    model = ours(theirs)
    ids, mask = model.ids_of(SEQUENCES[1:2])
    calls = []
    handles = [
        layer.fc2.register_forward_hook(lambda *_, number=number: calls.append(number))
        for number, layer in enumerate(model.layers)
    ]
    found = model.contact_logits_of_ids(ids, mask).sigmoid()
    for handle in handles:
        handle.remove()
    with torch.no_grad():
        truth = theirs.predict_contacts(ids)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-13)
    assert calls == [0]
    with torch.no_grad():
        model.contact_head.regression.weight.zero_()
    bias = float(model.contact_head.regression.bias)
    none = model.contact_logits_of_ids(ids, mask)
    assert none.unique().tolist() == [pytest.approx(bias)] and math.isfinite(bias)
