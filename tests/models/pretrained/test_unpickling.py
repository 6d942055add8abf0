"""Pickles: options and tensors pass, code is refused by name and never run."""

import argparse
import collections
import os

import pytest
import torch

from protcontact.errors import InputError
from protcontact.models.pretrained.unpickling import read_pickle


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_options_and_tensors_pass(tmp_path):
    content = {"args": argparse.Namespace(layers=3), "model": {"a": torch.ones(2)}}
    torch.save(content, tmp_path / "x.pt")
    found = read_pickle(tmp_path / "x.pt")
    assert found["args"].layers == 3 and torch.equal(found["model"]["a"], torch.ones(2))
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert read_pickle(tmp_path / "old.pt")["args"].layers == 3


def test_code_is_refused_and_not_run(tmp_path):
    torch.save({"model": {}, "x": Attack(tmp_path / "ran")}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"bad\.pt is refused: .* asks for posix\.system"):
        read_pickle(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


def test_no_other_class_passes_even_a_harmless_one(tmp_path):
    torch.save({"x": collections.UserDict()}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="asks for collections.UserDict"):
        read_pickle(tmp_path / "x.pt")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_damaged_files(tmp_path):
    torch.save({"model": {"a": torch.ones(1000)}}, tmp_path / "x.pt")
    whole = (tmp_path / "x.pt").read_bytes()
    for cut in (0, 10, 400, len(whole) - 30):
        (tmp_path / "cut.pt").write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"cut\.pt cannot be read"):
            read_pickle(tmp_path / "cut.pt")
    (tmp_path / "text.pt").write_text(">protein\nMKTAYIAK\n")
    with pytest.raises(InputError, match=r"text\.pt cannot be read"):
        read_pickle(tmp_path / "text.pt")
    with pytest.raises(InputError, match=r"none\.pt does not exist"):
        read_pickle(tmp_path / "none.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(InputError, match=r"tensor\.pt holds a Tensor, not a checkpoint"):
        read_pickle(tmp_path / "tensor.pt")
