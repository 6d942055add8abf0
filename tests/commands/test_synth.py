"""``protcontact synth`` as the user meets it, up to a data set made from its files."""

import pytest

from protcontact.cli import main
from protcontact.data.store import ChainStore

SMALL = ["--chains", "6", "--length", "50", "60", "--seed", "5"]


def test_writes_a_set_that_prepare_takes_like_any_other(tmp_path, capsys):
    out = tmp_path / "set"
    assert main(["synth", "--out", str(out), *SMALL]) == 0
    printed = capsys.readouterr()
    assert "6 synthetic chains" in printed.out
    assert f"next: protcontact prepare {out / 'structures'} --out data" in printed.out
    assert "folds 6/6" in printed.err
    data = str(tmp_path / "data")
    assert main(["prepare", str(out / "structures"), "--out", data, "--workers", "1"]) == 0
    assert len(ChainStore(tmp_path / "data")) == 6
    assert (tmp_path / "data" / "rejected.tsv").read_text().count("\n") <= 1


def test_overwrite_replaces(tmp_path):
    arguments = ["synth", "--out", str(tmp_path / "set"), *SMALL]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert main([*arguments, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chains", "-3"], "--chains must be 1 or more, not -3"),
        (["--length", "60", "100", "--separation", "500"], "has no room for --separation 500"),
        (["--separation", "2000"], "must be between 6 and 1000"),
    ],
)
def test_mistakes_are_one_line_with_the_remedy(tmp_path, capsys, arguments, message):
    assert main(["synth", "--out", str(tmp_path / "set"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "set").exists()


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["synth", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "Nothing about real proteins" in text and "--separation S" in text
