"""``protcontact import`` and ``export`` as the user meets them."""

import esm
import pytest
import torch

from protcontact.cli import main
from protcontact.models.pretrained.loading import load_pretrained
from tests.models.pretrained.foreign import (
    SEQUENCES,
    fair_esm1b,
    fair_esm2,
    hugging_face,
    namespaces,
    save_fair_esm,
    tokens_of,
)


def run(*words):
    return main([str(word) for word in words])


def test_there_and_back(tmp_path, capsys):
    theirs = fair_esm2()
    source = save_fair_esm(theirs, tmp_path / "esm2_t3.pt")
    ours = tmp_path / "new" / "esm2.safetensors"
    assert run("import", source, "--out", ours) == 0
    printed = capsys.readouterr().out
    assert "3 layers of 4 heads, 32 channels, rotary positions" in printed
    assert "with its contact regression" in printed
    back = tmp_path / "back" / "esm2_again.pt"
    assert run("export", ours, "--out", back) == 0
    assert str(back) in capsys.readouterr().out
    with namespaces():
        again, _ = esm.pretrained.load_model_and_alphabet_local(back)
    ids = tokens_of(SEQUENCES)
    with torch.no_grad():
        assert torch.equal(again.eval().predict_contacts(ids), theirs.predict_contacts(ids))
    head = tmp_path / "head.pt"
    assert run("export", ours, "--head-only", "--out", head) == 0
    assert run("import", source, "--regression", head, "--out", tmp_path / "two.safetensors") == 0
    one, two = (load_pretrained(path) for path in (ours, tmp_path / "two.safetensors"))
    assert torch.equal(one.contact_head.regression.weight, two.contact_head.regression.weight)


def test_a_folder_and_a_model_without_regression(tmp_path, capsys):
    hugging_face(rotary=False).save_pretrained(tmp_path / "hf")
    assert run("import", tmp_path / "hf", "--out", tmp_path / "hf.safetensors") == 0
    assert "1024 learned positions" in capsys.readouterr().out
    source = save_fair_esm(fair_esm1b(), tmp_path / "esm1b.pt", regression=False)
    assert run("import", source, "--out", tmp_path / "x.safetensors") == 0
    assert "without a contact regression: protcontact fit-regression" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["import", "export"])
def test_what_cannot_be_used(tmp_path, capsys, verb):
    whole = save_fair_esm(fair_esm2(), tmp_path / "esm2.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out" / "x.pt"
    for name in ("cut.pt", "none.pt"):
        assert run(verb, tmp_path / name, "--out", out) == 2
        error = capsys.readouterr().err
        assert name in error and error.count("error:") == 1
    assert not out.exists()


def test_mistakes(tmp_path, capsys):
    for words, message in (
        (["import"], "required: SOURCE, --out"),
        (["import", "x", "--ot", "y"], "required: --out"),
        (["export", "x"], "required: --out"),
    ):
        with pytest.raises(SystemExit) as ended:
            run(*words)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
