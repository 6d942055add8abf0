"""A data set gives back what was written, refuses what is damaged and works in any process."""

import json
import multiprocessing
import pickle
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from protcontact.data.manifest import file_sha256
from protcontact.data.store import (
    ROWS_PER_GROUP,
    SCHEMA,
    ChainStore,
    shard_name,
    write_shard,
    write_store,
)
from protcontact.errors import InputError
from protcontact.structure.alphabet import encode
from protcontact.structure.chain import Chain
from tests.data.chains import random_chain

COUNT = 5 * ROWS_PER_GROUP + 3


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    return [random_chain(f"c{number}_A", 5 + number, number, number % 4) for number in range(COUNT)]


@pytest.fixture
def folder(chains, tmp_path) -> Path:
    write_store(tmp_path / "set", chains, chains_per_shard=2 * ROWS_PER_GROUP + 1)
    return tmp_path / "set"


def same(one: Chain, other: Chain) -> bool:
    """Equal in every field, NaN equal to NaN."""
    for field in fields(Chain):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            if not np.array_equal(a, b, equal_nan=True) or a.dtype != b.dtype:
                return False
        elif a != b and not (a != a and b != b):
            return False
    return True


def test_gives_back_every_field(folder, chains):
    store = ChainStore(folder)
    assert len(store) == COUNT
    assert all(same(store[row], chain) for row, chain in enumerate(chains))
    assert store.ids == [chain.id for chain in chains]
    assert store.sources == [chain.source for chain in chains]
    assert store.lengths.tolist() == [len(chain) for chain in chains]


def test_unknown_facts_survive(tmp_path):
    chain = Chain(
        "x", "AU", np.full((2, 3), np.nan, np.float32), np.zeros((2, 3), np.float32), ("", "")
    )
    write_store(tmp_path, [chain])
    assert same(ChainStore(tmp_path)[0], chain)


def test_arrays_are_those_of_the_chain(folder, chains):
    store = ChainStore(folder)
    for row in np.random.default_rng(0).permutation(COUNT):
        codes, coordinates = store.arrays(int(row))
        np.testing.assert_array_equal(codes, encode(chains[row].sequence))
        np.testing.assert_array_equal(coordinates, chains[row].coordinates)
        coordinates[:] = 0  # the caller's own copy


def test_rows_count_like_a_sequence(folder, chains):
    store = ChainStore(folder)
    assert store[-1].id == chains[-1].id
    assert [chain.id for chain in store] == store.ids
    for row in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError, match=f"row {row}"):
            store[row]


def test_few_shards_stay_open(folder, chains, monkeypatch):
    monkeypatch.setattr("protcontact.data.store.MAX_OPEN_SHARDS", 1)
    store = ChainStore(folder)
    for row in (0, COUNT - 1, 0, 40):
        assert store[row].id == chains[row].id
        assert len(store._open) == 1


def test_same_chains_give_the_same_bytes(chains, tmp_path):
    shards = [write_shard(tmp_path / name, chains) for name in ("a.parquet", "b.parquet")]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert shards[0].sha256 == shards[1].sha256 == file_sha256(tmp_path / "a.parquet")
    assert shards[0].size == (tmp_path / "a.parquet").stat().st_size


def test_any_parquet_reader_reads_it(folder, chains):
    table = pq.read_table(folder / shard_name(0))
    assert table.schema.names == SCHEMA.names
    assert table["coordinates"][7].as_py()[-3:] == chains[7].coordinates[-1].tolist()


def test_an_empty_shard_is_a_shard(tmp_path, chains):
    write_store(tmp_path, chains)
    write_shard(tmp_path / "empty.parquet", [])
    assert pq.ParquetFile(tmp_path / "empty.parquet").metadata.num_rows == 0


def test_a_failed_write_leaves_nothing(chains, tmp_path):
    with pytest.raises(AttributeError):
        write_shard(tmp_path / "a.parquet", [*chains, None])
    assert list(tmp_path.iterdir()) == []


def test_one_chain_at_random_takes_less_than_a_millisecond(tmp_path):
    write_store(tmp_path, [random_chain(f"c{number}", 200, number) for number in range(512)])
    store = ChainStore(tmp_path)
    rows = np.random.default_rng(0).integers(0, 512, 200)
    times = []
    for row in rows:
        start = time.perf_counter()
        store.arrays(int(row))
        times.append(time.perf_counter() - start)
    assert np.median(times) < 1e-3


def _first_id(store: ChainStore) -> tuple[str, float]:
    return store[0].id, float(np.nansum(store.arrays(1)[1]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_it(folder, method):
    store = ChainStore(folder)
    expected = _first_id(store)  # the parent has open files when the child is made
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_first_id, (store,)) == expected


def test_pickled_store_is_small_and_equal(folder):
    store = ChainStore(folder)
    store.arrays(0)
    copy = pickle.loads(pickle.dumps(store))
    assert _first_id(copy) == _first_id(store)
    assert copy.fingerprint == store.fingerprint


def test_fingerprint_follows_the_content(folder, chains, tmp_path):
    fingerprint = ChainStore(folder).fingerprint
    write_store(tmp_path / "again", chains, chains_per_shard=2 * ROWS_PER_GROUP + 1)
    assert ChainStore(tmp_path / "again").fingerprint == fingerprint
    write_store(tmp_path / "other", chains[::-1], chains_per_shard=2 * ROWS_PER_GROUP + 1)
    assert ChainStore(tmp_path / "other").fingerprint != fingerprint


def test_columns_by_name(folder):
    store = ChainStore(folder)
    assert store.column("resolution") == [1.75] * COUNT
    with pytest.raises(InputError, match="no column 'colour'"):
        store.column("colour")


def test_refuses_equal_ids(tmp_path):
    with pytest.raises(InputError, match="two chains have the id 'a'"):
        write_store(tmp_path, [random_chain("b", 4), random_chain("a", 5), random_chain("a", 6)])


def test_refuses_what_is_no_data_set(tmp_path):
    with pytest.raises(InputError, match="does not exist; make it with `protcontact prepare`"):
        ChainStore(tmp_path / "absent")
    with pytest.raises(InputError, match="not a prepared data set"):
        ChainStore(tmp_path)


def test_refuses_another_format(folder):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(InputError, match="format 99, .* reads format 1; prepare with --overwrite"):
        ChainStore(folder)


def test_refuses_a_missing_shard(folder):
    (folder / shard_name(1)).unlink()
    with pytest.raises(InputError, match="shard-00001.parquet is missing"):
        ChainStore(folder)


def test_refuses_a_cut_shard(folder):
    path = folder / shard_name(1)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="shard-00001.parquet has .* bytes instead of"):
        ChainStore(folder)


def test_refuses_a_shard_without_footer(folder):
    path = folder / shard_name(1)
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(InputError, match="shard-00001.parquet is damaged"):
        ChainStore(folder)


def test_refuses_flipped_bytes(folder):
    """Page checksums find a change that leaves the file readable."""
    path = folder / shard_name(0)
    content = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(0).column(4).data_page_offset
    content[place + 200] ^= 0xFF
    path.write_bytes(bytes(content))
    store = ChainStore(folder)
    with pytest.raises(InputError, match="shard-00000.parquet is damaged"):
        for row in range(ROWS_PER_GROUP):
            store.arrays(row)
