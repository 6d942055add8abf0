"""``protcontact import`` as the user meets it."""

import pytest
import torch

from protcontact.cli import main
from protcontact.models.pretrained.loading import load_pretrained
from tests.models.pretrained.foreign import fair_esm1b, fair_esm2, hugging_face, save_fair_esm


def run(*words):
    return main([str(word) for word in words])


def test_a_file_and_its_regression(tmp_path, capsys):
    theirs = fair_esm2()
    source = save_fair_esm(theirs, tmp_path / "esm2_t3.pt")
    out = tmp_path / "new" / "esm2.safetensors"
    assert run("import", source, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "3 layers of 4 heads, 32 channels, rotary positions" in printed
    assert "with its contact regression" in printed
    found = load_pretrained(out).contact_head.regression.weight
    assert torch.equal(found, theirs.contact_head.regression.weight)
    other = tmp_path / "other.pt"
    head = {
        f"contact_head.regression.{k}": v
        for k, v in (("weight", 2 * found), ("bias", -found[0, :1]))
    }
    torch.save({"model": {name: value.detach() for name, value in head.items()}}, other)
    assert run("import", source, "--regression", other, "--out", out) == 0
    assert torch.equal(load_pretrained(out).contact_head.regression.weight, 2 * found)


def test_a_folder_and_a_model_without_regression(tmp_path, capsys):
    hugging_face(rotary=False).save_pretrained(tmp_path / "hf")
    assert run("import", tmp_path / "hf", "--out", tmp_path / "hf.safetensors") == 0
    assert "1024 learned positions" in capsys.readouterr().out
    source = save_fair_esm(fair_esm1b(), tmp_path / "esm1b.pt", regression=False)
    assert run("import", source, "--out", tmp_path / "x.safetensors") == 0
    assert "without a contact regression: protcontact fit-regression" in capsys.readouterr().out


def test_what_cannot_be_used(tmp_path, capsys):
    whole = save_fair_esm(fair_esm2(), tmp_path / "esm2.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out" / "x.safetensors"
    for name in ("cut.pt", "none.pt"):
        assert run("import", tmp_path / name, "--out", out) == 2
        error = capsys.readouterr().err
        assert name in error and error.count("error:") == 1
    assert not out.exists()


def test_mistakes(tmp_path, capsys):
    for words, message in (
        (["import"], "required: SOURCE, --out"),
        (["import", "x", "--ot", "y"], "required: --out"),
    ):
        with pytest.raises(SystemExit) as ended:
            run(*words)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
