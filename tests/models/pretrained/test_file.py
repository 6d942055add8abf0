"""A pretrained file describes itself; what is damaged or something else is refused by name."""

import json

import pytest
import torch
from safetensors.torch import save_file

from protcontact.errors import InputError
from protcontact.models.pretrained.file import KEY, Pretrained, read_pretrained, write_pretrained

CONTENT = Pretrained(
    {"channels": 4, "norm_eps": 1e-5, "regression": True},
    ("<cls>", "<pad>", "A"),
    {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor([1.5])},
    {"library": "fair-esm", "chains": ["1abc_A", "2xyz_B"]},
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    write_pretrained(path, CONTENT)
    return path


def test_what_is_written_is_read(file):
    found = read_pretrained(file)
    assert found.architecture == CONTENT.architecture and found.tokens == CONTENT.tokens
    assert found.source == CONTENT.source
    assert found.tensors.keys() == CONTENT.tensors.keys()
    for name, tensor in CONTENT.tensors.items():
        assert torch.equal(found.tensors[name], tensor)


def test_tensors_that_are_views_are_written_too(tmp_path):
    content = Pretrained({}, (), {"t": torch.arange(6.0).view(2, 3).T})
    write_pretrained(tmp_path / "x", content)
    assert torch.equal(read_pretrained(tmp_path / "x").tensors["t"], content.tensors["t"])


def test_a_write_that_fails_leaves_the_old_file(file):
    before = file.read_bytes()
    with pytest.raises(TypeError):
        write_pretrained(file, Pretrained({"bad": object()}, (), {}))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_is_refused(file, tmp_path):
    whole = file.read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("not a checkpoint" * 100)
    save_file({"a": torch.ones(1)}, tmp_path / "foreign")
    save_file({"a": torch.ones(1)}, tmp_path / "garbled", metadata={KEY: "{"})
    later = {"format": 2, "architecture": {}, "tokens": [], "source": {}}
    save_file({"a": torch.ones(1)}, tmp_path / "later", metadata={KEY: json.dumps(later)})
    save_file({"a": torch.ones(1)}, tmp_path / "less", metadata={KEY: '{"format": 1}'})
    for name, message in (
        ("none", "none does not exist"),
        ("half", "half cannot be read"),
        ("empty", "empty cannot be read"),
        ("text", "text cannot be read"),
        ("foreign", "foreign was not written by protcontact import; import"),
        ("garbled", "garbled does not describe itself"),
        ("later", "later has format 2, and this version reads 1"),
        ("less", "less does not describe itself .'architecture'"),
    ):
        with pytest.raises(InputError, match=message):
            read_pretrained(tmp_path / name)
