"""``protcontact export`` as the user meets it."""

import esm
import pytest
import torch

from protcontact.cli import main
from protcontact.models.pretrained.file import read_pretrained, write_pretrained
from protcontact.models.pretrained.loading import read_foreign
from tests.models.pretrained.foreign import (
    SEQUENCES,
    fair_esm1b,
    fair_esm2,
    namespaces,
    save_fair_esm,
    tokens_of,
)


def run(*words):
    return main([str(word) for word in words])


@pytest.mark.parametrize(("make", "name"), [(fair_esm2, "esm2_x"), (fair_esm1b, "esm1b_x")])
def test_fair_esm_reads_it(tmp_path, capsys, make, name):
    theirs = make()
    ours = tmp_path / "ours.safetensors"
    write_pretrained(ours, read_foreign(save_fair_esm(theirs, tmp_path / "any.pt")))
    back = tmp_path / "back" / f"{name}.pt"
    assert run("export", ours, "--out", back) == 0
    head = back.with_name(f"{name}-contact-regression.pt")
    assert capsys.readouterr().out.split() == [str(back), str(head)]
    with namespaces():
        again, _ = esm.pretrained.load_model_and_alphabet_local(back)
    ids = tokens_of(SEQUENCES)
    with torch.no_grad():
        assert torch.equal(again.eval().predict_contacts(ids), theirs.predict_contacts(ids))


def test_the_head_alone(tmp_path, capsys):
    ours, head = tmp_path / "ours.safetensors", tmp_path / "head.pt"
    content = read_foreign(save_fair_esm(fair_esm2(), tmp_path / "esm2.pt"))
    write_pretrained(ours, content)
    assert run("export", ours, "--head-only", "--out", head) == 0
    assert capsys.readouterr().out.split() == [str(head)]
    told = torch.load(head, weights_only=True)["model"]
    assert {name: tuple(value.shape) for name, value in told.items()} == {
        "contact_head.regression.weight": (1, 12),
        "contact_head.regression.bias": (1,),
    }
    assert all(torch.equal(value, read_pretrained(ours).tensors[k]) for k, value in told.items())


def test_what_cannot_be_used(tmp_path, capsys):
    source = save_fair_esm(fair_esm2(), tmp_path / "esm2.pt")
    ours = tmp_path / "ours.safetensors"
    write_pretrained(ours, read_foreign(source))
    for words, message in (
        ([source, "--out", tmp_path / "esm2_y.pt"], "esm2.pt cannot be read"),
        ([tmp_path / "none", "--out", tmp_path / "esm2_y.pt"], "none does not exist"),
        ([ours, "--out", tmp_path / "model.pt"], "must begin with esm2"),
    ):
        assert run("export", *words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("error:") == 1
    with pytest.raises(SystemExit) as ended:
        run("export", "x")
    assert ended.value.code == 2
