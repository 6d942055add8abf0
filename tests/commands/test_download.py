"""``protcontact download`` as the user meets it."""

import pytest

from protcontact.cli import main
from tests.data.test_download import server  # noqa: F401


def test_downloads_and_fails_where_an_entry_is_missing(server, tmp_path, capsys):  # noqa: F811
    ids = tmp_path / "ids.txt"
    ids.write_text("1abc 2abc")
    arguments = ["download", "--ids", str(ids), "--out", str(tmp_path / "out")]
    arguments += ["--format", "cif", "--base-url", server.url]
    assert main(arguments) == 0
    assert (tmp_path / "out" / "2abc.cif").read_text() == "2abc cif"
    ids.write_text("1abc 9zzz")
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "0 fetched, 1 there before, 1 failed" in out
    assert "failed.tsv" in out


def test_bad_input_is_one_line(tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("hello")
    arguments = ["download", "--ids", str(tmp_path / "ids.txt"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "'hello' is no PDB id" in line


def test_an_unknown_format_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["download", "--ids", "x", "--out", "y", "--format", "xyz"])
    assert "invalid choice: 'xyz'" in capsys.readouterr().err
