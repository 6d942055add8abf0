"""``protcontact audit`` ends with status 1 where a split leaks, and only there."""

from protcontact.cli import main
from tests.data.families import families
from tests.data.test_audit import planted
from tests.data.test_splits import data_set


def test_a_clean_split_passes(tmp_path, capsys):
    folder = data_set(tmp_path / "data", families())
    assert main(["split", str(folder), "--threads", "1"]) == 0
    assert main(["audit", str(folder), "--threads", "1"]) == 0
    assert "0 of 8 chains have a homologue in training" in capsys.readouterr().out
    assert (folder / "audit.tsv").exists()


def test_a_planted_leak_fails(tmp_path, capsys):
    folder = planted(tmp_path / "data", f4_half1="test")
    assert main(["audit", str(folder)]) == 1
    captured = capsys.readouterr()
    assert "leak: f4_half1" in captured.out
    assert "LEAKS" in captured.err
    assert main(["audit", str(folder), "--min-identity", "0.8"]) == 0


def test_uses_the_thresholds_of_the_split(tmp_path, capsys):
    folder = data_set(tmp_path / "data", families())
    assert main(["split", str(folder), "--min-identity", "0.9", "--coverage", "0.7"]) == 0
    main(["audit", str(folder)])
    assert "identity >= 0.9, coverage >= 0.7" in capsys.readouterr().out


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main(["audit", str(tmp_path / "absent")]) == 2
    folder = planted(tmp_path / "data")
    assert main(["audit", str(folder), "--coverage", "80"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert any("absent does not exist" in line for line in lines)
    assert "--coverage must be a fraction above 0 and up to 1, not 80" in lines[-1]
