"""The table of contents of a data set comes back as written, or is refused with the remedy."""

import hashlib
import json
from pathlib import Path

import pytest

from protcontact.data.manifest import Manifest, Shard, file_sha256, read_manifest
from protcontact.errors import InputError

MANIFEST = Manifest(
    shards=(Shard("shard-00000.parquet", 3, 100, "ab"), Shard("shard-00001.parquet", 1, 50, "cd")),
    counts={"inputs": 4, "inputs_with_chains": 3, "inputs_rejected": 1, "chains": 4},
    options={"min_length": 20, "max_length": None},
    inputs="ef",
    package="0.1.0",
)


@pytest.fixture
def folder(tmp_path) -> Path:
    MANIFEST.write(tmp_path)
    return tmp_path


def test_round_trip(folder):
    assert read_manifest(folder) == MANIFEST


def test_same_content_same_bytes(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    read_manifest(folder).write(other)
    name = "manifest.json"
    assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_refuses_an_absent_or_unfinished_data_set(tmp_path):
    with pytest.raises(InputError, match="does not exist; make it with `protcontact prepare`"):
        read_manifest(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no manifest.json\); finish or start `protcontact prep"):
        read_manifest(tmp_path)


def test_refuses_another_format(folder):
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(InputError, match="format 99, .* reads format 1; prepare with --overwrite"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 1}', '{"format": 1, "shards": [1]}', '{"format": 1, "x": 2}'],
)
def test_refuses_a_damaged_one(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="manifest.json is damaged .*--overwrite"):
        read_manifest(folder)


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
