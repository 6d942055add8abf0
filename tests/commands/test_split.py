"""``protcontact split`` as the user meets it."""

import pytest

from protcontact.cli import main
from protcontact.data.splitfile import read_splits
from tests.data.families import families
from tests.data.test_splits import data_set


def test_splits_and_tells_the_sizes(tmp_path, capsys):
    folder = data_set(tmp_path / "data", families())
    fractions = ["--fractions", "0.6", "0.2", "0.2"]
    assert main(["split", str(folder), "--seed", "3", "--threads", "1", *fractions]) == 0
    captured = capsys.readouterr()
    assert "18 homology clusters" in captured.out
    assert "protcontact audit" in captured.out
    assert "searching" in captured.err
    splits = list(read_splits(folder).values())
    assert splits.count("val") == splits.count("test") == round(0.2 * len(splits))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--fractions", "0.5", "0.5", "0.5"], "--fractions must be three numbers"),
        (["--fractions", "nan", "0.5", "0.5"], "--fractions must be three numbers"),
        (["--min-identity", "30"], "--min-identity must be a fraction"),
        (["--exclude", "absent.fasta"], "absent.fasta: cannot be read"),
        (["--threads", "0"], "--threads must be at least 1"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, more, reason):
    folder = data_set(tmp_path / "data", families(3))
    assert main(["split", str(folder), *more]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("protcontact split: error: ")
    assert reason in last


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["split", "--help"])
    text = capsys.readouterr().out
    for word in ("(default: 0.3)", "(default: 0.8)", "(default: 0.8 0.1 0.1)", "Examples:"):
        assert word in text
