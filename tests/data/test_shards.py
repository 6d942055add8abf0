"""What one worker makes of its inputs, and when its work counts as done."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protcontact.data import shards
from protcontact.data.inputs import Input, find_inputs
from protcontact.data.shards import (
    WORK_FOLDER,
    ReadOptions,
    ShardTask,
    finished,
    prepare_shard,
    read_input,
    read_record,
)
from protcontact.errors import InputError
from protcontact.structure.read import StructureRecord
from tests.data.chains import random_chain
from tests.data.files import pdb_text, write_structures


def as_input(path: Path, text: str) -> Input:
    path.write_text(text)
    (one,) = find_inputs([str(path)], path.parent / "spool")
    return one


@pytest.fixture
def task(tmp_path) -> ShardTask:
    write_structures(tmp_path / "in", 4)
    (tmp_path / "in" / "broken.pdb").write_text("nothing")
    (tmp_path / "out" / WORK_FOLDER).mkdir(parents=True)
    inputs = find_inputs([str(tmp_path / "in")], tmp_path / "spool")
    return ShardTask(str(tmp_path / "out"), 7, "plan", tuple(inputs), ReadOptions())


def test_takes_chains(tmp_path):
    one = as_input(tmp_path / "1abc.pdb", pdb_text("ACDEFGHIKL" * 3, "B"))
    (chain,), refused = read_input(one, ReadOptions())
    assert (chain.id, chain.sequence, chain.source) == ("1abc_B", "ACDEFGHIKL" * 3, "1abc.pdb")
    assert refused == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (ReadOptions(min_length=31), "length 30 is below --min-length 31"),
        (ReadOptions(max_length=29), "length 30 is above --max-length 29"),
    ],
)
def test_refuses_by_length(tmp_path, options, reason):
    one = as_input(tmp_path / "1abc.pdb", pdb_text("ACDEFGHIKL" * 3))
    assert read_input(one, options) == (
        [],
        [("A", reason), ("", f"every protein chain was rejected; A: {reason}")],
    )
    assert len(read_input(one, ReadOptions(min_length=30, max_length=30))[0]) == 1


def test_refuses_a_chain_without_any_known_pair(tmp_path, monkeypatch):
    chain = random_chain("x", 30, unresolved=29)
    monkeypatch.setattr(
        shards, "read_structure", lambda *args, **options: StructureRecord((chain,), ())
    )
    _, refused = read_input(as_input(tmp_path / "x.pdb", ""), ReadOptions())
    reason = "fewer than 2 resolved residues: nothing is known about any pair"
    assert refused[0] == ("A", reason)


def test_a_file_without_protein_has_one_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "read_structure", lambda *args, **options: StructureRecord((), ()))
    one = as_input(tmp_path / "x.pdb", "")
    assert read_input(one, ReadOptions()) == ([], [("", "no protein chain")])


def test_a_broken_file_has_one_reason_without_its_own_name(tmp_path):
    _, refused = read_input(as_input(tmp_path / "x.pdb", "nothing"), ReadOptions())
    assert [chain for chain, _ in refused] == [""]
    assert "x.pdb" not in refused[0][1]


def test_an_unreadable_file_has_one_reason(tmp_path):
    one = as_input(tmp_path / "x.pdb", pdb_text("ACDEFGHIKL" * 3))
    (tmp_path / "x.pdb").unlink()
    _, refused = read_input(one, ReadOptions())
    assert "No such file" in refused[0][1]


def test_a_defect_of_the_reader_costs_one_file(tmp_path, monkeypatch):
    def defect(*args, **options):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(shards, "read_structure", defect)
    _, refused = read_input(as_input(tmp_path / "x.pdb", ""), ReadOptions())
    assert refused == [("", "reading failed unexpectedly: ZeroDivisionError: oh")]


def test_a_record_has_all_chains_or_raises_the_reason(tmp_path):
    one = as_input(tmp_path / "1abc.pdb", pdb_text("ACD"))
    assert [chain.id for chain in read_record(one, False).chains] == ["1abc_A"]
    with pytest.raises(InputError, match=r"^a pipe$"):
        read_record(replace(one, problem="a pipe"), False)
    (tmp_path / "1abc.pdb").unlink()
    with pytest.raises(InputError, match="No such file"):
        read_record(one, False)


def test_known_problems_are_not_read(tmp_path):
    one = Input("x", "x", "x", str(tmp_path / "absent"), problem="a pipe")
    assert read_input(one, ReadOptions()) == ([], [("", "a pipe")])


def test_a_shard_and_its_account(task):
    assert prepare_shard(task) == (5, 4, 4)
    account = finished(task)
    assert account is not None
    assert account.ids == ("s000_A", "s001_A", "s002_A", "s003_A")
    assert (account.inputs, account.inputs_with_chains, account.shard.chains) == (5, 4, 4)
    assert [(one.input, one.chain) for one in account.rejections] == [(0, "")]
    assert account.shard.name == "shard-00007.parquet"


def test_work_of_another_plan_does_not_count(task):
    prepare_shard(task)
    assert finished(ShardTask(task.folder, 7, "other", task.inputs, task.options)) is None
    assert finished(ShardTask(task.folder, 8, "plan", task.inputs, task.options)) is None


def test_work_on_inputs_that_were_modified_since_does_not_count(task):
    prepare_shard(task)
    inputs = (replace(task.inputs[0], modified=1), *task.inputs[1:])
    assert finished(replace(task, inputs=inputs)) is None
    assert finished(task) is not None


def test_a_changed_shard_does_not_count(task):
    prepare_shard(task)
    shard = Path(task.folder, "shard-00007.parquet")
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    assert finished(task) is None
    shard.unlink()
    assert finished(task) is None


@pytest.mark.parametrize("text", ["", "{}", '{"plan": "plan"}', "[]"])
def test_a_damaged_account_does_not_count(task, text):
    prepare_shard(task)
    task.account_file.write_text(text)
    assert finished(task) is None


def test_coordinates_arrive(task):
    prepare_shard(task)
    taken, _ = read_input(task.inputs[1], task.options)
    assert np.isfinite(taken[0].coordinates).all()
