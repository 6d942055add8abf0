"""Tensors that do not fit are listed; half precision is widened."""

from pathlib import Path

import pytest
import torch

from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ALPHABET, ESM2
from protcontact.models.pretrained.layout import fitted

WHERE = Path("some.pt")


def made():
    torch.manual_seed(0)
    model = ESM2()
    architecture = {k: v for k, v in model.init_args.items() if k != "checkpoint"}
    return architecture, {k: v.detach().clone() for k, v in model.state_dict().items()}


def test_what_fits():
    architecture, tensors = made()
    found = fitted(WHERE, architecture, tensors, {"library": "x"})
    assert found.source == {"library": "x", "stored_as": "float32"}
    assert found.tokens == tuple(ALPHABET.all_toks)
    assert set(tensors) - set(found.tensors) == {"lm_head.weight"}
    del tensors["lm_head.weight"]
    again = fitted(WHERE, architecture, tensors, {})
    assert again.tensors.keys() == found.tensors.keys()


def test_half_precision_is_widened():
    architecture, tensors = made()
    half = {name: tensor.half() for name, tensor in tensors.items()}
    found = fitted(WHERE, architecture, half, {})
    assert found.source["stored_as"] == "float16"
    for name, tensor in found.tensors.items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, half[name].float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("layers.1.fc1.bias"), r"missing: layers\.1\.fc1\.bias$"),
        (lambda t: t.update(more=torch.ones(1)), r"unexpected: more$"),
        (
            lambda t: t.update({"layers.0.fc2.bias": torch.ones(3)}),
            r"misshapen: layers\.0\.fc2\.bias \(3,\) instead of \(16,\)$",
        ),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith("layers.0")],
            r"missing: (layers\.0\.[a-z0-9_.]+, ){7}layers\.0\.[a-z0-9_.]+ and \d+ more$",
        ),
        (
            lambda t: t["layers.0.fc1.bias"].fill_(float("nan")),
            r"some\.pt: layers\.0\.fc1\.bias has 64 of 64 elements that are NaN",
        ),
        (lambda t: t.update({"layers.0.fc2.bias": torch.ones(16).long()}), "is torch.int64"),
        (lambda t: t["lm_head.weight"].add_(1), r"lm_head\.weight is not embed_tokens\.weight"),
    ],
)
def test_what_does_not(change, message):
    architecture, tensors = made()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(tensors)
    with pytest.raises(InputError, match=message):
        fitted(WHERE, architecture, tensors, {})


def test_the_vector_of_the_mask_may_differ():
    """fair-esm sets it to 0 in ESM-1b where it enters, but not in the file."""
    architecture, tensors = made()
    tensors["lm_head.weight"] = tensors["lm_head.weight"].clone()
    tensors["embed_tokens.weight"][ALPHABET.mask_idx] = 0
    found = fitted(WHERE, architecture, tensors, {}).tensors["embed_tokens.weight"]
    assert torch.equal(found, tensors["lm_head.weight"])  # what fair-esm loads last


def test_an_impossible_model():
    architecture, tensors = made()
    with pytest.raises(InputError, match="there is no such model: channels must be a multiple"):
        fitted(WHERE, architecture | {"heads": 3}, tensors, {})
