"""Embeddings on disk: the same bits, damage noticed, two writers at once."""

import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from protcontact.errors import InputError
from protcontact.models.pretrained.embedding_cache import EmbeddingCache, digest

NAME = digest(["a row"])
SHAPE = (7, 4)


def row(seed=0):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def never():
    raise AssertionError("it was computed")


def test_is_computed_once(tmp_path):
    cache = EmbeddingCache(tmp_path / "new" / "folder")
    assert torch.equal(cache.fetch(NAME, SHAPE, row), row())
    assert torch.equal(cache.fetch(NAME, SHAPE, never), row())
    assert torch.equal(EmbeddingCache(cache.folder).fetch(NAME, SHAPE, never), row())
    other = cache.fetch(digest(["another row"]), SHAPE, lambda: row(1))
    assert torch.equal(other, row(1))
    assert len([path for path in cache.folder.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_keeps_type_and_special_numbers(tmp_path, dtype):
    odd = torch.tensor([[0.0, -0.0, 1e-40, torch.inf, -1.5]], dtype=dtype).T.contiguous().T
    cache = EmbeddingCache(tmp_path)
    cache.fetch(NAME, (1, 5), lambda: odd)
    found = cache.fetch(NAME, (1, 5), never)
    assert found.dtype == dtype
    assert torch.equal(found.view(torch.uint8), odd.contiguous().view(torch.uint8))


def flip_the_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "text": lambda path: path.write_text("hello"),
    "one bit": flip_the_last_byte,
    "other numbers": lambda path: save_file({"embedding": row(1)}, path),
    "other shape": lambda path: save_file({"embedding": row()[:3]}, path),
    "other tensor": lambda path: save_file({"x": row()}, path),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_named_computed_again_and_replaced(tmp_path, damage):
    cache = EmbeddingCache(tmp_path)
    cache.fetch(NAME, SHAPE, row)
    damage(cache.path(NAME))
    with pytest.warns(UserWarning, match=f"{re.escape(str(cache.path(NAME)))} is damaged"):
        assert torch.equal(cache.fetch(NAME, SHAPE, row), row())
    assert torch.equal(cache.fetch(NAME, SHAPE, never), row())


def test_a_write_that_fails_leaves_nothing(tmp_path):
    cache = EmbeddingCache(tmp_path)
    with pytest.raises(AssertionError):
        cache.fetch(NAME, SHAPE, never)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_refuses_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file; name a folder"):
        EmbeddingCache(tmp_path / "file")


WRITER = """
import sys, torch
from protcontact.models.pretrained.embedding_cache import EmbeddingCache, digest
for turn in range(40):
    cache, expected = EmbeddingCache(sys.argv[1]), torch.full((300, 64), float(turn % 4))
    path = cache.path(digest([str(turn % 4)]))
    if turn % 2 == 0:
        path.unlink(missing_ok=True)  # so that both write, and read what is being written
    assert torch.equal(cache.fetch(path.stem, (300, 64), lambda: expected), expected)
"""


def test_two_processes_write_at_once(tmp_path):
    command = [sys.executable, "-W", "error", "-c", WRITER, str(tmp_path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors.decode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.suffix == ".safetensors" for path in files)


def test_a_digest_tells_apart_what_differs():
    x = torch.arange(6)
    parts = [
        [x],
        [x.view(2, 3)],
        [x.int()],
        [x + 1],
        [x[:3], x[3:]],
        ["", x],
        ["ab"],
        ["a", "b"],
        [],
    ]
    assert len({digest(part) for part in parts}) == len(parts)
    assert digest([x.view(2, 3).T.contiguous()]) == digest([x.view(2, 3).T])
    assert re.fullmatch("[0-9a-f]{64}", digest([x]))
