"""From files to a data set: complete, accounted for, and the same whatever happens on the way."""

import errno
import json
import os
import shutil
import signal
import tarfile
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

from protcontact.data import prepare as prepare_module
from protcontact.data import shards
from protcontact.data.lock import exclusive
from protcontact.data.pool import LocalPool, Pool
from protcontact.data.prepare import Where, prepare
from protcontact.data.shards import ReadOptions, read_input
from protcontact.data.store import ChainStore
from protcontact.errors import InputError
from tests.data.files import pdb_text, write_structures


class Here(Executor):
    """Runs tasks at once, in this process."""

    def submit(self, function, /, *arguments, **options):
        future: Future = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


class HerePool(Pool):
    slots = 1
    deaths = ()

    def executor(self, slot=0):
        return Here()

    def alive(self, slot):
        return True

    def renew(self, slot):
        raise AssertionError("nothing dies here")

    def close(self):
        pass


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    monkeypatch.setattr(Where, "pool", lambda self, folder: HerePool())


@pytest.fixture
def structures(tmp_path) -> Path:
    return write_structures(tmp_path / "in", 7)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def rejected(folder: Path) -> list[list[str]]:
    lines = (folder / "rejected.tsv").read_text().splitlines()
    assert lines[0] == "input\tchain\treason"
    return [line.split("\t") for line in lines[1:]]


def test_makes_a_data_set(structures, tmp_path):
    report = prepare([str(structures)], tmp_path / "out", shard_size=3)
    store = ChainStore(tmp_path / "out")
    assert store.ids == [f"s{number:03d}_A" for number in range(7)]
    assert [shard.chains for shard in store.manifest.shards] == [3, 3, 1]
    assert store.manifest.counts == report.counts
    assert store.manifest.options["shard_size"] == 3
    assert not (tmp_path / "out" / ".prepare" / "spool").exists()


def test_the_account_balances(structures, tmp_path):
    (structures / "README.md").write_text("x")
    (structures / "broken.pdb").write_text("x")
    (structures / "short.pdb").write_text(pdb_text("ACDEF"))
    both = pdb_text("ACDEF").replace("END\n", "") + pdb_text("ACDEFGHIKL" * 3, "B")
    (structures / "both.pdb").write_text(both)
    report = prepare([str(structures)], tmp_path / "out", shard_size=4)
    assert report.counts == {
        "inputs": 11,
        "inputs_with_chains": 8,
        "inputs_rejected": 3,
        "chains": 8,
        "chains_rejected": 2,
    }
    rows = rejected(tmp_path / "out")
    assert [(Path(row[0]).name, row[1]) for row in rows] == [
        ("README.md", ""),
        ("both.pdb", "A"),
        ("broken.pdb", ""),
        ("short.pdb", "A"),
        ("short.pdb", ""),
    ]
    assert "rejected             3" in str(report)


def test_same_bytes_from_a_folder_and_again(structures, tmp_path):
    for name in ("one", "two"):
        prepare([str(structures)], tmp_path / name, shard_size=3)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_manifest_does_not_depend_on_where_the_files_lie(structures, tmp_path, monkeypatch):
    prepare([str(structures)], tmp_path / "one")
    monkeypatch.chdir(structures)
    prepare(["."], tmp_path / "two")
    names = ("manifest.json", "shard-00000.parquet")
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert all(one[name] == two[name] for name in names)


def test_continues_where_it_stopped(structures, tmp_path, monkeypatch):
    prepare([str(structures)], tmp_path / "whole", shard_size=2)
    real, calls = prepare_module.prepare_shard, []

    def interrupted(task):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(task.number)
        return real(task)

    monkeypatch.setattr(prepare_module, "prepare_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare([str(structures)], tmp_path / "out", shard_size=2)
    with pytest.raises(InputError, match="not a prepared data set"):
        ChainStore(tmp_path / "out")
    monkeypatch.setattr(prepare_module, "prepare_shard", real)
    report = prepare([str(structures)], tmp_path / "out", shard_size=2)
    assert report.continued == 2
    assert "2 shards were finished by an earlier run" in str(report)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_mends_a_damaged_shard(structures, tmp_path):
    out = tmp_path / "out"
    prepare([str(structures)], out, shard_size=2)
    before = content(out)
    (out / "shard-00001.parquet").write_bytes(b"damaged")
    assert prepare([str(structures)], out, shard_size=2).continued == 3
    assert content(out) == before


def correct(path: Path) -> None:
    """Write another sequence of the same size, at a later time."""
    before = path.stat()
    text = path.read_text()
    path.write_text(text.replace("ALA", "VAL"))
    assert path.stat().st_size == before.st_size and path.read_text() != text
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def test_reads_what_was_corrected_in_place(structures, tmp_path):
    out = tmp_path / "out"
    prepare([str(structures)], out, shard_size=2)
    before = content(out)
    correct(structures / "s002.pdb")
    assert prepare([str(structures)], out, shard_size=2).continued == 3
    prepare([str(structures)], tmp_path / "fresh", shard_size=2)
    assert content(out) == content(tmp_path / "fresh")
    changed = {name for name, value in content(out).items() if value != before[name]}
    assert changed == {"manifest.json", "shard-00001.parquet"}


def test_reads_an_archive_that_was_replaced(structures, tmp_path):
    def pack() -> None:
        with tarfile.open(tmp_path / "t.tar", "w") as archive:
            archive.add(structures, "in")

    out = tmp_path / "out"
    pack()
    prepare([str(tmp_path / "t.tar")], out, shard_size=2)
    before = content(out)
    assert prepare([str(tmp_path / "t.tar")], out, shard_size=2).continued == 4
    correct(structures / "s002.pdb")
    pack()
    assert prepare([str(tmp_path / "t.tar")], out, shard_size=2).continued == 0
    assert content(out)["shard-00001.parquet"] != before["shard-00001.parquet"]


def test_times_do_not_come_into_the_data_set(structures, tmp_path):
    out = tmp_path / "out"
    prepare([str(structures)], out, shard_size=2)
    before = content(out)
    for path in structures.iterdir():
        os.utime(path, ns=(0, 0))
    assert prepare([str(structures)], out, shard_size=2).continued == 0
    assert content(out) == before


@pytest.mark.parametrize("is_copy", [False, True], ids=["original", "copy"])
def test_killed_while_it_reads_anew_it_leaves_no_half_new_data_set(
    structures, tmp_path, monkeypatch, is_copy
):
    def interrupted(task):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    prepare([str(structures)], out, shard_size=2)
    if is_copy:  # without hidden files
        shutil.rmtree(out / ".prepare")
    correct(structures / "s002.pdb")
    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "prepare_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare([str(structures)], out, shard_size=2)
    with pytest.raises(InputError, match="not a prepared data set"):
        ChainStore(out)
    with pytest.raises(InputError, match="with other options"):
        prepare([str(structures)], out, shard_size=3)
    prepare([str(structures)], out, shard_size=2)
    prepare([str(structures)], tmp_path / "fresh", shard_size=2)
    assert content(out) == content(tmp_path / "fresh")


def test_refuses_other_inputs_or_options(structures, tmp_path):
    out = tmp_path / "out"
    prepare([str(structures)], out)
    with pytest.raises(InputError, match="with other options; .* --overwrite"):
        prepare([str(structures)], out, ReadOptions(min_length=25))
    (structures / "s000.pdb").unlink()
    with pytest.raises(InputError, match="with other inputs; .* --overwrite"):
        prepare([str(structures)], out)
    (out / "manifest.json").unlink()  # as after an interruption
    with pytest.raises(InputError, match="with other inputs"):
        prepare([str(structures)], out)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
def test_refuses_a_damaged_plan(structures, tmp_path, text):
    out = tmp_path / "out"
    prepare([str(structures)], out)
    (out / "manifest.json").unlink()  # as after an interruption
    (out / ".prepare" / "plan.json").write_text(text)
    with pytest.raises(InputError, match="plan.json is damaged .* --overwrite"):
        prepare([str(structures)], out)
    prepare([str(structures)], out, overwrite=True)


def test_overwrites_when_told_and_removes_stale_splits(structures, tmp_path):
    out = tmp_path / "out"
    prepare([str(structures)], out, shard_size=1)
    for name in ("splits.tsv", "split.json", "audit.tsv", "mine.txt"):
        (out / name).write_text("x")
    prepare([str(structures)], out, shard_size=4, overwrite=True)
    assert sorted(content(out)) == [
        ".lock",
        "manifest.json",
        "mine.txt",
        "rejected.tsv",
        "shard-00000.parquet",
        "shard-00001.parquet",
    ]
    assert len(ChainStore(out)) == 7


def test_output_inside_the_structures(structures):
    for _ in range(2):
        report = prepare([str(structures)], structures / "out")
        assert report.counts["inputs"] == 7


def test_refuses_when_nothing_could_be_read(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.pdb", "b.pdb"):
        (tmp_path / "in" / name).write_text("nothing")
    with pytest.raises(InputError, match=r"none of 2 inputs gave a chain; .*rejected.tsv tells"):
        prepare([str(tmp_path / "in")], tmp_path / "out")
    assert len(rejected(tmp_path / "out")) == 2
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_refuses_equal_chain_ids(structures, tmp_path, monkeypatch):
    def same_id(one, options):
        taken, refused = read_input(one, options)
        return [prepare_module.replace(chain, id="same") for chain in taken], refused

    monkeypatch.setattr(shards, "read_input", same_id)
    with pytest.raises(InputError, match="two chains have the id 'same'"):
        prepare([str(structures)], tmp_path / "out")


def test_refuses_two_at_once(structures, tmp_path):
    with (
        exclusive(tmp_path / "out"),
        pytest.raises(InputError, match="another protcontact writes to"),
    ):
        prepare([str(structures)], tmp_path / "out")


def test_refuses_an_output_that_is_a_file(structures, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="cannot be written .*; choose another --out"):
            prepare([str(structures)], out)


def test_explains_a_full_disk(structures, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "write_shard", full)
    with pytest.raises(InputError, match="disk of .* is full; make room"):
        prepare([str(structures)], tmp_path / "out")
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"shard_size": 0}, "--shard-size must be at least 1, not 0"),
        ({"options": ReadOptions(30, 20)}, "--max-length 20 is below --min-length 30"),
    ],
)
def test_refuses_impossible_settings(structures, tmp_path, settings, reason):
    with pytest.raises(InputError, match=reason):
        prepare([str(structures)], tmp_path / "out", **settings)


def die_of_s003(one, *arguments):
    """As if the memory were exhausted by one of the files."""
    if "s003" in one.file and not one.problem:
        os.kill(os.getpid(), signal.SIGKILL)
    return read_input(one, *arguments)


class MortalPool(LocalPool):
    """Workers that die of the file s003.pdb."""

    def _start(self):
        worker = super()._start()
        worker.executor.submit(_make_mortal).result()
        return worker


def _make_mortal() -> None:
    shards.read_input = die_of_s003
    prepare_module.read_input = die_of_s003


def test_an_input_that_kills_its_worker_is_rejected(structures, tmp_path, monkeypatch):
    monkeypatch.setattr(Where, "pool", lambda self, folder: MortalPool(1, []))
    report = prepare([str(structures)], tmp_path / "out", shard_size=3)
    assert report.counts["inputs_rejected"] == 1
    assert rejected(tmp_path / "out") == [
        [
            str(structures / "s003.pdb"),
            "",
            "reading it killed the worker process (out of memory?)",
        ]
    ]
    assert ChainStore(tmp_path / "out").ids == [
        f"s{number:03d}_A" for number in range(7) if number != 3
    ]


def test_the_manifest_has_no_time_and_no_folder(structures, tmp_path):
    prepare([str(structures)], tmp_path / "out")
    text = (tmp_path / "out" / "manifest.json").read_text()
    assert str(tmp_path) not in text
    assert set(json.loads(text)) == {
        "shards", "counts", "options", "inputs", "package", "format"
    }  # fmt: skip


def test_real_files_that_break_parsers_are_all_accounted_for(shared_data, tmp_path):
    nasty = shared_data / "nasty"
    report = prepare([str(nasty)], tmp_path / "out")
    files = {str(path) for path in nasty.iterdir()}
    assert report.counts["inputs"] == len(files)
    without_chain = {row[0] for row in rejected(tmp_path / "out") if not row[1]}
    assert len(without_chain) == report.counts["inputs_rejected"]
    assert without_chain < files
    sources = set(ChainStore(tmp_path / "out").sources)
    assert sources == {Path(name).name for name in files - without_chain}
