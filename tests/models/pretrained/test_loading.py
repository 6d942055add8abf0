"""Which reader a source gets is told by what it is."""

import sys

import pytest

import protcontact
from protcontact.errors import InputError
from protcontact.models.pretrained.file import write_pretrained
from protcontact.models.pretrained.loading import load_pretrained, read_foreign
from tests.models.pretrained.foreign import fair_esm2, hugging_face, save_fair_esm


def test_files_and_folders(tmp_path):
    file = save_fair_esm(fair_esm2(), tmp_path / "esm2.pt")
    hugging_face().save_pretrained(tmp_path / "hf")
    assert read_foreign(file).source["library"] == "fair-esm"
    assert read_foreign(tmp_path / "hf").source["library"] == "transformers"
    with pytest.raises(InputError, match="leave --regression out"):
        read_foreign(tmp_path / "hf", file)
    with pytest.raises(InputError, match="none does not exist"):
        read_foreign(tmp_path / "none")


def test_in_one_line(tmp_path):
    write_pretrained(tmp_path / "x", read_foreign(save_fair_esm(fair_esm2(), tmp_path / "esm2.pt")))
    assert protcontact.load_pretrained is load_pretrained
    assert not protcontact.load_pretrained(tmp_path / "x").training
    with pytest.raises(AttributeError, match="no attribute 'load_pretraind'"):
        protcontact.load_pretraind  # noqa: B018
    assert "protcontact" in sys.modules
