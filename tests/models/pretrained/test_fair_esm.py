"""There and back: fair-esm's file -> import -> contacts -> export -> fair-esm's own loader."""

import argparse

import esm
import pytest
import torch

from protcontact.errors import InputError
from protcontact.models.pretrained.fair_esm import (
    read_fair_esm,
    regression_beside,
    sha256,
    write_fair_esm,
    write_head,
)
from protcontact.models.pretrained.file import write_pretrained
from protcontact.models.pretrained.loading import load_pretrained, read_foreign
from tests.models.pretrained.foreign import (
    SEQUENCES,
    fair_esm1b,
    fair_esm2,
    namespaces,
    save_fair_esm,
    tokens_of,
)

MAKE = {"esm2_t3": fair_esm2, "esm1b_t3": fair_esm1b}
ESM1V = {"esm1v_t3": lambda: fair_esm1b(norm_before=False)}


def close(a, b, lengths):
    """Contacts of a padded batch, to 1e-5; logits to 1e-4."""
    for row, L in enumerate(lengths):
        one, two = a[row, :L, :L], b[row, :L, :L]
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
        inside = (two > 1e-3) & (two < 1 - 1e-3)  # where a float32 probability has the digits
        torch.testing.assert_close(one.logit()[inside], two.logit()[inside], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MAKE)
def test_round_trip(tmp_path, name):
    theirs, ids = MAKE[name](), tokens_of(SEQUENCES)
    lengths = list(map(len, SEQUENCES))
    with torch.no_grad():
        truth = theirs.predict_contacts(ids)
    content = read_foreign(save_fair_esm(theirs, tmp_path / f"{name}.pt"))
    assert content.source["regression"] == f"{name}-contact-regression.pt"
    assert content.source["sha256"] == sha256(tmp_path / f"{name}.pt")
    write_pretrained(tmp_path / "ours.safetensors", content)
    ours = load_pretrained(tmp_path / "ours.safetensors")
    assert not ours.training
    close(ours.contact_logits_of_ids(*ours.ids_of(SEQUENCES)).sigmoid(), truth, lengths)
    (tmp_path / "back").mkdir()
    files = write_fair_esm(tmp_path / "back" / f"{name}.pt", content)
    assert [file.name for file in files] == [f"{name}.pt", f"{name}-contact-regression.pt"]
    with namespaces():
        again, _ = esm.pretrained.load_model_and_alphabet_local(files[0])
    with torch.no_grad():
        torch.testing.assert_close(again.eval().predict_contacts(ids), truth, rtol=0, atol=0)
        told, back = (model(ids)["logits"] for model in (theirs, again))
    torch.testing.assert_close(back, told, rtol=0, atol=0)  # the language model's, too


def test_fair_esm_alone_cannot_load_its_own_files(tmp_path):
    """What `namespaces` is for; if this fails, it is no longer needed."""
    file = save_fair_esm(fair_esm2(), tmp_path / "esm2_t3.pt")
    with pytest.raises(Exception, match="argparse.Namespace"):
        esm.pretrained.load_model_and_alphabet_local(file)


def test_without_a_regression(tmp_path):
    theirs = ESM1V["esm1v_t3"]()
    file = save_fair_esm(theirs, tmp_path / "esm1v_t3.pt", regression=False)
    assert regression_beside(file) is None
    content = read_foreign(file)
    assert not content.architecture["regression"] and not content.architecture["norm_before"]
    with namespaces():
        again, _ = esm.pretrained.load_model_and_alphabet_local(
            *write_fair_esm(tmp_path / "esm1v_back.pt", content)
        )
    ids = tokens_of(SEQUENCES)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(ids)["logits"], theirs(ids)["logits"])
    with pytest.raises(InputError, match="without a contact regression fair-esm reads only"):
        write_fair_esm(tmp_path / "esm1b.pt", content)
    with pytest.raises(InputError, match="has no contact regression; fit one"):
        write_head(tmp_path / "head.pt", content)


def test_names_say_nothing(tmp_path):
    """A wrong name changes nothing here, where fair-esm would fail."""
    one = read_foreign(save_fair_esm(fair_esm2(), tmp_path / "esm1b_liar.pt"))
    two = read_foreign(save_fair_esm(fair_esm1b(), tmp_path / "esm2_liar.pt"))
    assert (one.architecture["positions"], two.architecture["positions"]) == (0, 1024)


def test_half_precision(tmp_path):
    theirs = fair_esm2()
    content = read_foreign(save_fair_esm(theirs, tmp_path / "esm2_h.pt", dtype=torch.float16))
    assert content.source["stored_as"] == "float16"
    with namespaces():
        half, _ = esm.pretrained.load_model_and_alphabet_local(tmp_path / "esm2_h.pt")
    write_pretrained(tmp_path / "ours", content)
    ours, ids = load_pretrained(tmp_path / "ours"), tokens_of(SEQUENCES)
    with torch.no_grad():
        truth = half.eval().predict_contacts(ids)
    close(
        ours.contact_logits_of_ids(*ours.ids_of(SEQUENCES)).sigmoid(), truth, [*map(len, SEQUENCES)]
    )


def test_the_head_alone(tmp_path):
    content = read_foreign(save_fair_esm(fair_esm2(), tmp_path / "esm2_t3.pt"))
    write_head(tmp_path / "head.pt", content)
    again = read_fair_esm(tmp_path / "esm2_t3.pt", tmp_path / "head.pt")
    assert again.tensors.keys() == content.tensors.keys()
    assert all(torch.equal(again.tensors[k], v) for k, v in content.tensors.items())


def changed(path, change):
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("model"), "has no entry 'model' with tensors, but cfg"),
        (lambda c: c["model"].update(x=3), "has no entry 'model' with tensors"),
        (lambda c: c.pop("cfg"), r"has neither args nor cfg\['model'\]"),
        (lambda c: c.update(args=argparse.Namespace(arch="msa_transformer")), "'msa_transformer'"),
        (lambda c: vars(c["cfg"]["model"]).pop("encoder_attention_heads"), "attention_heads"),
        (lambda c: vars(c["cfg"]["model"]).update(encoder_layers=None), "lack or garble a size"),
        (lambda c: vars(c["cfg"]["model"]).update(encoder_layers=2), "unexpected: layers.2"),
        (lambda c: vars(c["cfg"]["model"]).update(encoder_layers=4), "missing: layers.3"),
        (lambda c: c.update(model={"a": torch.ones(1)}), "has no embed_tokens.weight"),
    ],
)
def test_another_layout(tmp_path, change, message):
    file = changed(save_fair_esm(fair_esm2(), tmp_path / "x.pt"), change)
    with pytest.raises(InputError, match=message) as error:
        read_foreign(file)
    assert "x.pt" in str(error.value)


def test_a_regression_that_is_none(tmp_path):
    file = save_fair_esm(fair_esm2(), tmp_path / "esm2.pt")
    with pytest.raises(InputError, match=r"esm2\.pt: is no contact regression"):
        read_foreign(file, file)
    small = {"model": {"contact_head.regression.weight": torch.ones(1, 5)}}
    torch.save(small, tmp_path / "small.pt")
    with pytest.raises(InputError, match=r"missing: contact_head\.regression\.bias; misshapen"):
        read_foreign(file, tmp_path / "small.pt")


def test_names_that_fair_esm_would_misread(tmp_path):
    two = read_foreign(save_fair_esm(fair_esm2(), tmp_path / "esm2.pt"))
    one = read_foreign(save_fair_esm(fair_esm1b(), tmp_path / "esm1b.pt"))
    for name, content, message in (
        ("model.pt", two, "must begin with esm2"),
        ("esm2_no.pt", one, "must not begin with esm2"),
        ("esm2.bin", two, "end in .pt"),
    ):
        with pytest.raises(InputError, match=message):
            write_fair_esm(tmp_path / name, content)
