"""``protcontact templates`` as the user meets it, with the real program."""

import dataclasses

import pytest

from protcontact.cli import main
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import ChainStore, write_store
from protcontact.data.templates import TEMPLATES, Templates
from tests.data.chains import random_chain
from tests.data.families import mutated


@pytest.fixture
def folder(tmp_path):
    """A test chain like the first of three training chains, and one like none of them."""
    chains = [random_chain(f"c{n}", 80 + n, seed=n) for n in range(5)]
    near = mutated(chains[0].sequence, 0.5, 1)
    chains[3] = dataclasses.replace(random_chain("c3", 80, seed=3), sequence=near)
    write_store(tmp_path / "data", chains)
    splits = ["train", "train", "train", "test", "test"]
    rows = [Assignment(c.id, s, c.id, 9) for c, s in zip(chains, splits, strict=True)]
    write_assignments(tmp_path / "data" / "splits.tsv", rows)
    return tmp_path / "data"


def test_finds_what_resembles(folder, capsys):
    assert main(["templates", str(folder), "--threads", "1", "--evalue", "1e-3"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[3].split() == ["test", "2", "1", "1", "1"]
    assert f"templates in {folder / TEMPLATES}" in captured.out
    assert "templates 5/5" in captured.err
    reader = Templates(ChainStore(folder))
    (only,) = reader[3]
    assert only.row == 0 and abs(only.identity - 0.5) < 0.1
    assert [len(reader[row]) for row in (0, 1, 2, 4)] == [0] * 4


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--evalue", "-1"], "--evalue must be a number above 0"),
        (["--per-chain", "0"], "--per-chain must be at least 1"),
        (["--threads", "0"], "--threads must be at least 1"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, more, reason):
    assert main(["templates", str(folder), *more]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("protcontact templates: error: ") and reason in line


def test_tells_what_is_missing(folder, capsys, monkeypatch):
    (folder / "splits.tsv").unlink()
    assert main(["templates", str(folder), "--threads", "1"]) == 2
    assert "make it with `protcontact split" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["templates", str(folder)]) == 2
    assert "MMseqs2 program was not found; install it with" in capsys.readouterr().err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["templates", "--help"])
    text = capsys.readouterr().out
    for word in ("(default: 10)", "(default: 20)", "Examples:"):
        assert word in text
